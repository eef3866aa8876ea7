//! Who spawned whom.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio, id};

use whodunit_tests::{Agent, Event, Kind, python, skip, tag};

fn test_pid() -> u64 {
    u64::from(id())
}

/// Runs a Python program and returns its pid and what it printed.
fn run_python(program: &str, arguments: &[&str]) -> Option<(u64, String)> {
    let mut command = Command::new(python()?);
    let child = command.args(["-c", program]).args(arguments);
    let child = child.stdout(Stdio::piped()).spawn().unwrap();
    let pid = u64::from(child.id());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    Some((pid, String::from_utf8(output.stdout).unwrap()))
}

fn wait_for_true(agent: &Agent, tag: &str) -> Event {
    agent.wait_for("the exec of true", |event| event.is_exec_of("true", tag))
}

#[test]
fn a_forked_shell_is_the_spawner() {
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    // The subshell forks and does not exec: only a fork can tell of it.
    let script = "( sh -c 'echo $PPID'; /bin/true $0; : ); :";
    let mut command = Command::new("sh");
    command.args(["-c", script, &tag]).current_dir("/usr");
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let shell = u64::from(child.id());
    let output = child.wait_with_output().unwrap();
    let subshell: u64 = String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();

    let exec = wait_for_true(&agent, &tag);
    assert_eq!(exec.actor_pid(), subshell);
    assert_eq!(exec.ancestry()[..2], [shell, test_pid()]);
    assert_eq!(exec.text("unmapped/lineage"), "measured");
    assert_eq!(exec.text("process/working_directory"), "/usr");
    let actor = |field: &str| exec.at(&format!("actor/process/{field}"));
    let parent = |field: &str| exec.at(&format!("actor/process/ancestry/0/{field}"));
    assert_eq!(
        actor("path"),
        parent("path"),
        "a fork runs what its parent runs"
    );
    assert_ne!(actor("uid"), parent("uid"));
    let line = actor("cmd_line").as_str().unwrap();
    assert!(line.starts_with("sh -c ") && line.ends_with(&tag), "{line}");
    agent.stop();
}

#[test]
fn an_orphan_keeps_its_spawner() {
    // The orphan waits until its parent is gone.
    const PROGRAM: &str = r"
import os, sys, time
first = os.fork()
if first:
    os.waitpid(first, 0)
    print(first)
    sys.exit()
spawner = os.getpid()
if os.fork():
    os._exit(0)
while os.getppid() == spawner:
    time.sleep(0.001)
os.execvp('true', ['true', sys.argv[1]])
";
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let Some((grandparent, printed)) = run_python(PROGRAM, &[&tag]) else {
        return;
    };
    let exec = wait_for_true(&agent, &tag);
    assert_eq!(exec.actor_pid(), printed.trim().parse::<u64>().unwrap());
    assert_eq!(exec.ancestry()[..2], [grandparent, test_pid()]);
    agent.stop();
}

#[test]
fn a_child_is_not_what_its_parent_became() {
    // No event tells of a fork: what the child runs is what its parent ran then, not what it runs now.
    const PROGRAM: &str = r"
import os, signal, sys, time
parent = os.getpid()
if os.fork():
    os.execvp('sleep', ['sleep', '1000'])
while open(f'/proc/{parent}/comm').read() != 'sleep\n':
    time.sleep(0.01)
input() # until the agent knows
os.kill(int(sys.argv[2]), signal.SIGWINCH)
os.kill(parent, signal.SIGTERM)
";
    let Some(python) = python() else { return };
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let mut command = Command::new(python);
    command.args(["-c", PROGRAM, &tag, &agent.pid().to_string()]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let parent = u64::from(child.id());
    agent.wait_for("the exec of sleep", |event| {
        event.kind() == Kind::Exec && event.pid() == parent && event.mentions("sleep 1000")
    });
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    agent.wait_for("who signalled", |event| {
        event.kind() == Kind::Finding && event.mentions("SIGWINCH") && event.mentions(&tag)
    });
    child.wait().unwrap();
    agent.stop();
}

#[test]
fn an_exec_by_another_thread_keeps_the_pid() {
    const PROGRAM: &str = r"
import os, sys, threading
run = lambda: os.execvp('true', ['true', sys.argv[1]])
thread = threading.Thread(target=run)
thread.start()
thread.join()
";
    let Some(agent) = Agent::start(&["--exits"]) else {
        return;
    };
    let tag = tag();
    let Some((pid, _)) = run_python(PROGRAM, &[&tag]) else {
        return;
    };
    let exec = wait_for_true(&agent, &tag);
    assert_eq!(exec.pid(), pid);
    assert_eq!(exec.actor_pid(), test_pid());
    // The thread takes over the leader's pid; the leader's own end is no end of the process.
    let uid = exec.text("process/uid").to_owned();
    agent.wait_for("the end", |event| {
        event.number("activity_id") == 2 && event.text("process/uid") == uid
    });
    let run = agent.finish();
    let ends = |event: &&Event| event.number("activity_id") == 2 && event.pid() == pid;
    assert_eq!(run.events.iter().filter(ends).count(), 1);
}

#[test]
fn spawns_that_share_memory_are_measured() {
    const PROGRAM: &str = r"
import os, subprocess, sys
pid = os.posix_spawnp('true', ['true', sys.argv[1] + 'posix'], os.environ)
os.waitpid(pid, 0)
subprocess.run(['true', sys.argv[1] + 'vfork'], close_fds=False)
";
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let Some((pid, _)) = run_python(PROGRAM, &[&tag]) else {
        return;
    };
    for way in ["posix", "vfork"] {
        let exec = wait_for_true(&agent, &format!("{tag}{way}"));
        assert_eq!(exec.actor_pid(), pid, "{way}");
        assert_eq!(exec.ancestry()[0], test_pid(), "{way}");
    }
    agent.stop();
}

#[test]
fn a_process_older_than_the_agent_is_known() {
    let tag = tag();
    let script = "read go; /bin/true $0; :";
    let mut command = Command::new("sh");
    command.args(["-c", script, &tag]).stdin(Stdio::piped());
    let mut shell = command.stdout(Stdio::piped()).spawn().unwrap();
    let Some(agent) = Agent::start(&[]) else {
        shell.kill().unwrap();
        shell.wait().unwrap();
        return;
    };
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let exec = wait_for_true(&agent, &tag);
    assert_eq!(exec.actor_pid(), u64::from(shell.id()));
    assert_eq!(exec.ancestry()[0], test_pid());
    let line = exec.text("actor/process/cmd_line");
    assert!(line.ends_with(&tag), "{line}");
    assert!(!exec.text("actor/process/ancestry/0/path").is_empty());
    shell.wait().unwrap();
    agent.stop();
}

#[test]
fn five_hundred_short_lives_are_all_told() {
    const COUNT: usize = 500;
    let Some(agent) = Agent::start(&["--exits"]) else {
        return;
    };
    let tag = tag();
    let script = format!("i=0; while [ $i -lt {COUNT} ]; do /bin/true $0$i; i=$((i+1)); done");
    let mut shell = Command::new("sh")
        .args(["-c", &script, &tag])
        .spawn()
        .unwrap();
    assert!(shell.wait().unwrap().success());
    agent.wait_for("the end of the shell", |event| {
        event.number("activity_id") == 2 && event.pid() == u64::from(shell.id())
    });
    let run = agent.finish();
    assert_eq!(run.totals.lost, 0);
    let seen: Vec<_> = run
        .events
        .iter()
        .filter(|event| event.is_exec_of("true", &tag))
        .collect();
    assert_eq!(seen.len(), COUNT);
    for (index, exec) in seen.iter().enumerate() {
        assert!(
            exec.command().ends_with(&format!("{tag}{index}")),
            "in order"
        );
        assert_eq!(exec.actor_pid(), u64::from(shell.id()));
        let ends = |event: &&Event| {
            event.number("activity_id") == 2 && event.at("process/uid") == exec.at("process/uid")
        };
        assert_eq!(run.events.iter().filter(ends).count(), 1, "{exec:?}");
    }
}

#[test]
fn a_new_namespace_does_not_hide_the_pid() {
    let Some(agent) = Agent::start(&[]) else {
        return;
    };
    let tag = tag();
    let mut command = Command::new("unshare");
    command.args([
        "--pid",
        "--mount",
        "--fork",
        "sh",
        "-c",
        "echo $$; /bin/true $0; :",
        &tag,
    ]);
    let Ok(child) = command.stdout(Stdio::piped()).spawn() else {
        return skip("no unshare");
    };
    let unshare = u64::from(child.id());
    let mut printed = String::new();
    let mut child = child;
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut printed)
        .unwrap();
    child.wait().unwrap();
    assert_eq!(
        printed.trim(),
        "1",
        "the shell is the first in its namespace"
    );
    let exec = wait_for_true(&agent, &tag);
    assert!(exec.actor_pid() > 1, "pids are the host's");
    assert_eq!(exec.ancestry()[..2], [unshare, test_pid()]);
    agent.stop();
}
