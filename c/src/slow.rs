//! Takes and gives that a worker's cache can't serve at once: from the backend, of a checked pool, and mistakes.

use std::ffi::{c_int, c_void};
use std::num::NonZeroU32;
use std::ops::DerefMut;
use std::slice::from_raw_parts;

use hwpool::pool::{Batch, GiveFault, PoolError, Slot, Slots};

use crate::failure::{Failure, guarded};
use crate::handles;
use crate::shell::Shell;
use crate::status::Status;

/// Objects that come by way of the stack.
const ON_STACK: usize = 64;

/// Slots in whatever holds them.
trait List: Slots + DerefMut<Target = [Slot]> {
    /// Adds one, for which there is room.
    fn add(&mut self, slot: Slot);
}

impl List for Batch<ON_STACK> {
    fn add(&mut self, slot: Slot) {
        self.push(slot).expect("as many as asked for have room");
    }
}

impl List for Vec<Slot> {
    fn add(&mut self, slot: Slot) {
        self.push(slot);
    }
}

/// # Safety
/// `worker` is null or this thread's, and from `objects`, if that is not null, there are places for `n` pointers.
#[inline(never)]
pub(crate) unsafe fn take(worker: *mut Shell, objects: *mut *mut c_void, n: usize) -> c_int {
    guarded(|| {
        // SAFETY: the caller's promise.
        let shell = unsafe { shell(worker, objects, n) }?;
        if n <= ON_STACK {
            // SAFETY: the caller's promise; `shell` fails where the objects are null and needed.
            return unsafe { take_by(shell, Batch::<ON_STACK>::new(), objects, n) };
        }
        // SAFETY: as above.
        unsafe { take_by(shell, Vec::new(), objects, n) }
    })
}

/// # Safety
/// `worker` is null or this thread's, and from `objects`, if that is not null, there are `n` pointers. Those that are objects
/// of the pool are out, unless it is checked.
#[inline(never)]
pub(crate) unsafe fn give(worker: *mut Shell, objects: *const *mut c_void, n: usize) -> c_int {
    guarded(|| {
        // SAFETY: the caller's promise.
        let shell = unsafe { shell(worker, objects, n) }?;
        let most = shell.grid.objects();
        if n > most {
            let text = format!("{n} objects can't be given: the pool has {most}");
            return Err(Failure::new(Status::NotOut, text));
        }
        let pointers = match n {
            0 => &[],
            // SAFETY: the caller's promise; `shell` fails where they are null and needed.
            _ => unsafe { from_raw_parts(objects, n) },
        };
        if n <= ON_STACK {
            // SAFETY: the caller's promise.
            return unsafe { give_by(shell, Batch::<ON_STACK>::new(), pointers) };
        }
        // SAFETY: as above.
        unsafe { give_by(shell, Vec::with_capacity(n), pointers) }
    })
}

/// Returns the worker, where it and the array can be used.
///
/// # Safety
/// `worker` is null or a worker that is attached.
unsafe fn shell<'a, T>(
    worker: *mut Shell,
    objects: *const T,
    n: usize,
) -> Result<&'a mut Shell, Failure> {
    // SAFETY: the caller's promise.
    let shell = unsafe { worker.as_mut() };
    let shell = shell.ok_or_else(|| Failure::new(Status::Handle, "the worker is NULL"))?;
    if objects.is_null() && n > 0 {
        return Err(Failure::new(Status::Argument, "the objects are NULL"));
    }
    if shell.worker.pool().checked() {
        handles::check_worker(worker.addr())?;
    }
    Ok(shell)
}

/// # Safety
/// From `objects` there are places for `n` pointers.
unsafe fn take_by<L: List>(
    shell: &mut Shell,
    mut slots: L,
    objects: *mut *mut c_void,
    n: usize,
) -> Result<Status, Failure> {
    let taken = shell.worker.take_into(&mut slots, n);
    if !taken.map_err(|error| not_taken(&error))? {
        return Ok(Status::Empty);
    }
    for (at, slot) in slots.iter().enumerate() {
        let pointer = shell.grid.pointer_of(slot.index());
        // SAFETY: a place by the caller's promise: there are `n` slots.
        unsafe { objects.add(at).write(pointer) };
    }
    Ok(Status::Ok)
}

/// # Safety
/// Those of `pointers` that are objects of the pool are out, unless it is checked.
unsafe fn give_by<L: List>(
    shell: &mut Shell,
    mut slots: L,
    pointers: &[*mut c_void],
) -> Result<Status, Failure> {
    for pointer in pointers {
        let Some(word) = shell.grid.word(*pointer).and_then(NonZeroU32::new) else {
            return Err(foreign(shell, *pointer));
        };
        // SAFETY: an object that is out has no other slot in the library, by the caller's promise; a checked pool refuses
        // the others.
        slots.add(unsafe { Slot::from_word(word) });
    }
    let pool = shell.worker.pool();
    if pool.checked() {
        once(&slots)?;
    }
    let given = shell.worker.give_all(&mut slots);
    let kept = slots.len() == pointers.len();
    match given {
        Ok(()) => Ok(Status::Ok),
        Err(fault) => Err(not_given(&fault, kept)),
    }
}

/// Fails where an object is among the slots twice: the pool looks at all of them before it takes one.
#[cold]
fn once(slots: &[Slot]) -> Result<(), Failure> {
    let mut indices: Vec<u32> = slots.iter().map(Slot::index).collect();
    indices.sort_unstable();
    match indices.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => {
            let text = format!("object {} is given twice in one call", pair[0]);
            Err(Failure::new(Status::NotOut, text))
        }
    }
}

#[cold]
fn foreign(shell: &Shell, pointer: *mut c_void) -> Failure {
    let pool = shell.worker.pool().name();
    let text = match shell.grid.offset(pointer) {
        Some(offset) => format!(
            "{pointer:?} is within an object of pool {pool}, {} bytes after its beginning: give what was taken",
            shell.grid.inside(offset)
        ),
        None => format!("{pointer:?} is not in the memory of pool {pool}"),
    };
    Failure::new(Status::Foreign, text)
}

#[cold]
fn not_taken(error: &PoolError) -> Failure {
    let status = match error {
        PoolError::Closed => Status::Closed,
        PoolError::OtherProcess => Status::Forked,
        PoolError::Poisoned { .. } => Status::Poisoned,
        PoolError::Refused { .. } => Status::Refused,
        _ => Status::Internal,
    };
    Failure::of(status, error)
}

#[cold]
fn not_given(fault: &GiveFault, kept: bool) -> Failure {
    let status = match fault {
        _ if !kept => Status::Lost,
        GiveFault::Foreign { .. } => Status::Foreign,
        GiveFault::NotOut { .. } => Status::NotOut,
        GiveFault::OtherProcess => Status::Forked,
        GiveFault::Poisoned { .. } => Status::Poisoned,
        GiveFault::Refused { .. } => Status::Refused,
        _ => Status::Internal,
    };
    Failure::of(status, fault)
}
