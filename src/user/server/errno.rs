//! The numbers that commands are refused with.

use std::fmt;

use nix::errno;

/// Why a command is refused, as the kernel numbers it: the client is told this number.
///
/// The constants are those that the server itself refuses with; any other is made of its number, as
/// `Errno(libc::EDOM)`.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

#[expect(missing_docs, reason = "the kernel's own names")]
impl Errno {
    pub const EEXIST: Errno = Errno(libc::EEXIST);
    pub const EFAULT: Errno = Errno(libc::EFAULT);
    pub const EINVAL: Errno = Errno(libc::EINVAL);
    pub const EIO: Errno = Errno(libc::EIO);
    pub const EMFILE: Errno = Errno(libc::EMFILE);
    pub const EMSGSIZE: Errno = Errno(libc::EMSGSIZE);
    pub const ENOSPC: Errno = Errno(libc::ENOSPC);
    pub const ENOTTY: Errno = Errno(libc::ENOTTY);
    pub const EOPNOTSUPP: Errno = Errno(libc::EOPNOTSUPP);
    pub const EPERM: Errno = Errno(libc::EPERM);
    pub const EPROTONOSUPPORT: Errno = Errno(libc::EPROTONOSUPPORT);
}

impl Errno {
    /// Takes the number of a call that failed.
    pub(in crate::user) fn of(errno: errno::Errno) -> Errno {
        Errno(errno as i32)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = errno::Errno::from_raw(self.0).desc();
        write!(f, "errno {} ({text})", self.0)
    }
}

impl std::error::Error for Errno {}
