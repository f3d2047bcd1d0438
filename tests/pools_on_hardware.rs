//! Pools whose free lists lie in a device: shared by threads and pools, lost under load, and asked for wrongly.

#[cfg(feature = "describe")]
#[path = "rig/descriptions.rs"]
mod descriptions;

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use hwpool::device::Device;
use hwpool::devices::bmu::{Bmu, List, regs};
use hwpool::devices::bus::Iova;
use hwpool::devices::family::ListConfig;
use hwpool::dma::{Memory, MemoryRequest, PageSize, Pages, Slice};
use hwpool::pool::{Buffer, CloseError, CreateError, Pool, PoolBuilder, PoolError};
use hwpool::sim::{Fault, FaultKind, InProcess};

/// The backends that keep their list in the device they are given.
const BACKENDS: [&str; 2] = ["bmu", "bmu-registers"];

fn device(options: &str) -> Device {
    Device::open(&format!("sim:bmu?{options}")).expect("the device opens")
}

fn builder(device: &Device, backend: &str, objects: u32) -> PoolBuilder {
    Pool::builder("test")
        .objects(objects)
        .size(256)
        .backend(backend)
        .device(device)
}

fn pool(device: &Device, backend: &str, objects: u32) -> Pool {
    builder(device, backend, objects)
        .build()
        .expect("a pool is made")
}

/// Returns an error's message with all of its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// Closes a pool of which nothing is out.
fn closes_clean(pool: &Pool) {
    let report = pool.close().expect("closes");
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.returned, pool.objects());
}

#[test]
fn a_device_that_takes_powers_of_two_alone_gets_them() {
    let (any, powers) = (device("seed=1"), device("power-of-two=on"));
    for backend in BACKENDS {
        let stride = |device| {
            let pool = builder(device, backend, 8).size(1500).build();
            pool.expect("a pool is made").stride()
        };
        assert_eq!((stride(&any), stride(&powers)), (1536, 2048));
    }
}

/// The driver of a model, as what it is.
fn bmu(device: &Device) -> Arc<Bmu<InProcess>> {
    let Device::Sim(session) = device else {
        panic!("sim: opens a model")
    };
    session.driver_as().expect("a BMU")
}

fn no_violations(device: &Device) {
    let model = device.model().expect("a model");
    assert_eq!(model.violations(), [], "the driver broke a rule");
}

/// Where the IOMMU has no pages below 2 MiB, as where there is none, small pools lie in hugepages, too.
#[test]
fn hugepage_pools_where_nothing_smaller_is_mapped() {
    let huge = Pages::Exactly(PageSize::Huge2M);
    if let Err(error) = Memory::allocate(&MemoryRequest::new(1).pages(huge)) {
        let must_run = std::env::var_os("HWPOOL_NO_SKIP").is_some();
        assert!(!must_run, "must not be skipped: {error}");
        return eprintln!("skipped: {error}");
    }
    let device = device("iommu-page=2097152");
    for backend in BACKENDS {
        let pool = pool(&device, backend, 64);
        drop(pool.take().expect("not poisoned").expect("a buffer"));
        closes_clean(&pool);
    }
}

/// Takes and gives in bursts, marks what it has, and sees that nobody else writes there. Ends early when there is nothing.
fn work(pool: &Pool, name: &str, mark: u8, rounds: u32) -> Result<(), PoolError> {
    let mut worker = pool.worker(name).expect("a worker");
    for round in 0..rounds {
        let mut buffers: Vec<Buffer> = Vec::new();
        for _ in 0..1 + round % 7 {
            buffers.extend(worker.take()?);
        }
        for buffer in &mut buffers {
            buffer.bytes_mut().fill(mark);
        }
        assert!(buffers.iter().all(|b| b.bytes().iter().all(|&x| x == mark)));
    }
    Ok(())
}

#[test]
fn several_pools_on_one_device_from_several_threads() {
    for options in ["seed=1", "mode=threaded&timeout-ms=2000"] {
        let device = device(options);
        let pools = [
            pool(&device, "bmu", 200),
            pool(&device, "bmu-registers", 100),
            pool(&device, "bmu", 64),
        ];
        thread::scope(|scope| {
            for pool in &pools {
                for mark in [1, 2] {
                    scope.spawn(move || work(pool, "worker", mark, 60).expect("works"));
                }
            }
        });
        pools.iter().for_each(closes_clean);
        drop(pools);
        no_violations(&device);
    }
}

#[test]
fn an_address_is_a_backend() {
    let pool = Pool::builder("mine")
        .objects(64)
        .size(100)
        .backend("sim:bmu?seed=3")
        .build()
        .expect("a pool is made");
    assert_eq!(pool.backend(), "sim:bmu?seed=3");
    let buffer = pool.take().unwrap().expect("a buffer");
    assert_eq!(buffer.iova(), pool.iova(buffer.index()));
    assert!(buffer.iova().is_some());
    drop(buffer);
    work(&pool, "worker", 7, 50).unwrap();
    closes_clean(&pool);
}

#[cfg(feature = "describe")]
#[test]
fn a_device_that_a_file_describes_is_a_backend() {
    for file in descriptions::files() {
        let name = &file.display().to_string();
        let address = format!("sim:{name}");
        let device = Device::open(&address).expect("the device opens");
        let given = pool(&device, "described", 16);
        let take = || given.take().expect("a device in order");
        let all: Vec<_> = (0..16).map(|_| take().expect("a buffer")).collect();
        assert!(take().is_none(), "{name}");
        drop(all);
        closes_clean(&given);
        let named = Pool::builder("named")
            .objects(16)
            .size(256)
            .backend(&address);
        closes_clean(&named.build().expect("a pool is made"));
    }
}

#[test]
fn buffers_are_handed_between_threads() {
    for backend in BACKENDS {
        let device = device("seed=2");
        let pool = pool(&device, backend, 96);
        let (send, receive) = mpsc::sync_channel::<Buffer>(16);
        thread::scope(|scope| {
            let taker = &pool;
            scope.spawn(move || {
                let mut worker = taker.worker("rx").expect("a worker");
                let mut sent = 0u32;
                while sent < 500 {
                    if let Some(mut buffer) = worker.take().expect("takes") {
                        buffer.bytes_mut()[..4].copy_from_slice(&sent.to_le_bytes());
                        send.send(buffer).expect("the other end lives");
                        sent += 1;
                    } else {
                        thread::yield_now();
                    }
                }
            });
            let giver = &pool;
            scope.spawn(move || {
                let _worker = giver.worker("tx").expect("a worker");
                for (n, buffer) in receive.iter().enumerate() {
                    assert_eq!(buffer.bytes()[..4], (n as u32).to_le_bytes());
                }
            });
        });
        closes_clean(&pool);
    }
}

#[test]
fn everything_is_had_once_and_then_nothing() {
    for backend in BACKENDS {
        let device = device("seed=4");
        let pool = pool(&device, backend, 150);
        let mut worker = pool.worker("all").unwrap();
        let mut buffers = Vec::new();
        while let Some(buffer) = worker.take().unwrap() {
            buffers.push(buffer);
        }
        let indices: BTreeSet<u32> = buffers.iter().map(Buffer::index).collect();
        assert_eq!(indices, (0..150).collect(), "{backend}");
        assert_eq!((buffers.len(), pool.count()), (150, 0));
        assert!(pool.take().unwrap().is_none());
        drop(buffers);
        drop(worker);
        assert_eq!(pool.count(), 150);
        closes_clean(&pool);
        drop(pool);
        no_violations(&device);
    }
}

#[test]
fn a_thread_that_panics_returns_its_cache() {
    for backend in BACKENDS {
        let device = device("seed=5");
        let pool = builder(&device, backend, 64).cache(32).build().unwrap();
        let panics = pool.clone();
        let joined = thread::spawn(move || {
            let mut worker = panics.worker("doomed").expect("a worker");
            let buffers: Vec<_> = (0..32).map(|_| worker.take().unwrap().unwrap()).collect();
            drop(buffers);
            assert!(worker.cached() >= 16);
            std::panic::resume_unwind(Box::new("as planned"));
        })
        .join();
        assert!(joined.is_err());
        assert_eq!(pool.count(), 64);
        closes_clean(&pool);
    }
}

#[test]
fn memory_outlives_the_pool_while_buffers_are_out() {
    for backend in BACKENDS {
        let device = device("seed=6");
        let pool = pool(&device, backend, 32);
        let mut buffers: Vec<Buffer> = (0..8).map(|_| pool.take().unwrap().unwrap()).collect();
        drop(pool);
        drop(device);
        for (n, buffer) in buffers.iter_mut().enumerate() {
            buffer.bytes_mut().fill(n as u8);
        }
        for (n, buffer) in buffers.iter().enumerate() {
            assert!(buffer.bytes().iter().all(|&byte| byte == n as u8));
        }
    }
}

#[test]
fn the_report_names_what_is_out_and_who_has_it() {
    for backend in BACKENDS {
        let device = device("seed=7");
        let pool = builder(&device, backend, 64).checked(true).build().unwrap();
        let mut worker = pool.worker("leaky").unwrap();
        let buffer = worker.take().unwrap().unwrap();
        drop(worker);
        let report = pool.close().expect("closes");
        assert_eq!((report.returned, report.out.len()), (63, 1));
        assert_eq!(report.out[0].index, buffer.index());
        assert_eq!(report.out[0].holder.as_deref(), Some("leaky"));
        let text = report.to_string();
        let expected = format!("63 of 64 objects returned; out: {} (leaky)", buffer.index());
        assert!(text.contains(&expected), "{text}");
        drop(buffer);
        assert_eq!(pool.stats().late, 1);
    }
}

#[test]
fn a_second_pool_finds_nothing_of_the_first() {
    let device = device("seed=8&pools=1&portals=1");
    for backend in ["bmu", "bmu-registers", "bmu"] {
        let first = pool(&device, backend, 40);
        let kept = first.take().unwrap().unwrap();
        drop(first);
        let second = pool(&device, backend, 40);
        assert_eq!(second.count(), 40);
        closes_clean(&second);
        drop(kept);
    }
    no_violations(&device);
}

/// Two threads work until the device strikes; each must come out with an error that names the cause.
fn struck(backend: &str, strike: impl Fn(&Device)) -> (Device, Pool, Vec<String>) {
    let device = device("mode=threaded&timeout-ms=250");
    // Bursts that no cache can serve: every thread needs the device.
    let pool = builder(&device, backend, 128).cache(4).build().unwrap();
    let errors = thread::scope(|scope| {
        let threads: Vec<_> = ["a", "b"]
            .map(|name| {
                let pool = &pool;
                scope.spawn(move || work(pool, name, name.as_bytes()[0], 1_000_000))
            })
            .into();
        while pool.stats().taken < 1000 {
            thread::yield_now();
        }
        strike(&device);
        let join = |t: thread::ScopedJoinHandle<'_, _>| t.join().expect("no panic");
        let results: Vec<Result<(), PoolError>> = threads.into_iter().map(join).collect();
        results
            .into_iter()
            .map(|result| chain(&result.expect_err("a broken device shows")))
            .collect()
    });
    (device, pool, errors)
}

fn close_fails(pool: &Pool, telling: &str) {
    let error = pool.close().expect_err("nobody knows what is inside");
    let text = chain(&error);
    assert!(text.contains(telling), "{text}");
    let CloseError::Drain { report, .. } = error else {
        panic!("{text}");
    };
    assert_eq!(report.returned as usize + report.out.len(), 128, "{report}");
    assert!(pool.take().is_err());
}

#[test]
fn a_device_that_goes_under_load_fails_every_thread() {
    for backend in BACKENDS {
        let (device, pool, errors) = struck(backend, |device| {
            let model = device.model().expect("a model");
            model.inject(Fault::new(FaultKind::Gone)).unwrap();
            // In the rings' steady state nobody reads a register: something else touches the device.
            assert!(bmu(device).read(regs::SCRATCH).is_err());
        });
        for text in errors {
            assert!(text.contains("device is gone"), "{backend}: {text}");
        }
        close_fails(&pool, "device is gone");
        drop(pool);
        let refused = builder(&device, backend, 8).build().expect_err("gone");
        assert!(chain(&refused).contains("device is gone"));
    }
}

#[test]
fn a_refused_dma_under_load_fails_every_thread_and_no_other_pool() {
    let (device, pool, errors) = struck("bmu", |device| {
        let fault = Fault::new(FaultKind::DmaFault).at(0);
        device.model().expect("a model").inject(fault).unwrap();
    });
    for text in errors {
        let telling = "portal 0 halted: DMA_FAULT, offending value 0x";
        assert!(text.contains(telling), "{text}");
    }
    let other = self::pool(&device, "bmu", 32);
    close_fails(&pool, "DMA_FAULT");
    drop(pool);
    work(&other, "other", 9, 100).expect("another pool goes on");
    closes_clean(&other);
    let again = self::pool(&device, "bmu", 32);
    work(&again, "again", 9, 100).expect("its number is used again");
    closes_clean(&again);
}

/// Where a log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Builds a pool, and returns the lines that were logged meanwhile.
fn logged(builder: PoolBuilder) -> Vec<String> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    let build = || builder.build().expect("a pool is made");
    let pool = tracing::subscriber::with_default(subscriber.finish(), build);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).expect("text");
    closes_clean(&pool);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_pool_that_was_given_no_device_says_that_it_runs_on_a_model() {
    let ask = |backend: &str| Pool::builder("mine").objects(8).size(64).backend(backend);
    for backend in BACKENDS {
        let lines = logged(ask(backend));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let telling = ["WARN", "`mine`", "runs on a model", "(sim:bmu)"];
        assert!(
            telling.iter().all(|word| lines[0].contains(word)),
            "{lines:?}"
        );
        let device = device("seed=2");
        assert!(logged(ask(backend).device(&device)).is_empty());
    }
    assert!(logged(ask("sim:bmu")).is_empty(), "who named it knows");
}

/// Fails unless the pool is refused with a message that has all of `telling`.
fn refused(builder: PoolBuilder, telling: &[&str]) -> CreateError {
    let error = builder.build().expect_err("refused");
    let text = chain(&error);
    for word in telling {
        assert!(text.contains(word), "`{text}` does not say `{word}`");
    }
    error
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let device = device("buffers=64");
    for backend in BACKENDS {
        let ask = |objects, size| builder(&device, backend, objects).size(size);
        refused(ask(0, 256), &["pool test: zero objects"]);
        refused(ask(8, 0), &["pool test: objects of zero bytes"]);
        refused(
            ask(2, (1 << 20) + 64),
            &["stride is 1048640", "64 to 1048576 bytes in steps of 64"],
        );
        refused(ask(65, 64), &["number of objects is 65", "1 to 64"]);
        refused(ask(8, 256).align(96), &["alignment 96"]);
        refused(ask(8, 256).cache(9), &["a cache of 9", "the 8 allowed"]);
        closes_clean(&ask(64, 64).build().expect("64 fit"));
    }
    no_violations(&device);
}

#[test]
fn names_that_nobody_has_are_refused() {
    let ask = |backend: &str| Pool::builder("test").objects(8).size(64).backend(backend);
    let known = "known are ring, stack, bmu, bmu-registers";
    refused(ask("bmv"), &["no backend named \"bmv\"", known]);
    refused(ask("usb:bmu"), &["`usb`", "known are sim, user and vfio"]);
    refused(ask("sim:"), &["`sim:` is not a device address"]);
    refused(ask("sim:bmw"), &["no model `bmw`; there is bmu"]);
    refused(ask("sim:bmu?seed"), &["`seed`", "is not an option"]);
    refused(ask("sim:bmu?seed=1&seed=2"), &["`seed` is given twice"]);
    refused(ask("sim:bmu?sede=1"), &["unknown key `sede`", "seed"]);
    refused(
        ask("sim:bmu?pools=65"),
        &["`pools` can't be `65`", "1 to 64"],
    );
    refused(ask("vfio:junk"), &["junk"]);
}

#[test]
fn a_device_that_has_no_more_says_of_what() {
    let small = device("pools=1&portals=1");
    let first = pool(&small, "bmu", 8);
    refused(builder(&small, "bmu", 8), &["all 1 pools of the device"]);
    drop(first);
    let none = device("portals=0");
    refused(builder(&none, "bmu", 8), &["all 0 portals of the device"]);
    closes_clean(&pool(&none, "bmu-registers", 8));
    let one = device("iommu-entries=1");
    let telling = ["hwpool-rings", "all 1 DMA mappings of this device are used"];
    refused(builder(&one, "bmu", 8), &telling);
    closes_clean(&pool(&one, "bmu-registers", 8));
    no_violations(&one);
}

#[test]
fn memory_that_the_iommu_or_the_device_cannot_address_is_refused() {
    let coarse = device("iommu-page=2097152");
    let pages = builder(&coarse, "bmu", 8).pages(Pages::Exactly(PageSize::Base));
    refused(pages, &["no multiple of the IOMMU page of 0x200000 bytes"]);
    let narrow = bmu(&device("address-width=32"));
    let config = ListConfig {
        base: Iova((1 << 32) - 4 * 64),
        stride: 64,
        objects: 5,
        capacity: 5,
    };
    let open = |config| List::<_, Slice<InProcess>>::open(&narrow, config);
    let error = open(&config).expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("base address is 4294967040"), "{text}");
    assert!(text.contains("with the pool below 2^32"), "{text}");
    let fits = ListConfig {
        objects: 4,
        capacity: 4,
        ..config
    };
    open(&fits).expect("the last one ends at 2^32");
}

#[test]
fn what_is_another_pools_or_was_given_before_is_refused() {
    for backend in BACKENDS {
        let device = device("seed=9");
        let (ours, theirs) = (pool(&device, backend, 16), pool(&device, backend, 16));
        let foreign = theirs.take().unwrap().unwrap();
        let error = ours.give(foreign).expect_err("another pool's buffer");
        assert!(chain(&error).contains("belongs to the pool of tag"));
        drop(error);
        let slot = theirs.take_slot().unwrap().unwrap();
        let mut worker = ours.worker("w").unwrap();
        let error = worker.give_slot(slot).expect_err("another pool's slot");
        let slot = error.returned.expect("it comes back");
        theirs.give_slot(slot).unwrap();
        drop(worker);
        closes_clean(&ours);
        closes_clean(&theirs);
    }
}
