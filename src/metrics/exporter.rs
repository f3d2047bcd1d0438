//! [`Exporter`]: a program offers its numbers on a socket.
//!
//! The answer is one of HTTP, so that `curl --unix-socket` and what forwards to Prometheus can ask for it, too. Whoever asks
//! has a thread, a deadline, and nothing that stops anybody else.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::snapshot::Snapshot;
use super::write::CONTENT_TYPE;
use crate::listener::{BindError, Listener};

/// How long a client may take to ask, and as long again for its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most clients at a time; who comes beyond is told so.
const MOST_CLIENTS: usize = 8;
/// Most bytes of a question.
const MOST_ASKED: usize = 8 << 10;
/// How long nobody is taken where the system was short of descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Offers numbers of this program on a socket, until it is dropped. `hwpool top unix:PATH` and `hwpool metrics unix:PATH`
/// read them.
///
/// ```
/// # #[cfg(feature = "pool")] {
/// use hwpool::Pool;
/// use hwpool::metrics::{Exporter, PoolState, Snapshot};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rx.sock");
/// let pool = Pool::builder("rx").objects(1024).size(2048).build()?;
/// let offered = pool.clone();
/// let exporter = Exporter::listen(path, move || PoolState::of(&offered).into())?;
/// // ... the program's work ...
/// drop(exporter); // nobody is answered any more, and the clone is gone
/// assert!(pool.close()?.is_clean());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A child of `fork` has a copy that does nothing: the socket is the parent's.
#[derive(Debug)]
pub struct Exporter {
    /// Hung up to end the thread.
    bell: UnixStream,
    thread: Option<JoinHandle<()>>,
    process: u32,
}

impl Exporter {
    /// Listens at `path` with mode 0600, so that this user and root can ask. `numbers` is called for each who asks, from
    /// several threads. A socket that a dead program has left there is replaced.
    ///
    /// # Errors
    ///
    /// A program that listens there, a file that is no socket, or what the operating system says.
    pub fn listen(
        path: impl AsRef<Path>,
        numbers: impl Fn() -> Snapshot + Send + Sync + 'static,
    ) -> Result<Exporter, BindError> {
        let path = path.as_ref();
        let os = |call| {
            move |error: std::io::Error| BindError::Os {
                path: path.into(),
                call,
                errno: error.raw_os_error().unwrap_or(0),
            }
        };
        let listener = Listener::bind(path)?;
        let socket = listener.socket.try_clone().map_err(os("dup"))?;
        let sockets = (listener, UnixListener::from(socket));
        let (bell, rung) = UnixStream::pair().map_err(os("socketpair"))?;
        let thread = thread::Builder::new().name("hwpool-metrics".into());
        let thread = thread.spawn(move || serve(&sockets, &rung, &numbers));
        Ok(Exporter {
            bell,
            thread: Some(thread.map_err(os("clone"))?),
            process: process::id(),
        })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let thread = self.thread.take();
        if self.process != process::id() {
            std::mem::forget(thread); // there is none in a child of `fork`, and the bell is the parent's
            return;
        }
        let _ = self.bell.shutdown(Shutdown::Both);
        if let Some(thread) = thread {
            let _ = thread.join(); // a panic of the program's `numbers` was printed when it happened
        }
    }
}

/// Takes clients until the bell rings.
fn serve(
    (listener, socket): &(Listener, UnixListener),
    bell: &UnixStream,
    numbers: &(dyn Fn() -> Snapshot + Sync),
) {
    let clients = &AtomicUsize::new(0);
    thread::scope(|scope| {
        while wait(listener.socket.as_fd(), PollFlags::POLLIN, bell, None) {
            let client = match socket.accept() {
                Ok((client, _)) => client,
                Err(error) if is_passing(&error) => continue,
                Err(error) => {
                    tracing::warn!(%error, "nobody is told numbers for a moment: `ulimit -n`?");
                    let soon = Instant::now() + PAUSE;
                    wait(bell.as_fd(), PollFlags::empty(), bell, Some(soon));
                    continue;
                }
            };
            let Ok(talk) = Talk::with(client, bell, clients) else {
                continue; // gone before a word was said
            };
            if talk.is_one_too_many {
                talk.refuse();
                continue;
            }
            let thread = thread::Builder::new().name("hwpool-metrics".into());
            // Without a thread the client is hung up on, and may try again.
            let _ = thread.spawn_scoped(scope, move || talk.run(numbers));
        }
    });
}

fn is_passing(error: &io::Error) -> bool {
    let passing = [
        ErrorKind::WouldBlock,
        ErrorKind::Interrupted,
        ErrorKind::ConnectionAborted,
    ];
    passing.contains(&error.kind())
}

/// Waits for `fd`; false where the bell rings first, or the time is over.
fn wait(fd: BorrowedFd<'_>, events: PollFlags, bell: &UnixStream, until: Option<Instant>) -> bool {
    loop {
        let mut fds = [
            PollFd::new(fd, events),
            PollFd::new(bell.as_fd(), PollFlags::POLLIN),
        ];
        let timeout = match until.map(|until| until.saturating_duration_since(Instant::now())) {
            None => PollTimeout::NONE,
            Some(Duration::ZERO) => return false,
            // Rounded up: no wait of 0 until the time is over.
            Some(left) => PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX),
        };
        match poll(&mut fds, timeout) {
            Ok(_) if fds[1].any() == Some(true) => return false,
            Ok(1..) => return true,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// A client, and how many there are with it.
struct Talk<'a> {
    client: UnixStream,
    bell: &'a UnixStream,
    clients: &'a AtomicUsize,
    is_one_too_many: bool,
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'a> Talk<'a> {
    fn with(
        client: UnixStream,
        bell: &'a UnixStream,
        clients: &'a AtomicUsize,
    ) -> io::Result<Talk<'a>> {
        client.set_nonblocking(true)?;
        let before = clients.fetch_add(1, Ordering::Relaxed);
        Ok(Talk {
            client,
            bell,
            clients,
            is_one_too_many: before >= MOST_CLIENTS,
        })
    }

    /// Answers one question. A client that goes, or is too slow, is hung up on.
    fn run(mut self, numbers: &(dyn Fn() -> Snapshot + Sync)) {
        let Some(asked) = self.ask() else { return };
        let (status, kind, body) = match judge(&asked) {
            Ok(()) => match catch_unwind(AssertUnwindSafe(|| numbers().openmetrics())) {
                Ok(text) => ("200 OK", CONTENT_TYPE, text),
                // What it was is printed.
                Err(_) => plain("500 Internal Server Error", "the program's numbers failed"),
            },
            Err((status, why)) => plain(status, why),
        };
        self.answer(message(status, kind, &body).as_bytes());
    }

    /// Says no without a thread, and without waiting for the question.
    fn refuse(mut self) {
        let why = format!("{MOST_CLIENTS} others ask at this moment: ask again\n");
        let answer = message("503 Service Unavailable", PLAIN, &why);
        let _ = self.client.write(answer.as_bytes());
    }

    /// Reads up to the empty line that ends a question; `None` where none came in time.
    fn ask(&mut self) -> Option<Vec<u8>> {
        let until = Instant::now() + PATIENCE;
        let mut asked = Vec::new();
        let mut piece = [0; 1024];
        loop {
            if !wait(
                self.client.as_fd(),
                PollFlags::POLLIN,
                self.bell,
                Some(until),
            ) {
                return None;
            }
            match self.client.read(&mut piece) {
                Ok(0) => return None,
                Ok(n) => asked.extend_from_slice(&piece[..n]),
                Err(error) if is_passing(&error) => {}
                Err(_) => return None,
            }
            let is_over = |end: &[u8]| asked.windows(end.len()).any(|part| part == end);
            if is_over(b"\r\n\r\n") || is_over(b"\n\n") || asked.len() > MOST_ASKED {
                return Some(asked);
            }
        }
    }

    fn answer(&mut self, mut rest: &[u8]) {
        let until = Instant::now() + PATIENCE;
        while !rest.is_empty() {
            if !wait(
                self.client.as_fd(),
                PollFlags::POLLOUT,
                self.bell,
                Some(until),
            ) {
                return;
            }
            match self.client.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(error) if is_passing(&error) => {}
                Err(_) => return,
            }
        }
    }
}

/// The media type of what is said instead of numbers.
const PLAIN: &str = "text/plain; charset=utf-8";

/// Returns status, media type and body of an answer without numbers.
fn plain(status: &'static str, why: &str) -> (&'static str, &'static str, String) {
    (status, PLAIN, format!("{why}\n"))
}

fn message(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// Says whether a question is for the numbers.
fn judge(asked: &[u8]) -> Result<(), (&'static str, &'static str)> {
    let line = asked
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let line = str::from_utf8(line).unwrap_or("");
    let mut words = line.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("GET"), Some(path), Some(version)) if version.starts_with("HTTP/1.") => {
            match path.split('?').next() {
                Some("/" | "/metrics") => Ok(()),
                _ => Err(("404 Not Found", "there is /metrics alone")),
            }
        }
        (Some(_), Some(_), Some(version)) if version.starts_with("HTTP/1.") => {
            Err(("405 Method Not Allowed", "numbers can be read only: GET"))
        }
        _ => Err(("400 Bad Request", "this is no HTTP")),
    }
}
