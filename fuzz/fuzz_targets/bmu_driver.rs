//! The BMU's driver on a device that lies: registers read what the input says, rings and status lines change under the
//! driver's feet. No panic, no object that is out already, none that does not exist.
#![no_main]

mod liar;

use std::collections::BTreeSet;
use std::sync::Arc;

use hwpool::devices::bmu::{Bmu, Layout, List, PortalConfig};
use hwpool::devices::bus::Iova;
use hwpool::devices::family::{FreeList, ListConfig, OpenReset};
use hwpool::dma::{Domain, Memory, MemoryRequest, Placement, Slice};
use hwpool::sim::SimConfig;
use liar::{Liar, Lies};
use libfuzzer_sys::fuzz_target;

const OBJECTS: u32 = 64;
const STRIDE: u64 = 2048;
const BASE: u64 = 1 << 36;

/// What the input's features byte makes of the device, a bit each; of two of the same key the last one counts.
const FEATURES: [(&str, &str); 8] = [
    ("minor", "0"),
    ("halves", "on"),
    ("halves", "only"),
    ("power-of-two", "on"),
    ("emptying-ms", "2"),
    ("write-faults", "off"),
    ("register-path", "off"),
    ("thresholds", "off"),
];

/// The driver, as far as it could be opened.
struct Host {
    list: List<Liar, Slice<Liar>>,
    domain: Arc<Domain<Liar>>,
    held: BTreeSet<u32>,
}

impl Host {
    fn open(liar: &Liar) -> Option<Host> {
        let transport = Arc::new(liar.clone());
        let bmu = Arc::new(Bmu::open(transport.clone(), OpenReset::Best).ok()?);
        let domain = Domain::new(transport, bmu.capabilities().address_width).ok()?;
        let config = ListConfig {
            base: Iova(BASE),
            stride: STRIDE,
            objects: OBJECTS,
            capacity: OBJECTS,
        };
        Some(Host {
            list: List::open(&bmu, &config).ok()?,
            domain,
            held: (0..OBJECTS).collect(),
        })
    }

    fn open_portal(&mut self) -> Option<()> {
        let layout = Layout::new(4, 4);
        let config = PortalConfig {
            layout,
            credits: 16,
            hysteresis: 4,
            batch: 1,
        };
        let memory = Memory::allocate(&MemoryRequest::new(layout.size())).ok()?;
        let place = Placement::Anywhere { align: 64 };
        let mapping = self.domain.map(Arc::new(memory), place).ok()?;
        let memory = Arc::new(mapping).slice(0..layout.size())?;
        self.list.open_portal(memory, &config).ok()?;
        Some(())
    }

    fn act(&mut self, step: u8) {
        let n = usize::from(step >> 3) + 1;
        let given: Vec<u32> = self.held.iter().copied().take(n).collect();
        let mut out = vec![0; n];
        let list = &mut self.list;
        let moved = match (step % 8, list.first_portal()) {
            (0 | 1, _) => list.give(&given).map(|()| (given, vec![])),
            (2 | 3, _) => list.take(&mut out).map(|all| (vec![], taken(all, out))),
            (4, Some(mut portal)) => portal.flush().map(|()| (vec![], vec![])),
            (5, Some(mut portal)) => portal.drain().map(|all| (vec![], all)),
            (6, Some(_)) => list.close_portals().map(|all| (vec![], all)),
            (_, None) => {
                let _ = self.open_portal();
                Ok((vec![], vec![]))
            }
            _ => {
                let _ = (list.available(), list.take_errors(), list.take_events());
                Ok((vec![], vec![]))
            }
        };
        let Ok((given, taken)) = moved else { return };
        given.iter().for_each(|object| _ = self.held.remove(object));
        for object in taken {
            assert!(object < OBJECTS, "no object {object}");
            assert!(self.held.insert(object), "object {object} is held twice");
        }
    }
}

fn taken(all: bool, out: Vec<u32>) -> Vec<u32> {
    if all { out } else { vec![] }
}

fuzz_target!(|input: &[u8]| {
    let Some(([truths, seed, steps, features], input)) = input.split_first_chunk() else {
        return;
    };
    let mut config = SimConfig::default();
    config.set("seed", &seed.to_string()).expect("an option");
    config.set("timeout-ms", "2").expect("an option");
    for (bit, (key, value)) in FEATURES.iter().enumerate() {
        if features >> bit & 1 != 0 {
            config.set(key, value).expect("an option");
        }
    }
    let liar = Liar::open(config, Lies::new(input, *truths));
    let Some(mut host) = Host::open(&liar) else {
        return;
    };
    for _ in 0..steps % 64 {
        let step = liar.lies().byte();
        let Some(step) = step else { return };
        host.act(step);
    }
});
