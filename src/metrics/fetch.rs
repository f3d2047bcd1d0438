//! Asks a program for its numbers.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::read::TextError;
use super::snapshot::Snapshot;

/// Most bytes of an answer: some thousand pools.
const MOST: usize = 16 << 20;

/// Why a program's numbers could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nobody listens there.
    #[error(
        "can't connect to {}: does a program offer its numbers there (`hwpool soak --offer`, `hwpool::metrics::Exporter`), and may this user reach it?",
        path.display()
    )]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The program ended, or its answer could not be read.
    #[error("{}: the program that offers its numbers hung up", path.display())]
    Gone {
        /// The socket's path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Nothing came in time.
    #[error("{}: no answer within {patience:?}: the program hangs, or is stopped", path.display())]
    Silent {
        /// The socket's path.
        path: PathBuf,
        /// How long was waited.
        patience: Duration,
    },
    /// The answer has no end.
    #[error("{}: the answer is longer than {MOST} bytes, and no list of pools", path.display())]
    TooLong {
        /// The socket's path.
        path: PathBuf,
    },
    /// It says no, or is something else.
    #[error("{}: what listens there offers no numbers: it answered {answer:?}", path.display())]
    Refused {
        /// The socket's path.
        path: PathBuf,
        /// How its answer begins.
        answer: String,
    },
    /// It answers something else than numbers.
    #[error("{}: what came is no list of numbers", path.display())]
    Text {
        /// The socket's path.
        path: PathBuf,
        /// What is wrong with it.
        source: TextError,
    },
}

/// Asks the program that listens at `path` for its numbers.
///
/// Blocks for `patience` at most.
///
/// # Errors
///
/// Nobody listens there, is silent, or answers something else.
pub fn fetch(path: impl AsRef<Path>, patience: Duration) -> Result<Snapshot, FetchError> {
    let path = path.as_ref();
    let until = Instant::now() + patience;
    let own = || path.to_path_buf();
    let late = || FetchError::Silent {
        path: own(),
        patience,
    };
    let failed = |source: io::Error| match is_late(&source) {
        true => late(),
        false => FetchError::Gone {
            path: own(),
            source,
        },
    };
    let mut stream = reach(path, patience).map_err(|source| match is_late(&source) {
        true => late(),
        false => FetchError::Connect {
            path: own(),
            source,
        },
    })?;
    let question = b"GET /metrics HTTP/1.0\r\n\r\n";
    // A client too many is answered, and hung up on, before it has asked.
    let _ = stream.write_all(question);
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        stream.set_read_timeout(Some(left)).map_err(failed)?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&piece[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Answered before it had asked.
            Err(error) if error.kind() == ErrorKind::ConnectionReset && !answer.is_empty() => break,
            Err(error) => return Err(failed(error)),
        }
        if answer.len() > MOST {
            return Err(FetchError::TooLong { path: own() });
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let body = answer.split_once("\r\n\r\n");
    let body = body.filter(|(head, _)| head.starts_with("HTTP/1.") && says_yes(head));
    let Some((_, body)) = body else {
        let first = answer.lines().next().unwrap_or("nothing");
        return Err(FetchError::Refused {
            path: own(),
            answer: first.chars().take(60).collect(),
        });
    };
    Snapshot::from_openmetrics(body).map_err(|source| FetchError::Text {
        path: own(),
        source,
    })
}

fn says_yes(head: &str) -> bool {
    head.split_ascii_whitespace().nth(1) == Some("200")
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Connects; where too many wait already, for `patience` at most.
fn reach(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let most = TimeVal::milliseconds(
        i64::try_from(patience.as_millis())
            .unwrap_or(i64::MAX)
            .max(1),
    );
    // A connect to a socket of this family counts as sending (unix(7), SO_SNDTIMEO in socket(7)).
    setsockopt(&socket, sockopt::SendTimeout, &most)?;
    connect(socket.as_raw_fd(), &address)?;
    Ok(socket.into())
}
