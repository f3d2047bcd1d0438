//! What DPDK calls. Each function turns C into Rust, has [`Mempool`] do it, and turns the answer into an errno.

use std::ffi::{c_int, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use hwpool::machine::Tree;
use libc::{EFAULT, EINVAL, ENOTSUP};

use crate::abi::{ObjectCallback, RteMempool, RteMempoolInfo};
use crate::config::{self, Choice};
use crate::create::{NotMade, Request};
use crate::dpdk;
use crate::log::{self, Level};
use crate::mempool::{Keeper, Mempool};
use crate::not_done::NotDone;
use crate::on_device::OnDevice;
use crate::owner;
use crate::segments;

/// DPDK wants a chunk of memory to hand us, and has a minimum for one.
const TOKEN: usize = 64;

/// Makes the pool, empty.
pub(crate) extern "C" fn alloc(mempool: *mut RteMempool) -> c_int {
    guarded(-EFAULT, || {
        // SAFETY: DPDK hands out its own mempool, which nobody else uses before it is made.
        let mempool = unsafe { &mut *mempool };
        let name = mempool.name();
        match mempool
            .request(name.clone())
            .and_then(|request| make(&request))
        {
            Ok(made) => {
                mempool.pool_data = made.as_ptr().cast();
                owner::become_owner();
                0
            }
            Err(error) => {
                log::line(Level::Error, &name, &error.text);
                -error.errno
            }
        }
    })
}

/// Makes a mempool; one on a device in a primary process only.
fn make(request: &Request) -> Result<NonNull<Mempool>, NotMade> {
    let is_on_device = matches!(request.choice, Choice::Devices(_));
    if is_on_device && !dpdk::is_primary() {
        let text = "a secondary process can't have this mempool: a device and its list are the primary's alone; use ring or stack";
        return Err(NotMade {
            errno: ENOTSUP,
            text: text.into(),
        });
    }
    Mempool::new(request)
}

/// Frees the pool. DPDK also frees what it never had made.
pub(crate) extern "C" fn free(mempool: *mut RteMempool) {
    guarded((), || {
        // What another process made stays with it, and so does the pointer to it, in memory that DPDK's processes share; a
        // child's copy ends with the child.
        let Some(state) = Mempool::own(mempool).filter(|own| own.is_here()) else {
            return;
        };
        // SAFETY: DPDK hands out its own mempool.
        let name = unsafe { &*mempool }.name();
        // SAFETY: DPDK hands out its own mempool.
        let drained = state.drain().result(unsafe { &*mempool });
        let cached = dpdk::available(mempool).saturating_sub(state.count());
        // SAFETY: DPDK hands out its own mempool, which nobody uses any more.
        let data = std::mem::replace(unsafe { &mut (*mempool).pool_data }, std::ptr::null_mut());
        if let Some(data) = NonNull::new(data.cast()) {
            // SAFETY: it came from `alloc`, once, and was taken out just now.
            unsafe { Mempool::free(data, &name, drained, cached) };
        }
    });
}

/// Takes objects in, all or none, from any pool; [`hot`] has the short way.
#[inline(never)]
pub(crate) extern "C" fn enqueue(
    mempool: *mut RteMempool,
    objects: *const *mut c_void,
    n: c_uint,
) -> c_int {
    guarded(-EFAULT, || {
        let Some(state) = Mempool::of(mempool) else {
            return -EINVAL;
        };
        if n == 0 {
            return 0;
        }
        // SAFETY: DPDK's table has `n` pointers.
        let pointers = unsafe { std::slice::from_raw_parts(objects, n as usize) };
        match state.put(pointers) {
            Ok(()) => 0,
            Err(error) => not_done(mempool, state, "free", &error),
        }
    })
}

/// Hands objects out, all or none, from any pool; [`hot`] has the short way.
#[inline(never)]
pub(crate) extern "C" fn dequeue(
    mempool: *mut RteMempool,
    objects: *mut *mut c_void,
    n: c_uint,
) -> c_int {
    guarded(-EFAULT, || {
        let Some(state) = Mempool::of(mempool) else {
            return -EINVAL;
        };
        if n == 0 {
            return 0;
        }
        // SAFETY: DPDK's table has room for `n` pointers, which may be anything: they are written only.
        let pointers = unsafe { std::slice::from_raw_parts_mut(objects, n as usize) };
        let answer = match state.get(pointers) {
            Ok(()) => 0,
            Err(error) => {
                if n == 1 {
                    // SAFETY: DPDK hands out its own mempool.
                    state.drain().failed(unsafe { &*mempool }, objects);
                }
                not_done(mempool, state, "get", &error)
            }
        };
        if n == 1 {
            leave_chunk(mempool, state);
        }
        answer
    })
}

/// Has a device let go of DPDK's chunk with the last object that DPDK takes off its list, which it does before it takes the
/// chunk back. Mempools in a chunk have more than one object, all of which DPDK was shown at once, so it is no application's
/// get that finds one on the list.
fn leave_chunk(mempool: *const RteMempool, state: &Mempool) {
    if let Keeper::Device(device) = state.keeper()
        // SAFETY: DPDK hands out its own mempool.
        && unsafe { (*mempool).populated_size } == 1
        && device.is_in_chunk()
    {
        // SAFETY: as above.
        state.leave(device, &unsafe { &*mempool }.name());
    }
}

pub(crate) extern "C" fn get_count(mempool: *const RteMempool) -> c_uint {
    guarded(0, || Mempool::of(mempool).map_or(0, Mempool::count))
}

/// Asks for the memory of the objects; for those of a device that can't lie in DPDK's, for a token. Of a device all lie in one
/// chunk; if DPDK has none so large, it brings what it has, and they lie elsewhere.
pub(crate) extern "C" fn calc_mem_size(
    mempool: *const RteMempool,
    objects: u32,
    page_shift: u32,
    min_chunk: *mut usize,
    align: *mut usize,
) -> isize {
    let keeper = Mempool::of(mempool).map(Mempool::keeper);
    let page = 1u64.checked_shl(page_shift).unwrap_or(0);
    let (least, all, aligned) = match keeper {
        Some(Keeper::Shared(shared)) => {
            if has_none(mempool) {
                shared.clear();
            }
            // Memory comes in pieces of these pages, smaller ones than DPDK's own with `rte_mempool_populate_anon`.
            shared.expect_pages(page);
            (shared.room_for(1), shared.room_for(objects), TOKEN)
        }
        Some(Keeper::Device(device)) => {
            let room = device.room(page as usize);
            room.map_or((TOKEN, TOKEN, TOKEN), |(all, align)| (TOKEN, all, align))
        }
        None => (TOKEN, TOKEN, TOKEN),
    };
    // SAFETY: DPDK has a place for both.
    unsafe {
        *min_chunk = least;
        *align = aligned;
    }
    all as isize
}

/// Shows DPDK the objects that lie in a chunk, and puts them into the list. Where those of a device can't lie in it:
/// [`populate_beside`].
pub(crate) extern "C" fn populate(
    mempool: *mut RteMempool,
    most: c_uint,
    chunk: *mut c_void,
    iova: u64,
    len: usize,
    callback: Option<ObjectCallback>,
    argument: *mut c_void,
) -> c_int {
    guarded(-EFAULT, || {
        let (Some(state), Some(callback)) = (Mempool::of(mempool), callback) else {
            return -EINVAL;
        };
        if let Keeper::Device(device) = state.keeper()
            && let Some(answer) = populate_device(mempool, state, device, chunk, len)
        {
            return answer;
        }
        let populated = state.populate(chunk, len, most, has_none(mempool), |object| {
            let offset = (object.addr() - chunk.addr()) as u64;
            // Where the chunk has no address, its objects have none.
            let iova = if iova == dpdk::BAD_IOVA {
                iova
            } else {
                iova + offset
            };
            callback(mempool, argument, object, iova);
        });
        match populated {
            Ok(count) => count as c_int,
            Err(error) => {
                let answer = not_done(mempool, state, "populate", &error);
                if let Keeper::Device(device) = state.keeper()
                    && device.is_in_chunk()
                {
                    // DPDK takes the chunk back.
                    // SAFETY: DPDK hands out its own mempool.
                    state.leave(device, &unsafe { &*mempool }.name());
                }
                answer
            }
        }
    })
}

/// Sees to it that it is known where the objects of a device lie; `None` where that is the chunk. A chunk that the application
/// brings from outside of DPDK is refused: it has a reason to want the objects there. One that is as long as was asked for DPDK
/// may have taken there itself, as `rte_mempool_populate_anon` does; it is left unused.
fn populate_device(
    mempool: *mut RteMempool,
    state: &Mempool,
    device: &OnDevice,
    chunk: *mut c_void,
    len: usize,
) -> Option<c_int> {
    if device.has(chunk) {
        return None;
    }
    if len > TOKEN && !dpdk::knows(chunk) && !device.asked_for(len) {
        let why = NotDone::Chunk {
            chunk,
            len,
            why: None,
        };
        return Some(not_done(mempool, state, "populate", &why));
    }
    // SAFETY: DPDK hands out its own mempool.
    let name = || unsafe { &*mempool }.name();
    if device.placed().is_none() {
        if let Err(error) = device.settle(chunk, len) {
            log::line(Level::Error, &name(), &error.text);
            return Some(-error.errno);
        }
    } else if len > TOKEN {
        let text = format_args!(
            "populate: the objects are in memory that hwpool maps for devices itself, not in the {len} bytes at {chunk:?}"
        );
        log::line(Level::Notice, &name(), &text);
    }
    (!device.has(chunk)).then(|| populate_beside(mempool, device))
}

/// The chunk that DPDK allocated has it populate the mempool with memory of ours, so that its list of chunks has what drivers
/// map for their devices.
fn populate_beside(mempool: *mut RteMempool, device: &OnDevice) -> c_int {
    // All at once: DPDK asks for what is missing, and then nothing is.
    let memory = device.memory();
    memory.map_or(0, |memory| dpdk::populate(mempool, memory))
}

/// Tells whether DPDK has no object of a mempool on its list: none yet, or none any more after a populate that failed, when
/// it gave all chunks back.
fn has_none(mempool: *const RteMempool) -> bool {
    // SAFETY: DPDK hands out its own mempool, and changes none while it has it populated.
    unsafe { (*mempool).populated_size == 0 }
}

pub(crate) extern "C" fn get_info(_: *const RteMempool, info: *mut RteMempoolInfo) -> c_int {
    // SAFETY: DPDK has a place for it. Objects come one by one.
    unsafe { (*info).contig_block_size = 0 };
    0
}

/// Ends a panic here: it must not reach C.
fn guarded<R>(otherwise: R, act: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or(otherwise)
}

/// Tells the log of a mistake, the first of its kind, and returns what DPDK is told.
#[cold]
fn not_done(mempool: *const RteMempool, state: &Mempool, what: &str, why: &NotDone) -> c_int {
    if !matches!(why, NotDone::Short) {
        // SAFETY: DPDK hands out its own mempool.
        state.complain(&unsafe { &*mempool }.name(), what, why);
    }
    -why.errno()
}

impl RteMempool {
    fn name(&self) -> String {
        let bytes = self.name.iter().take_while(|byte| **byte != 0);
        let bytes: Vec<u8> = bytes.flat_map(|byte| byte.to_ne_bytes()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What the pool has to be like.
    fn request(&mut self, name: String) -> Result<Request, NotMade> {
        // SAFETY: the configuration of a mempool with our name is a string or null: that is what we ask for.
        let choice = unsafe { config::choose(self.pool_config) }.map_err(|text| NotMade {
            errno: EINVAL,
            text,
        })?;
        let beside = match choice {
            Choice::Devices(_) => self.beside(),
            Choice::Software(_) => None,
        };
        let sizes = [self.header_size, self.elt_size, self.trailer_size];
        Ok(Request {
            name,
            objects: self.size,
            stride: sizes.iter().map(|size| *size as usize).sum(),
            header: self.header_size as usize,
            socket: self.socket_id,
            node: node(self.socket_id),
            page: dpdk::page_size(self),
            iova_is_address: dpdk::iova_is_address(),
            beside,
            choice,
        })
    }

    /// Why a device can't have the objects in DPDK's memory, if it is known before that memory comes.
    fn beside(&self) -> Option<String> {
        if !dpdk::iova_is_address() {
            return Some("devices see physical addresses: run with --iova-mode=va".into());
        }
        if self.size < 2 {
            return Some("of one object DPDK does not tell when it takes the memory back".into());
        }
        segments::why_not(self)
    }
}

/// Returns the NUMA node of a DPDK socket; those of heaps that applications add, and "any", are none.
fn node(socket: c_int) -> Option<u32> {
    let node = u32::try_from(socket).ok()?;
    Tree::running().nodes().contains(&node).then_some(node)
}
