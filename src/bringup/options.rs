//! What a climb may be told, and what it tells.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hwpool_devices::family::Choice as DriverChoice;

use super::choice::Choice;
use super::limits::Limits;
use super::symptom::Blame;
use crate::address::{Address, TransportKind};
use crate::host::Tree;
use crate::host::doctor::{Question, Row, examine};
use crate::report::Check;

/// Bytes that the ladder has mapped for DMA at the most: the rings of two portals, in a page of 2 MiB each.
const PINNED: u64 = 2 * (2 << 20);

/// What a run of the ladder may be told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Objects in the pool that is cycled through the rings, 64 to 2^24; fewer where the device holds fewer.
    pub buffers: u32,
    /// How often each object goes through the rings.
    pub laps: u32,
    /// How long the traffic of the last rung lasts, over all NUMA nodes.
    pub soak: Duration,
    /// How long the climb may take beside its traffic, on the device's clock; half an hour where it is not said. While
    /// traffic runs, the machine's clock counts. What is not done by then is blocked.
    pub within: Option<Duration>,
    /// Which driver the device's address asks for.
    pub driver: DriverChoice,
    /// Which rungs are run.
    pub choice: Choice,
    /// What this board has to reach.
    pub limits: Limits,
    /// What the doctor says of the machine, where a kernel is between.
    pub host: Option<Vec<Row>>,
    /// NUMA nodes of the machine; the traffic runs with its rings on each.
    pub nodes: Vec<u32>,
    /// The node of the device.
    pub near: Option<u32>,
    /// Set by whoever wants the climb to end: traffic stops at once, then `progress` is asked.
    pub stop: Arc<AtomicBool>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            buffers: 4096,
            laps: 4,
            soak: Duration::from_secs(2),
            within: None,
            driver: Default::default(),
            choice: Choice::default(),
            limits: Limits::default(),
            host: None,
            nodes: Vec::new(),
            near: None,
            stop: Arc::default(),
        }
    }
}

impl Options {
    /// Looks at the machine beside the device at `address`: its NUMA nodes, and what the doctor says; of a model or a socket
    /// only what a process needs for itself.
    pub fn look_at(&mut self, tree: &Tree, address: &Address) {
        self.nodes = tree.nodes();
        self.host = machine(tree, address);
    }
}

fn machine(tree: &Tree, address: &Address) -> Option<Vec<Row>> {
    const OWN: [&str; 4] = ["kernel", "hugepages", "thp", "nofile"];
    let question = Question {
        device: None,
        pin: PINNED,
    };
    match address.transport {
        TransportKind::Vfio => {
            let device = Some(address.target.parse().ok()?);
            examine(tree, Question { device, ..question })
        }
        TransportKind::Sim | TransportKind::User => {
            let mut rows = examine(tree, question)?;
            rows.retain(|row| OWN.contains(&row.id));
            Some(rows)
        }
    }
}

/// What [`run`](super::run) tells while it runs.
#[derive(Debug)]
pub enum Progress<'a> {
    /// A rung is about to be run.
    Start {
        /// Its id.
        id: &'static str,
        /// What it proves.
        title: &'static str,
    },
    /// A rung failed, and this is to blame. Its verdict follows.
    Failed(Blame),
    /// A rung was run.
    End(&'a Check),
}
