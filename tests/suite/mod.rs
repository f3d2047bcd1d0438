//! The conformance suite: what every transport and every device must do, in the same words for all.
//!
//! A case takes a fresh transport. It sees the public API alone and knows nothing of who stands behind it.

mod device;
pub(crate) mod family;
mod lists;
mod portals;
#[path = "../rig/session.rs"]
mod session;

use std::sync::Arc;

use hwpool::devices::bmu::{Layout, PortalConfig, PortalId};
use hwpool::devices::bus::{Iova, Transport};
use hwpool::devices::family::ListConfig;
use hwpool::dma::{Memory, MemoryRequest, Placement, Slice};

use session::Session;

/// A list of the device, with rings in memory of ours.
pub(crate) type List<T> = hwpool::devices::bmu::List<T, Slice<T>>;

/// A case by name.
pub(crate) type Case<T> = (&'static str, fn(Arc<T>));

/// The cases of a device of some kind: those of the family, and those of the kind's own.
pub(crate) fn cases<T: Transport>(kind: &str) -> Vec<Case<T>> {
    let own = match kind {
        "bmu" => [device::cases(), lists::cases(), portals::cases()].concat(),
        _ => Vec::new(),
    };
    [family::cases(), own].concat()
}

/// Names functions of this module as cases.
macro_rules! name_cases {
    ($($name:ident),+ $(,)?) => {
        pub(crate) fn cases<T: Transport>() -> Vec<crate::suite::Case<T>> {
            vec![$((concat!(module_path!(), "::", stringify!($name)), $name::<T> as fn(Arc<T>))),+]
        }
    };
}
pub(crate) use name_cases;

/// Bytes from object to object in the suite's pools; addresses lie inside of objects that are multiples of 64.
pub(crate) const STRIDE: u64 = 2048;
/// Where the suite's pools begin. Nothing is mapped there: a buffer manager only stores addresses.
pub(crate) const BASE: u64 = 0x4000_0000;

pub(crate) fn open<T: Transport>(transport: Arc<T>) -> Session<T> {
    Session::open(transport).expect("the device opens")
}

pub(crate) fn list<T: Transport>(session: &Session<T>, objects: u32) -> List<T> {
    let config = ListConfig {
        base: Iova(BASE),
        stride: STRIDE,
        objects,
        capacity: objects,
    };
    List::open(&session.bmu, &config).expect("a pool opens")
}

/// Opens a portal with rings of 2^`log2` entries that announces every call at once.
pub(crate) fn portal<T: Transport>(
    session: &Session<T>,
    list: &mut List<T>,
    log2: u32,
) -> PortalId {
    let layout = Layout::new(log2, log2);
    let entries = layout.acquire_entries();
    let config = PortalConfig {
        layout,
        credits: entries,
        hysteresis: entries / 4,
        batch: 1,
    };
    list.open_portal(rings(session, layout), &config)
        .expect("a portal opens")
}

pub(crate) fn rings<T: Transport>(session: &Session<T>, layout: Layout) -> Slice<T> {
    let memory = Memory::allocate(&MemoryRequest::new(layout.size())).expect("memory");
    let placement = Placement::Anywhere { align: 64 };
    let mapping = session
        .domain
        .map(Arc::new(memory), placement)
        .expect("a mapping");
    Arc::new(mapping).slice(0..layout.size()).expect("a slice")
}

/// Returns the objects `0..n`.
pub(crate) fn all(n: u32) -> Vec<u32> {
    (0..n).collect()
}

/// Sorts and compares with `0..n`: each object once.
pub(crate) fn assert_each_once(mut taken: Vec<u32>, n: u32) {
    taken.sort_unstable();
    assert_eq!(taken, all(n), "each object exactly once");
}
