//! What the library has to say that is no error, such as memory that came from elsewhere than was asked for: to a function of
//! the program's, if it wants it.

use std::ffi::{c_char, c_int, c_void};
use std::fmt::{self, Write};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, Ordering};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::set_global_default;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::abi::{LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_WARNING};
use crate::failure::{self, Failure, guarded};
use crate::status::Status;

type Tell = unsafe extern "C" fn(level: c_int, text: *const c_char, argument: *mut c_void);

/// Who is told, and what.
struct Listener {
    /// The least grave that is told.
    level: c_int,
    /// Nobody, where there is none.
    tell: Option<Tell>,
    argument: *mut c_void,
    /// The one before, which another thread may be telling something; so none is ever freed.
    _before: *mut Listener,
}

/// Null, or a box that is never freed.
static LISTENER: AtomicPtr<Listener> = AtomicPtr::new(ptr::null_mut());

/// # Safety
/// As `hwpool.h` says: any thread may call the function with the argument, from now on.
#[unsafe(no_mangle)]
unsafe extern "C" fn hwpool_log(level: c_int, tell: Option<Tell>, argument: *mut c_void) -> c_int {
    static ONCE: Once = Once::new();
    guarded(|| {
        if !(LOG_ERROR..=LOG_DEBUG).contains(&level) {
            let text = format!("level {level}: {LOG_ERROR} to {LOG_DEBUG} are known");
            return Err(Failure::new(Status::Argument, text));
        }
        let new = Box::into_raw(Box::new(Listener {
            level,
            tell,
            argument,
            _before: ptr::null_mut(),
        }));
        let listen = |before| {
            // SAFETY: nobody else has seen it.
            unsafe { (*new)._before = before };
            Some(new)
        };
        // Release: who reads it sees what it points to.
        let _ = LISTENER.fetch_update(Ordering::Release, Ordering::Relaxed, listen);
        // Fails where a program in Rust, which has this library in it, listens itself already.
        ONCE.call_once(|| _ = set_global_default(Teller(0)));
        Ok(Status::Ok)
    })
}

fn number(level: Level) -> c_int {
    match level {
        Level::ERROR => LOG_ERROR,
        Level::WARN => LOG_WARNING,
        Level::INFO => LOG_INFO,
        _ => LOG_DEBUG,
    }
}

/// Tells the listener of events. Has a byte, so that the one pointer to it, which is kept for ever, points into it: else it would
/// look like a leak.
struct Teller(#[allow(dead_code, reason = "only there")] u8);

impl Subscriber for Teller {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true // the listener changes, and what is answered here is kept
    }

    fn event(&self, event: &Event<'_>) {
        // SAFETY: null, or a box that is never freed.
        let Some(listener) = (unsafe { LISTENER.load(Ordering::Acquire).as_ref() }) else {
            return;
        };
        let level = number(*event.metadata().level());
        let Some(tell) = listener.tell.filter(|_| level <= listener.level) else {
            return;
        };
        let mut line = Line::default();
        event.record(&mut line);
        let text = failure::text(line.message + &line.fields);
        // SAFETY: by the promise to `hwpool_log` it may be called by any thread.
        unsafe { tell(level, text.as_ptr(), listener.argument) };
    }

    // There are no spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// An event on one line: its message, and its fields behind it.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A string takes everything.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, "; {name}: {value:?}"),
        };
    }
}
