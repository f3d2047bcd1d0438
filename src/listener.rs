//! A listening socket and its file.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};

/// Why a server can't listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another server lives there.
    #[error("a server is listening at {} already: stop it, or choose another path", path.display())]
    Alive {
        /// The path.
        path: PathBuf,
    },
    /// What is there is none of ours to replace.
    #[error("{} exists and is no socket: remove it, or choose another path", path.display())]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// A call of the operating system failed.
    #[error("can't serve at {}: {call} failed with errno {} ({})", path.display(), errno, Errno::from_raw(*errno).desc())]
    Os {
        /// The path.
        path: PathBuf,
        /// The system call.
        call: &'static str,
        /// Its errno.
        errno: i32,
    },
}

/// A listening socket, whose file goes with it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: OwnedFd,
    path: PathBuf,
    /// Device and inode of the file, so that nobody else's is removed.
    identity: (u64, u64),
}

impl Listener {
    /// Binds, makes the file the user's alone, and only then listens: nobody can connect in between.
    pub(crate) fn bind(path: &Path) -> Result<Listener, BindError> {
        let os = |call| {
            move |errno: Errno| BindError::Os {
                path: path.into(),
                call,
                errno: errno as i32,
            }
        };
        remove_stale(path)?;
        let address = UnixAddr::new(path).map_err(os("bind"))?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None);
        let socket = socket.map_err(os("socket"))?;
        bind(socket.as_raw_fd(), &address).map_err(os("bind"))?;
        let identity = fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()));
        let listener = Listener {
            socket,
            path: path.into(),
            identity: identity.unwrap_or_default(),
        };
        let owner_only = Mode::S_IRUSR | Mode::S_IWUSR;
        let here = nix::fcntl::AT_FDCWD;
        let changed = fchmodat(here, path, owner_only, FchmodatFlags::FollowSymlink);
        changed.map_err(os("chmod"))?;
        listen(
            &listener.socket,
            Backlog::new(16).unwrap_or(Backlog::MAXCONN),
        )
        .map_err(os("listen"))?;
        Ok(listener)
    }

    #[cfg(feature = "user")]
    pub(crate) fn failed(&self, call: &'static str, errno: Errno) -> BindError {
        BindError::Os {
            path: self.path.clone(),
            call,
            errno: errno as i32,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let file = fs::symlink_metadata(&self.path);
        if file.is_ok_and(|file| (file.dev(), file.ino()) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket of a server that died. One that answers lives; one that refuses has nobody behind it.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let Ok(file) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !file.file_type().is_socket() {
        return Err(BindError::Occupied { path: path.into() });
    }
    let os = |call| {
        move |errno: Errno| BindError::Os {
            path: path.into(),
            call,
            errno: errno as i32,
        }
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(os("socket"))?;
    let address = UnixAddr::new(path).map_err(os("connect"))?;
    match connect(probe.as_raw_fd(), &address) {
        // Full of waiting clients counts as alive.
        Ok(()) | Err(Errno::EAGAIN | Errno::EINPROGRESS) => {
            Err(BindError::Alive { path: path.into() })
        }
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(|error| BindError::Os {
            path: path.into(),
            call: "unlink",
            errno: error.raw_os_error().unwrap_or(0),
        }),
        Err(errno) => Err(os("connect")(errno)),
    }
}
