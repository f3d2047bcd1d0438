//! The driver of described devices on a device that lies: its registers read what the input says, or a bus error. No
//! panic, no object that is out already, none that does not exist, no output touched by a call that fails, no call that
//! goes on past its deadline. While the device says the truth, every call works and the model has nothing to complain of.
#![no_main]

mod liar;
mod made;
mod shipped;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hwpool::devices::bus::{Iova, Transport};
use hwpool::devices::described::{Device, List};
use hwpool::devices::description::{Depth, Description, Order};
use hwpool::devices::family::{Described, FreeList, ListConfig, OpenReset, PathError};
use hwpool::sim::SimConfig;
use liar::{Liar, Lies};
use libfuzzer_sys::fuzz_target;

/// Most objects of a list.
const OBJECTS: u32 = 60;
const STRIDE: u64 = 4096;
const BASE: u64 = 1 << 20;
/// What stands in an output before a call.
const UNTOUCHED: u32 = 0xdead_beef;
/// Most that the accesses of one object take on the model, which takes a microsecond for each read.
const OF_ONE: Duration = Duration::from_micros(20);
/// Most for everything that a reset takes besides `reset.within-ms`: 100 ms after each function level reset.
const OF_RESETS: Duration = Duration::from_secs(1);

/// The device, and the lists that could be opened.
struct Host {
    liar: Liar,
    device: Arc<Device<Liar>>,
    lists: Vec<Lent>,
}

/// A list, and what is known of its objects without the driver.
struct Lent {
    list: List<Liar>,
    /// Those that the host has.
    ours: BTreeSet<u32>,
    /// Those that the device has, in the order in which they were given.
    theirs: VecDeque<u32>,
}

impl Host {
    fn open(liar: Liar, described: &'static Described) -> Option<Host> {
        let transport = Arc::new(liar.clone());
        let device = within(&liar, OF_RESETS, || {
            Device::open(described, transport, OpenReset::Best)
        });
        true_or(&liar, "opening", &device);
        let mut host = Host {
            liar,
            device: Arc::new(device.ok()?),
            lists: Vec::new(),
        };
        host.open_list();
        Some(host)
    }

    fn open_list(&mut self) {
        let objects = OBJECTS.min(self.device.identity().limits.objects as u32);
        let config = ListConfig {
            base: Iova(BASE),
            stride: STRIDE,
            objects,
            capacity: objects,
        };
        let is_free = self.lists.len() < usize::from(self.device.described().description.lists());
        let list = within(&self.liar, OF_RESETS, || List::open(&self.device, &config));
        if is_free {
            true_or(&self.liar, "opening a list", &list);
        }
        assert!(is_free || list.is_err(), "more lists than the device has");
        self.lists.extend(list.ok().map(|list| Lent {
            list,
            ours: (0..objects).collect(),
            theirs: VecDeque::new(),
        }));
    }

    /// Does what a step says, to the list that it names.
    fn act(&mut self, step: u8, n: usize) {
        let at = usize::from(step >> 3) % self.lists.len().max(1);
        match step % 8 {
            6 => return self.open_list(),
            7 => return self.close_or_reset(at, n),
            _ => {}
        }
        let patience = self.device.described().description.reset.within;
        let order = self.device.described().description.order;
        let Some(lent) = self.lists.get_mut(at) else {
            return;
        };
        let limit = patience + OF_ONE * (2 * OBJECTS + n as u32) + Duration::from_millis(1);
        let liar = self.liar.clone();
        within(&liar, limit, || match step % 8 {
            0 | 1 => lent.give(&liar, n),
            2 => lent.take(&liar, n, order),
            3 => lent.give_wrongly(n),
            4 => lent.drain(&liar),
            _ => _ = (lent.list.available(), lent.list.flush()),
        });
    }

    fn close_or_reset(&mut self, at: usize, n: usize) {
        let (liar, device) = (self.liar.clone(), self.device.clone());
        let lists = &mut self.lists;
        within(&liar, OF_RESETS, || match n % 4 {
            0 if at < lists.len() => drop(lists.remove(at)),
            1 => _ = device.interrupt(0),
            2 => _ = device.trigger(0),
            _ => {
                let reset = device.reset(OpenReset::Best);
                assert!(lists.is_empty() || reset.is_err(), "it is in use");
                if reset.is_ok() {
                    let _ = device.start();
                }
            }
        });
    }
}

impl Lent {
    /// Sees that a list which is poisoned says so, and nothing else.
    fn checked<R>(&self, result: Result<R, PathError>) -> Option<R> {
        let is_poisoned = matches!(result, Err(PathError::Poisoned { .. }));
        assert_eq!(self.list.poison().is_some(), is_poisoned, "a poisoned list");
        result.ok()
    }

    fn give(&mut self, liar: &Liar, n: usize) {
        let given: Vec<u32> = self.ours.iter().copied().take(n).collect();
        let result = self.list.give(&given);
        true_or(liar, "a give", &result);
        if self.checked(result).is_some() {
            given.iter().for_each(|object| _ = self.ours.remove(object));
            self.theirs.extend(given);
        }
    }

    /// Gives what the device has or what there is not.
    fn give_wrongly(&mut self, n: usize) {
        let wrong = match self.theirs.get(n) {
            Some(object) => *object,
            None => OBJECTS + n as u32,
        };
        let ours = self.ours.first().copied();
        let objects: Vec<u32> = ours.into_iter().chain([wrong]).collect();
        let result = self.list.give(&objects);
        assert!(result.is_err(), "{objects:?} of {:?}", self.ours);
        self.checked(result);
    }

    fn take(&mut self, liar: &Liar, n: usize, order: Order) {
        let mut out = vec![UNTOUCHED; n];
        let result = self.list.take(&mut out);
        true_or(liar, "a take", &result);
        match self.checked(result) {
            Some(true) => self.took(liar, &out, order),
            other => {
                assert!(out.iter().all(|object| *object == UNTOUCHED), "{out:?}");
                let is_true = other.is_some() && !liar.lies().told();
                assert!(!is_true || n > self.theirs.len(), "it had {n}");
            }
        }
    }

    fn drain(&mut self, liar: &Liar) {
        let result = self.list.drain();
        true_or(liar, "a drain", &result);
        if let Some(drained) = self.checked(result) {
            self.took(liar, &drained, Order::Any);
            assert!(self.theirs.is_empty(), "{:?} stay", self.theirs);
        }
    }

    /// The driver has handed out objects.
    fn took(&mut self, liar: &Liar, objects: &[u32], order: Order) {
        for object in objects {
            let next = match order {
                Order::Fifo => self.theirs.front(),
                Order::Lifo => self.theirs.back(),
                Order::Any => None,
            };
            let is_next = next.is_none_or(|next| next == object);
            assert!(
                is_next || liar.lies().told(),
                "{object} instead of {next:?}"
            );
            let at = self.theirs.iter().position(|known| known == object);
            let at = at.unwrap_or_else(|| panic!("object {object} is not the device's"));
            self.theirs.remove(at);
            assert!(self.ours.insert(*object), "object {object} is held twice");
        }
    }
}

/// Does something, and sees that it is over in time.
fn within<R>(liar: &Liar, limit: Duration, act: impl FnOnce() -> R) -> R {
    let before = liar.now();
    let done = act();
    let took = liar.now() - before;
    assert!(took <= limit, "{took:?} instead of {limit:?} at most");
    done
}

/// Sees that what fails failed on a lie.
fn true_or<R, E: std::error::Error>(liar: &Liar, what: &str, result: &Result<R, E>) {
    if let Err(error) = result {
        let cause = error.source().map(ToString::to_string);
        assert!(liar.lies().told(), "{what}: {error} {cause:?}");
    }
}

fn config(description: &Description, seed: u8) -> SimConfig {
    let mut config = SimConfig::described(description.clone()).expect("it was checked");
    config.set("seed", &seed.to_string()).expect("an option");
    if let Depth::Register(_) = description.depth {
        config.set("depth", "40").expect("an option");
    }
    config
}

fuzz_target!(|input: &[u8]| {
    let Some((choices, rest)) = input.split_first_chunk::<{ made::CHOICES }>() else {
        return;
    };
    let Some(([truths, seed, steps], rest)) = rest.split_first_chunk() else {
        return;
    };
    let Some(described) = made::described(choices) else {
        return;
    };
    let config = config(described.description, *seed);
    let liar = Liar::open(config, Lies::new(rest, *truths));
    let host = Host::open(liar.clone(), described);
    if let Some(mut host) = host {
        for _ in 0..*steps {
            let step = liar.lies().byte();
            let n = liar.lies().byte();
            let Some((step, n)) = step.zip(n) else { break };
            host.act(step, usize::from(n) % OBJECTS as usize + 1);
        }
        within(&liar, 2 * OF_RESETS, || drop(host));
    }
    let broken = liar.model.violations();
    assert!(liar.lies().told() || broken.is_empty(), "{broken:?}");
});
