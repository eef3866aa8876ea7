//! A manager's own socket: D-Bus with neither a bus nor a `Hello` in between.
//!
//! The far end may be a user's: it has to prove that it is the manager, and what it sends is
//! bounded.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::connection::socket::{BoxedSplit, ReadHalf, Split};
use zbus::export::async_trait::async_trait;

use super::header;

/// How long the far end may take to let us in.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest line of the handshake.
const LINE_MAX: usize = 512;

/// Why a private socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivateError {
    /// It could not be connected to.
    #[error("cannot connect to {path}: {source}", path = path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else than the manager listens there.
    #[error("process {pid} listens on {path}, not the manager ({expected})", path = path.display())]
    Impostor {
        /// The socket.
        path: PathBuf,
        /// Who listens.
        pid: i32,
        /// The manager's process.
        expected: u32,
    },
    /// The far end speaks no D-Bus.
    #[error("{path} does not let us in: {why}", path = path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// What it said.
        why: String,
    },
}

/// What one connection may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Longest message in bytes; a longer one ends the connection.
    pub(crate) message: usize,
    /// Most messages that wait.
    pub(crate) queue: usize,
}

impl Bounds {
    /// PID 1's: it is trusted, and may have many units.
    pub(crate) const SYSTEM: Self = Self {
        message: 64 << 20,
        queue: 4096,
    };
    /// Those of a manager that belongs to a user.
    pub(crate) const USER: Self = Self {
        message: 512 << 10,
        queue: 32,
    };
}

/// Connects to the private socket at `path`, on which the process `manager` has to listen.
pub(crate) async fn connect(
    path: &Path,
    manager: u32,
    bounds: Bounds,
) -> Result<Connection, PrivateError> {
    let refused = |why: String| PrivateError::Refused {
        path: path.to_owned(),
        why,
    };
    let opened = timeout(PATIENCE, open(path, manager)).await;
    let (stream, guid) = opened.unwrap_or_else(|_| Err(refused("no answer".to_owned())))?;
    let (read, write) = stream.into_split();
    let read = Bounded {
        from: read,
        most: bounds.message,
        message: Vec::new(),
        given: 0,
    };
    let halves: Split<Bounded, OwnedWriteHalf> = Split::new(read, write);
    let (read, write) = halves.take();
    let socket: BoxedSplit = Split::new(Box::new(read), Box::new(write));
    let builder = Builder::authenticated_socket(socket, guid.as_str());
    let built = match builder {
        Ok(builder) => builder.max_queued(bounds.queue).build().await,
        Err(error) => Err(error),
    };
    built.map_err(|error| refused(error.to_string()))
}

/// Connects and authenticates. Gives back the server's id.
async fn open(path: &Path, manager: u32) -> Result<(UnixStream, String), PrivateError> {
    let failed = |source| PrivateError::Connect {
        path: path.to_owned(),
        source,
    };
    let mut stream = UnixStream::connect(path).await.map_err(failed)?;
    // Of a connected stream these are the listener's: whoever put the socket there.
    let pid = stream.peer_cred().map_err(failed)?.pid().unwrap_or(0);
    if u32::try_from(pid).ok() != Some(manager) {
        return Err(PrivateError::Impostor {
            path: path.to_owned(),
            pid,
            expected: manager,
        });
    }
    let uid: String = geteuid().to_string().bytes().map(hex).collect();
    // In one piece: a message that reaches sd-bus together with BEGIN is left lying until the next
    // one comes.
    let hello = format!("\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n");
    stream.write_all(hello.as_bytes()).await.map_err(failed)?;
    let line = read_line(&mut stream).await.map_err(failed)?;
    let Some(guid) = line.strip_prefix("OK ") else {
        return Err(PrivateError::Refused {
            path: path.to_owned(),
            why: line,
        });
    };
    let guid = guid.to_owned();
    Ok((stream, guid))
}

fn hex(byte: u8) -> String {
    format!("{byte:02x}")
}

/// Reads a line of the handshake, and not a byte more.
async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    while line.len() < LINE_MAX {
        match stream.read_u8().await? {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// The reading half: bounds messages, and checks their headers.
#[derive(Debug)]
struct Bounded {
    from: OwnedReadHalf,
    most: usize,
    /// The message that is being handed on, and how much of it was.
    message: Vec<u8>,
    given: usize,
}

impl Bounded {
    async fn next(&mut self) -> io::Result<Vec<u8>> {
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        let mut fixed = [0; header::FIXED];
        self.from.read_exact(&mut fixed).await?;
        let lengths = header::lengths(&fixed);
        let (head, whole) =
            lengths.ok_or_else(|| wrong("a message without a header".to_owned()))?;
        if whole > self.most {
            return Err(wrong(format!("a message of {whole} bytes")));
        }
        let mut message = fixed.to_vec();
        message.resize(whole, 0);
        if let Some(rest) = message.get_mut(header::FIXED..) {
            self.from.read_exact(rest).await?;
        }
        let checked = message.get_mut(..head).and_then(header::sanitize);
        checked.ok_or_else(|| wrong("a message with a wrong header".to_owned()))?;
        Ok(message)
    }
}

#[async_trait]
impl ReadHalf for Bounded {
    async fn recvmsg(
        &mut self,
        buffer: &mut [u8],
    ) -> io::Result<(usize, Vec<std::os::fd::OwnedFd>)> {
        if self.given >= self.message.len() {
            self.message = self.next().await?;
            self.given = 0;
        }
        let rest = self.message.get(self.given..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.given += count;
        Ok((count, Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    const GUID: &str = "0123456789abcdef0123456789abcdef";

    /// A far end that lets everybody in, sends `bytes` and waits.
    async fn serve(listener: UnixListener, bytes: Vec<u8>) {
        let (mut stream, _) = listener.accept().await.expect("accepts");
        let hello = read_line(&mut stream).await.expect("a line");
        assert!(hello.starts_with("\0AUTH EXTERNAL "), "{hello:?}");
        assert_eq!(read_line(&mut stream).await.expect("a line"), "BEGIN");
        let answer = format!("OK {GUID}\r\n");
        stream.write_all(answer.as_bytes()).await.expect("writes");
        stream.write_all(&bytes).await.expect("writes");
        let _ = stream.read_u8().await;
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    }

    /// The header of a signal with a body of `length` bytes.
    fn header(length: u32) -> Vec<u8> {
        let mut bytes = vec![b'l', 4, 0, 1];
        bytes.extend(length.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        bytes
    }

    #[test]
    fn a_message_that_is_too_long_ends_the_connection() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("private");
        runtime().block_on(async {
            let listener = UnixListener::bind(&path).expect("binds");
            tokio::spawn(serve(listener, header(100 << 20)));
            let connection = connect(&path, std::process::id(), Bounds::USER).await;
            let connection = connection.expect("lets us in");
            timeout(PATIENCE, connection.closed()).await.expect("ends");
        });
    }

    #[test]
    fn only_the_manager_itself_is_believed() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("private");
        runtime().block_on(async {
            let _listener = UnixListener::bind(&path).expect("binds");
            let error = connect(&path, 1, Bounds::USER).await;
            assert!(matches!(error, Err(PrivateError::Impostor { .. })));
            let missing = connect(&dir.path().join("none"), 1, Bounds::USER).await;
            assert!(matches!(missing, Err(PrivateError::Connect { .. })));
        });
    }
}
