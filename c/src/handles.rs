//! What is alive in this process: devices and pools by their handles, workers by where they are.
//!
//! A handle is a number that is never given again, times 16 so that it looks like the address of something. Nobody follows it.
//! A child of `fork` has a book of its own, because the lock of its parent's may be held for ever; the numbers tell which
//! handles are the parent's.

use std::any::Any;
use std::collections::BTreeMap;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use crate::failure::Failure;
use crate::status::Status;

/// What handles of one kind stand for.
pub(crate) trait Kind: Any + Send + Sync {
    /// What the handle points to, as C sees it.
    type Handle;
    /// What it is, in a sentence.
    const WHAT: &'static str;
}

/// What is alive, of one process.
struct Book {
    process: u32,
    /// The first number of this process; those before are its parent's.
    first: usize,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    handles: BTreeMap<usize, Arc<dyn Any + Send + Sync>>,
    /// Workers by address, and whose each is.
    workers: BTreeMap<usize, ThreadId>,
}

static BOOK: AtomicPtr<Book> = AtomicPtr::new(ptr::null_mut());
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// Bytes that handles are apart.
const STEP: usize = 16;

impl Book {
    /// Returns the book of this process; the first who asks makes it.
    fn here() -> &'static Book {
        let process = process::id();
        loop {
            let current = BOOK.load(Ordering::Acquire);
            // SAFETY: null, or a box that is never freed: what another thread may still read, and what a child has a copy of.
            if let Some(book) = unsafe { current.as_ref() }
                && book.process == process
            {
                return book;
            }
            let new = Box::into_raw(Box::new(Book {
                process,
                first: NEXT.load(Ordering::Relaxed),
                pages: Mutex::default(),
            }));
            // Release: who sees it sees what it has.
            let swapped = BOOK.compare_exchange(current, new, Ordering::Release, Ordering::Relaxed);
            if swapped.is_err() {
                // SAFETY: another thread was faster, and nobody has seen this one.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says why there is nothing behind a handle.
    fn nothing(&self, handle: usize, what: &str) -> Failure {
        let number = handle / STEP;
        let is_past =
            handle.is_multiple_of(STEP) && (1..NEXT.load(Ordering::Relaxed)).contains(&number);
        match is_past {
            _ if handle == 0 => {
                Failure::new(Status::Handle, format!("the handle of {what} is NULL"))
            }
            true if number < self.first => Failure::new(
                Status::Forked,
                format!(
                    "handle {handle:#x} is that of the parent process: after fork, make {what} of this process's own"
                ),
            ),
            true => Failure::new(
                Status::Closed,
                format!("handle {handle:#x} was closed before"),
            ),
            false => Failure::new(
                Status::Handle,
                format!("{handle:#x} is no handle: {what} was expected"),
            ),
        }
    }
}

/// Makes a handle.
pub(crate) fn insert<K: Kind>(new: Arc<K>) -> *mut K::Handle {
    let book = Book::here();
    let handle = NEXT.fetch_add(1, Ordering::Relaxed) * STEP;
    book.pages().handles.insert(handle, new);
    ptr::without_provenance_mut(handle)
}

/// Returns what a handle stands for.
pub(crate) fn find<K: Kind>(handle: *const K::Handle) -> Result<Arc<K>, Failure> {
    let (book, handle) = (Book::here(), handle.addr());
    let found = book.pages().handles.get(&handle).cloned();
    let found = found.ok_or_else(|| book.nothing(handle, K::WHAT))?;
    found.downcast().map_err(|_| other(handle, K::WHAT))
}

/// Ends a handle, and returns what it stood for.
pub(crate) fn remove<K: Kind>(handle: *const K::Handle) -> Result<Arc<K>, Failure> {
    let (book, handle) = (Book::here(), handle.addr());
    let mut pages = book.pages();
    let found = pages.handles.get(&handle).cloned();
    let found = found.ok_or_else(|| book.nothing(handle, K::WHAT))?;
    let found = found.downcast().map_err(|_| other(handle, K::WHAT))?;
    pages.handles.remove(&handle);
    Ok(found)
}

fn other(handle: usize, what: &str) -> Failure {
    let text = format!("handle {handle:#x} is of another kind: {what} was expected");
    Failure::new(Status::Handle, text)
}

/// Notes a worker of this thread.
pub(crate) fn attach(worker: usize) {
    let thread = thread::current().id();
    Book::here().pages().workers.insert(worker, thread);
}

/// Fails unless a worker of this thread is there.
pub(crate) fn check_worker(worker: usize) -> Result<(), Failure> {
    let book = Book::here();
    is_own(book, worker, book.pages().workers.get(&worker))
}

/// Strikes a worker of this thread out: whoever does has it alone.
pub(crate) fn detach(worker: usize) -> Result<(), Failure> {
    let book = Book::here();
    let mut pages = book.pages();
    is_own(book, worker, pages.workers.get(&worker))?;
    pages.workers.remove(&worker);
    Ok(())
}

fn is_own(book: &Book, worker: usize, owner: Option<&ThreadId>) -> Result<(), Failure> {
    match owner {
        Some(owner) if *owner == thread::current().id() => Ok(()),
        Some(_) => {
            let text = "the worker is another thread's, which alone can use it and detach it";
            Err(Failure::new(Status::Thread, text))
        }
        None if worker == 0 => Err(Failure::new(Status::Handle, "the worker is NULL")),
        None if book.first > 1 => {
            let text = "the worker is none of this process, which was forked: it is its parent's";
            Err(Failure::new(Status::Forked, text))
        }
        None => {
            let text =
                format!("there is no worker at {worker:#x}: it was detached, or never was one");
            Err(Failure::new(Status::Handle, text))
        }
    }
}
