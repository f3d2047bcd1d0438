//! How pools and devices fare, in numbers: what is read, and the text that carries it.

use std::process::{Command, Output, Stdio};

use hwpool::device::Attached;
use hwpool::devices::family::observe;
use hwpool::metrics::{
    ChannelState, DeviceState, ListState, PoolState, Snapshot, TextError, Traffic,
};
use hwpool::{Device, Pool};
use proptest::prelude::*;

/// A pool on the rings of a model, with thresholds at its list.
fn on_a_model() -> (Device, Pool) {
    let device = Device::open("sim:bmu").expect("a model");
    let builder = Pool::builder("rx").objects(256).size(256).cache(16);
    let pool = builder.backend("bmu").device(&device).build();
    (device, pool.expect("a pool"))
}

#[test]
fn a_pool_and_its_device_tell_the_same() {
    let (device, pool) = on_a_model();
    let mut worker = pool.worker("one").expect("a worker");
    let held: Vec<_> = (0..41)
        .map(|_| worker.take().expect("no error").expect("one"))
        .collect();
    let state = PoolState::of(&pool);
    assert_eq!((state.objects, state.taken, state.given), (256, 41, 0));
    assert_eq!(state.free, 215);
    assert!(state.refills >= 2 && state.cached > 0, "{state:?}");
    assert!(!state.is_closed && !state.is_poisoned);
    let seen = DeviceState::of(&device);
    assert_eq!((seen.name.as_str(), seen.kind.as_str()), ("sim:bmu", "bmu"));
    let [list] = &seen.lists[..] else {
        panic!("one list: {:?}", seen.lists)
    };
    assert_eq!((list.index, list.capacity), (0, 256));
    let [channel] = &seen.channels[..] else {
        panic!("one portal: {:?}", seen.channels)
    };
    assert_eq!(
        (channel.name.as_str(), channel.state.as_str()),
        ("portal 0", "running")
    );
    // All were given through it, and what is neither in the list nor on its way is here.
    assert_eq!(channel.given, 256);
    let available = list.available.expect("a BMU counts");
    assert_eq!(available + channel.taken, 256);
    let rung = seen.traffic.expect("a model counts").doorbells;
    assert_eq!(
        PoolState::of(&pool).doorbells,
        Some(rung),
        "the driver and the model count the same"
    );
    assert!(rung > 0);
    drop(held);
    drop(worker);
    assert!(pool.close().expect("closes").is_clean());
    assert!(PoolState::of(&pool).is_closed);
}

#[test]
fn thresholds_and_errors_of_a_device_are_seen() {
    let attached = Attached::open("sim:bmu").expect("a model");
    let device = Device::open("sim:bmu").expect("another");
    drop(device);
    let state = attached.state().expect("it answers");
    assert_eq!(state.error_counts.len(), 9);
    assert_eq!(state.errors(), Some(0));
    assert!(state.lists.is_empty(), "none is in use");
    let Device::Sim(session) = Device::open("sim:bmu").expect("a model") else {
        panic!("sim: opens a model")
    };
    use hwpool::devices::bmu::regs;
    use hwpool::devices::bus::Transport;
    let transport = session.driver.transport();
    let bar = transport.bar(0).expect("BAR 0");
    regs::ERR_STATUS_SET.write(&bar, 0b101).expect("written");
    for (register, value) in [
        (regs::POOL_LOW, 5),
        (regs::POOL_HIGH, 9),
        (regs::POOL_STRIDE, 64),
        (regs::POOL_CAPACITY, 12),
    ] {
        register.write_at(&bar, 0, value).expect("written");
    }
    regs::POOL_BASE
        .write_at(&bar, 0, 0x10_0000)
        .expect("written");
    regs::POOL_END
        .write_at(&bar, 0, 0x10_0000 + 12 * 64)
        .expect("written");
    regs::POOL_CONTROL.write_at(&bar, 0, 1).expect("written");
    let (about, identity) = (session.driver.about(), session.driver.identity());
    let seen = observe(&**transport, about, identity).expect("it answers");
    assert_eq!(seen.error_counts[0], ("RANGE", 1));
    assert_eq!(seen.error_counts[1], ("ALIGN", 0));
    assert_eq!(seen.error_counts[2], ("DOUBLE_FREE", 1));
    let [list] = &seen.lists[..] else {
        panic!("one list: {seen:?}")
    };
    assert_eq!((list.capacity, list.low, list.high), (12, Some(5), Some(9)));
    assert_eq!(seen.states[..2], [("READY", true), ("ENABLE", true)]);
}

/// A model that nobody drives is left as it is: no write, and no buffer taken.
#[test]
fn a_look_writes_nothing() {
    for address in ["sim:bmu", "sim:fifo", "sim:describe/devices/litex.toml"] {
        let attached = Attached::open(address).expect("a model");
        let first = attached
            .state()
            .expect("it answers")
            .traffic
            .expect("counted");
        let second = attached
            .state()
            .expect("it answers")
            .traffic
            .expect("counted");
        assert_eq!(
            (second.writes, second.doorbells),
            (first.writes, 0),
            "{address}"
        );
        assert_eq!(first.writes, 0, "{address}");
        assert!(second.reads > first.reads, "{address}: it was read");
    }
}

fn name() -> impl Strategy<Value = String> {
    // With all that has to be escaped.
    proptest::collection::vec(prop_oneof!["[a-z]{1,4}", "[\\\\\"{},= \n#é]"], 1..5)
        .prop_map(|parts| parts.concat())
}

prop_compose! {
    fn pool()(
        (name, backend) in (name(), name()), (is_closed, is_poisoned) in any::<(bool, bool)>(),
        n in any::<[u64; 12]>(), doorbells in any::<Option<u64>>(),
    ) -> PoolState {
        PoolState {
            name, backend, is_closed, is_poisoned, objects: n[0], free: n[1], cached: n[2], cache: n[3],
            taken: n[4], given: n[5], late: n[6], refills: n[7], flushes: n[8], shortages: n[9],
            backend_takes: n[10], backend_gives: n[11], doorbells,
        }
    }
}

prop_compose! {
    fn list()(index in 0..64u64, capacity in any::<u64>(), n in any::<[Option<u64>; 3]>()) -> ListState {
        ListState { index, capacity, available: n[0], low: n[1], high: n[2] }
    }
}

prop_compose! {
    fn channel()(name in name(), list in 0..64u64, state in name(), n in any::<[u64; 2]>()) -> ChannelState {
        ChannelState { name, list, state, given: n[0], taken: n[1] }
    }
}

prop_compose! {
    fn traffic()(n in any::<[u64; 5]>(), interrupts in proptest::collection::vec(any::<u64>(), 0..4)) -> Traffic {
        Traffic { reads: n[0], writes: n[1], doorbells: n[2], dma_read_bytes: n[3], dma_write_bytes: n[4], interrupts }
    }
}

/// Some, each with a name of its own.
fn distinct<T: std::fmt::Debug>(
    one: impl Strategy<Value = T>,
    name: fn(&T) -> String,
) -> impl Strategy<Value = Vec<T>> {
    proptest::collection::vec(one, 0..3).prop_map(move |mut all| {
        let mut seen = Vec::new();
        all.retain(|one| {
            let is_new = !seen.contains(&name(one));
            seen.push(name(one));
            is_new
        });
        all
    })
}

prop_compose! {
    fn device()(
        (name, kind, fault) in (name(), name(), proptest::option::of(name())),
        (resets, pending, traffic) in (any::<Option<u64>>(), any::<Option<u64>>(), proptest::option::of(traffic())),
        states in distinct((name(), any::<bool>()), |(name, _)| name.clone()),
        error_counts in distinct((name(), any::<u64>()), |(name, _)| name.clone()),
        error_flags in distinct((name(), any::<bool>()), |(name, _)| name.clone()),
        lists in distinct(list(), |list| list.index.to_string()),
        channels in distinct(channel(), |channel| channel.name.clone()),
    ) -> DeviceState {
        DeviceState { name, kind, fault, states, resets, pending, error_counts, error_flags, lists, channels, traffic }
    }
}

prop_compose! {
    fn snapshot()(
        pools in distinct(pool(), |pool| pool.name.clone()),
        devices in distinct(device(), |device| device.name.clone()),
    ) -> Snapshot {
        Snapshot { pools, devices }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(snapshot in snapshot()) {
        let text = snapshot.openmetrics();
        prop_assert_eq!(Snapshot::from_openmetrics(&text), Ok(snapshot), "{}", text);
    }

    #[test]
    fn a_text_that_is_cut_or_changed_is_no_harm(
        snapshot in snapshot(), at in any::<prop::sample::Index>(), with in "[ -~\n]{0,4}",
    ) {
        let text = snapshot.openmetrics();
        let mut cut = at.index(text.len() - 1);
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        prop_assert!(Snapshot::from_openmetrics(&text[..cut]).is_err(), "it has no end");
        let _ = Snapshot::from_openmetrics(&format!("{}{with}{}", &text[..cut], &text[cut..]));
    }
}

#[test]
fn a_mistake_in_a_text_is_named() {
    let no_end = Snapshot::from_openmetrics("hwpool_pool_refills_total{pool=\"a\"} 1\n");
    assert_eq!(no_end, Err(TextError::NoEnd { lines: 1 }));
    for bad in [
        "hwpool_x",
        "hwpool_x{a=\"b} 1",
        "HTTP/1.0 200 OK",
        "a b",
        "{} 1",
        "x{a=b} 1",
    ] {
        let refused = Snapshot::from_openmetrics(&format!("# HELP x y\n{bad}\n# EOF\n"));
        let Err(TextError::Line { line: 2, text }) = refused else {
            panic!("{bad}: {refused:?}")
        };
        assert_eq!(text, bad);
    }
    let other = "up 1\nother_total{device=\"x\"} 3 1700000000\n# EOF\n";
    let read = Snapshot::from_openmetrics(other);
    assert_eq!(read, Ok(Snapshot::default()), "other programs' numbers");
}

#[test]
fn pools_of_one_name_are_told_apart() {
    let pool = Pool::builder("rx")
        .objects(8)
        .size(64)
        .build()
        .expect("a pool");
    let pools = vec![PoolState::of(&pool); 3];
    let snapshot = Snapshot {
        pools,
        ..Snapshot::default()
    };
    let text = snapshot.openmetrics();
    for name in ["rx", "rx#2", "rx#3"] {
        let line = format!("hwpool_pool_free_objects{{pool=\"{name}\",backend=\"ring\"}} 8\n");
        assert_eq!(text.matches(&line).count(), 1, "{text}");
    }
}

fn hwpool(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool"));
    let command = command.args(arguments).stdin(Stdio::null());
    command.output().expect("hwpool starts")
}

#[test]
fn the_program_prints_text_and_documents() {
    let told = hwpool(&["metrics", "sim:bmu"]);
    let text = String::from_utf8(told.stdout).expect("text");
    assert!(told.status.success() && text.ends_with("# EOF\n"), "{text}");
    let read = Snapshot::from_openmetrics(&text).expect("a snapshot");
    assert_eq!(read.devices[0].kind, "bmu");
    let told = hwpool(&["metrics", "sim:fifo", "--json"]);
    let document: serde_json::Value = serde_json::from_slice(&told.stdout).expect("a document");
    assert_eq!(document["schema"], "hwpool.metrics/1");
    assert_eq!(document["devices"][0]["error_flags"]["OVERFLOW"], false);
    for (device, code) in [("sim:none", 2), ("user:/nowhere.sock", 3), ("bmu", 2)] {
        assert_eq!(
            hwpool(&["metrics", device]).status.code(),
            Some(code),
            "{device}"
        );
    }
}
