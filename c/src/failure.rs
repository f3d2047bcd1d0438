//! [`Failure`]: a status with its text and causes, and the last one of each thread.

use std::cell::RefCell;
use std::error::Error;
use std::ffi::{CString, c_char, c_int};
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::status::Status;

/// Why a call did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    /// What failed, why, why that.
    chain: Vec<String>,
}

impl Failure {
    pub(crate) fn new(status: Status, text: impl Into<String>) -> Failure {
        Failure {
            status,
            chain: vec![text.into()],
        }
    }

    /// Makes it of an error and its sources.
    pub(crate) fn of(status: Status, error: &dyn Error) -> Failure {
        let chain = iter::successors(Some(error), |error| (*error).source());
        Failure {
            status,
            chain: chain.map(ToString::to_string).collect(),
        }
    }

    /// Puts a sentence before it: what failed because of it.
    pub(crate) fn within(mut self, text: String) -> Failure {
        self.chain.insert(0, text);
        self
    }
}

/// The last failure of a thread, as C reads it.
struct Last {
    line: CString,
    links: Vec<CString>,
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// Does what a function of the boundary does, and ends a panic there.
pub(crate) fn guarded(act: impl FnOnce() -> Result<Status, Failure>) -> c_int {
    let done = catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("nothing is known of it");
        Err(Failure::new(
            Status::Internal,
            format!("a fault in hwpool itself: {text}"),
        ))
    });
    match done {
        Ok(status) => status as c_int,
        Err(failure) => remember(failure),
    }
}

/// Keeps a failure as the thread's last one, and returns its status.
#[cold]
fn remember(failure: Failure) -> c_int {
    let last = Last {
        line: text(failure.chain.join(": ")),
        links: failure.chain.into_iter().map(text).collect(),
    };
    // A thread that is about to end has no last failure any more.
    let _ = LAST.try_with(|place| *place.borrow_mut() = Some(last));
    failure.status as c_int
}

/// Makes a string of C; a zero within would end it.
pub(crate) fn text(text: impl Into<String>) -> CString {
    let mut bytes = text.into().into_bytes();
    bytes.retain(|byte| *byte != 0);
    CString::new(bytes).expect("there is no zero left")
}

/// Returns the thread's last failure on one line; null where nothing failed.
pub(crate) fn line() -> *const c_char {
    look(|last| Some(&last.line))
}

/// Returns a link of its chain; null after the last.
pub(crate) fn link(depth: usize) -> *const c_char {
    look(|last| last.links.get(depth))
}

fn look(find: impl Fn(&Last) -> Option<&CString>) -> *const c_char {
    let text = LAST.try_with(|last| {
        last.borrow()
            .as_ref()
            .and_then(find)
            .map(|text| text.as_ptr())
    });
    text.ok().flatten().unwrap_or(ptr::null())
}
