use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc;

use super::*;

const BULK: Label = Label {
    kind: Kind::Exec,
    bulk: true,
};
const CHANGE: Label = Label {
    kind: Kind::Change,
    bulk: false,
};
const LIMIT: Duration = Duration::from_secs(10);

fn pipe() -> (io::PipeReader, Target) {
    let (reader, writer) = io::pipe().unwrap();
    (reader, Target::Fd(OwnedFd::from(writer)))
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn everything_arrives_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events");
    let sink = Sink::spawn(Target::File(path.clone()), 100_000).unwrap();
    let mut expected = String::new();
    for at in 0..50_000 {
        let line = format!("line {at}\n");
        let label = if at % 100 == 0 { CHANGE } else { BULK };
        assert_eq!(sink.send(label, line.as_bytes()), Sent::Queued);
        expected.push_str(&line);
    }
    let written = sink.finish(LIMIT).unwrap();
    assert_eq!(written.events, 50_000);
    assert_eq!(written.bytes, expected.len() as u64);
    assert_eq!(written.lost, 0);
    assert!(fs::read_to_string(&path).unwrap() == expected);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_line_does_not_wait_for_the_next() {
    let (reader, target) = pipe();
    let sink = Sink::spawn(target, 10).unwrap();
    let mut lines = BufReader::new(reader).lines();
    for label in [BULK, CHANGE, BULK] {
        sink.send(label, b"one\n");
        assert_eq!(lines.next().unwrap().unwrap(), "one");
    }
    sink.finish(LIMIT).unwrap();
    assert!(lines.next().is_none());
}

#[test]
fn a_file_is_appended_to_on_a_new_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events");
    fs::write(&path, "whole\nhal").unwrap();
    for line in ["first\n", "second\n"] {
        let sink = Sink::spawn(Target::File(path.clone()), 10).unwrap();
        sink.send(CHANGE, line.as_bytes());
        sink.finish(LIMIT).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, "whole\nhal\nfirst\nsecond\n");
}

#[test]
fn an_error_names_the_path() {
    let path = "/nowhere/at/all/events";
    let error = Sink::spawn(Target::File(path.into()), 10).unwrap_err();
    assert!(error.to_string().contains(path), "{error}");
}

#[test]
fn a_closed_pipe_ends_the_sink_quietly() {
    let (reader, target) = pipe();
    let sink = Sink::spawn(target, 10).unwrap();
    drop(reader);
    sink.send(CHANGE, b"one\n");
    wait_for("the sink closes", || sink.is_closed());
    assert_eq!(sink.send(CHANGE, b"two\n"), Sent::Closed);
    assert!(sink.losses().is_empty());
    assert_eq!(sink.finish(LIMIT).unwrap(), Written::default());
}

#[test]
fn a_full_device_is_counted_and_survived() {
    let sink = Sink::spawn(Target::File("/dev/full".into()), 8).unwrap();
    for _ in 0..100 {
        sink.send(BULK, b"exec\n");
    }
    let lost = |kind, count| LossCount {
        stage: "sink",
        kind,
        count,
    };
    // A quarter of the room is kept for others.
    assert_eq!(sink.losses(), [lost("exec", 94)]);
    assert!(sink.losses().is_empty());
    assert_eq!(sink.send(CHANGE, b"change\n"), Sent::Queued);
    let error = sink.finish(LIMIT).unwrap_err();
    let SinkError::Unfinished { left, written, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((left, written.events, written.lost), (7, 0, 101));
}

#[test]
fn bulk_makes_way_for_a_change() {
    let (mut reader, target) = pipe();
    let sink = Sink::spawn(target, 100).unwrap();
    // More than the pipe holds, so that the writer is stuck with it.
    let filler = [vec![b'x'; 1 << 17], b"\n".to_vec()].concat();
    sink.send(BULK, &filler);
    wait_for("the writer takes the first line", || {
        sink.shared.lock().queue.lines.is_empty()
    });
    for _ in 0..100 {
        sink.send(BULK, b"exec\n");
    }
    for _ in 0..90 {
        assert_eq!(sink.send(CHANGE, b"change\n"), Sent::Queued);
    }
    let lost: u64 = sink.losses().iter().map(|loss| loss.count).sum();
    assert_eq!(lost, 100);
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        send.send(text).unwrap();
    });
    let written = sink.finish(LIMIT).unwrap();
    assert_eq!((written.events, written.lost), (91, 100));
    let text = receive.recv_timeout(LIMIT).unwrap();
    assert_eq!(text, [filler, b"change\n".repeat(90)].concat());
}

#[test]
fn a_slow_reader_gets_whole_lines() {
    let (reader, target) = pipe();
    let sink = Sink::spawn(target, 50).unwrap();
    let line = [vec![b'y'; 9_999], b"\n".to_vec()].concat();
    let count = thread::spawn(move || {
        let mut lines = 0;
        for line in BufReader::with_capacity(1000, reader).lines() {
            assert_eq!(line.unwrap().len(), 9_999);
            thread::sleep(Duration::from_micros(200));
            lines += 1;
        }
        lines
    });
    let queued = (0..500)
        .filter(|_| sink.send(BULK, &line) == Sent::Queued)
        .count();
    assert!(queued < 500, "the reader is slow");
    let written = sink.finish(LIMIT).unwrap();
    assert_eq!(written.events, queued as u64);
    assert_eq!(written.lost, 500 - queued as u64);
    assert_eq!(count.join().unwrap(), queued);
}

#[test]
fn finish_does_not_wait_for_ever() {
    let (reader, target) = pipe();
    let sink = Sink::spawn(target, 50).unwrap();
    sink.send(CHANGE, &[vec![b'z'; 1 << 18], b"\n".to_vec()].concat());
    sink.send(CHANGE, b"change\n");
    let started = Instant::now();
    let error = sink.finish(Duration::from_millis(50)).unwrap_err();
    assert!(started.elapsed() < LIMIT);
    assert!(
        matches!(error, SinkError::Unfinished { left: 2, .. }),
        "{error}"
    );
    drop(reader);
}

/// A disk with a script: how many bytes each write takes, `None` for no space left.
struct Disk {
    script: VecDeque<Option<usize>>,
    sent: mpsc::Sender<Vec<u8>>,
    held: Vec<u8>,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.script.pop_front().unwrap_or(Some(usize::MAX)) {
            None => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            Some(room) => {
                let count = room.min(bytes.len());
                self.held.extend_from_slice(&bytes[..count]);
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Disk {
    fn take_back(&mut self, length: u64) {
        self.held.truncate(self.held.len() - length as usize);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.sent.send(std::mem::take(&mut self.held));
    }
}

fn disk(script: &[Option<usize>]) -> (Disk, mpsc::Receiver<Vec<u8>>) {
    let (sent, held) = mpsc::channel();
    let disk = Disk {
        script: script.iter().copied().collect(),
        sent,
        held: Vec::new(),
    };
    (disk, held)
}

#[test]
fn a_half_line_is_finished_when_space_returns() {
    let (disk, held) = disk(&[Some(3), None, Some(1), None, Some(5)]);
    let sink = Sink::start(disk, "a disk".to_owned(), 10).unwrap();
    for line in ["first\n", "second\n", "third\n"] {
        sink.send(CHANGE, line.as_bytes());
    }
    wait_for("the disk has space again", || {
        sink.shared.lock().written.events == 3
    });
    assert_eq!(sink.finish(LIMIT).unwrap().lost, 0);
    assert_eq!(held.recv_timeout(LIMIT).unwrap(), b"first\nsecond\nthird\n");
}

#[test]
fn a_half_line_at_the_end_is_taken_back() {
    let (disk, held) = disk(&[Some(8), None, None, None, None]);
    let sink = Sink::start(disk, "a disk".to_owned(), 10).unwrap();
    sink.send(BULK, b"first\n");
    sink.send(BULK, b"second\n");
    let error = sink.finish(LIMIT).unwrap_err();
    let SinkError::Unfinished { left, written, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((*left, written.events, written.lost), (1, 1, 1));
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(held.recv_timeout(LIMIT).unwrap(), b"first\n");
}

#[test]
fn a_real_file_loses_its_half_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events");
    let mut output = Target::File(path.clone()).open().unwrap();
    output.write_all(b"whole\nhal").unwrap();
    output.take_back(3);
    assert_eq!(fs::read(&path).unwrap(), b"whole\n");
    // Not when somebody else has written meanwhile.
    output.write_all(b"hal").unwrap();
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut other| other.write_all(b"other"))
        .unwrap();
    output.take_back(3);
    assert_eq!(fs::read(&path).unwrap(), b"whole\nhalother");
}
