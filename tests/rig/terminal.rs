//! Terminals for programs that are tested.

use std::fs::File;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};

/// Returns a terminal of 24 lines: the end that is looked at, and the program's.
///
/// A program that is started gets neither end by itself. One that had the first would keep its own terminal alive, and go on
/// after a test that was killed.
pub(crate) fn of_columns(columns: u16) -> (File, OwnedFd) {
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = openpty(Some(&size), None).expect("a terminal");
    for end in [&terminal.master, &terminal.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("a descriptor");
    }
    (terminal.master.into(), terminal.slave)
}
