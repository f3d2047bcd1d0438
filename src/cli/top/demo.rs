//! Something to look at: pools on a model in this process, with a little traffic, so that most of a processor stays free.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hwpool::device::Device;
use hwpool::metrics::Snapshot;
use hwpool::pool::{Buffer, Pool};

use crate::cli::soak::{self, Random};

/// Between two bursts of a thread.
const PAUSE: Duration = Duration::from_millis(1);
/// Most buffers of a burst.
const BURST: usize = 64;

/// A model, pools on it, and a thread on each.
pub(super) struct Demo {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    pools: Vec<Pool>,
    device: Device,
}

impl Demo {
    pub(super) fn start(address: &str) -> anyhow::Result<Demo> {
        let device = Device::open(address)?;
        let pools = soak::make(&device, soak::plans(&device))?;
        let stop = Arc::new(AtomicBool::new(false));
        let start = |(seed, pool): (u64, &Pool)| {
            let (pool, stop) = (pool.clone(), Arc::clone(&stop));
            thread::spawn(move || traffic(&pool, seed, &stop))
        };
        let threads = (1..).zip(&pools).map(start).collect();
        Ok(Demo {
            stop,
            threads,
            pools,
            device,
        })
    }

    pub(super) fn read(&self) -> Snapshot {
        soak::numbers(&self.pools, &self.device)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // a panic was printed when it happened
        }
    }
}

/// Takes and gives in bursts, around a level that goes up and down. A pool that fails stays as it is, and its state shows.
fn traffic(pool: &Pool, seed: u64, stop: &AtomicBool) {
    let Ok(mut worker) = pool.worker("demo") else {
        return;
    };
    let mut random = Random(seed);
    let mut held: Vec<Buffer> = Vec::new();
    let (mut level, most) = (0, pool.objects() as usize);
    while !stop.load(Ordering::Relaxed) {
        if random.below(200) == 0 {
            level = random.below(most + 1);
        }
        for _ in 0..random.below(BURST) {
            match worker.take() {
                Ok(Some(buffer)) => held.push(buffer),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let above = held.len().saturating_sub(level);
        let given = (random.below(BURST) + above / 4).min(held.len());
        held.truncate(held.len() - given);
        thread::sleep(PAUSE);
    }
}
