//! How pools and devices fare, in numbers: what is read, and the text that carries it.

#[path = "rig/documents.rs"]
mod documents;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hwpool::device::Attached;
use hwpool::devices::family::observe;
use hwpool::metrics::{
    ChannelState, DeviceState, Exporter, FetchError, ListState, PoolState, Snapshot, TextError,
    Traffic, fetch,
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
    documents::check(&document);
    assert_eq!(document["devices"][0]["error_flags"]["OVERFLOW"], false);
    let told = hwpool(&["metrics", "sim:bmu", "--json"]);
    documents::check(&serde_json::from_slice(&told.stdout).expect("a document"));
    // One with all parts: pools, lists in use, portals.
    let place = Place::new();
    let (device, pool) = on_a_model();
    let snapshot = Snapshot {
        pools: vec![PoolState::of(&pool)],
        devices: vec![DeviceState::of(&device)],
    };
    let path = place.path("all.sock");
    let _exporter = Exporter::listen(&path, move || snapshot.clone()).expect("it listens");
    let told = hwpool(&["metrics", &format!("unix:{}", path.display()), "--json"]);
    let document = serde_json::from_slice(&told.stdout).expect("a document");
    documents::check(&document);
    let parts = ["lists", "channels"].map(|part| document["devices"][0][part][0].is_object());
    assert_eq!(parts, [true, true], "{document:#}");
    for (device, code) in [("sim:none", 2), ("user:/nowhere.sock", 3), ("bmu", 2)] {
        assert_eq!(
            hwpool(&["metrics", device]).status.code(),
            Some(code),
            "{device}"
        );
    }
}

/// A place for sockets.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Offers one pool, which it keeps.
fn offering(path: &Path) -> (Pool, Exporter) {
    let pool = Pool::builder("rx").objects(64).size(64).build();
    let pool = pool.expect("a pool");
    let offered = pool.clone();
    let exporter = Exporter::listen(path, move || PoolState::of(&offered).into());
    (pool, exporter.expect("it listens"))
}

/// Says something to a socket and returns all that it answers.
fn say(path: &Path, question: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(LONG)).expect("set");
    let _ = stream.write_all(question);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// Longer than anything here takes, also on a machine that has a lot to do.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_program_offers_its_pools() {
    let place = Place::new();
    let path = place.path("rx.sock");
    let (pool, exporter) = offering(&path);
    let mode = std::fs::metadata(&path)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = fetch(&path, LONG).expect("an answer");
    assert_eq!((first.pools[0].free, first.pools[0].taken), (64, 0));
    let buffer = pool.take().expect("no error").expect("one");
    let second = fetch(&path, LONG).expect("an answer");
    assert_eq!((second.pools[0].free, second.pools[0].taken), (63, 1));
    assert_eq!(second, PoolState::of(&pool).into());
    drop(buffer);
    let address = format!("unix:{}", path.display());
    let told = hwpool(&["metrics", &address]);
    let text = String::from_utf8(told.stdout).expect("text");
    assert_eq!(
        Snapshot::from_openmetrics(&text),
        Ok(PoolState::of(&pool).into())
    );
    drop(exporter);
    assert!(!path.exists(), "the socket's file goes with it");
    let gone = hwpool(&["metrics", &address]);
    let message = String::from_utf8(gone.stderr).expect("text");
    assert_eq!(gone.status.code(), Some(3), "{message}");
    assert!(
        message.contains("does a program offer its numbers there"),
        "{message}"
    );
    assert!(pool.close().expect("closes").is_clean());
}

#[test]
fn questions_are_http() {
    let place = Place::new();
    let path = place.path("rx.sock");
    let (_pool, _exporter) = offering(&path);
    let long = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 20_000]].concat();
    for (question, status) in [
        (
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n".as_slice(),
            "200",
        ),
        (b"GET / HTTP/1.0\r\n\r\n", "200"),
        (b"GET /metrics?x=1 HTTP/1.0\n\n", "200"),
        (b"GET /other HTTP/1.0\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.0\r\n\r\n", "405"),
        (b"\x00\xff\xfe\r\n\r\n", "400"),
        (b"hello\n\n", "400"),
        (&long, "200"),
    ] {
        let answer = say(&path, question);
        assert!(
            answer.starts_with(&format!("HTTP/1.0 {status} ")),
            "{status}: {answer}"
        );
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let length = format!("Content-Length: {}\r\n", body.len());
        assert!(head.contains(&length), "{head}");
        let kind = head.contains("application/openmetrics-text; version=1.0.0");
        assert_eq!(
            (kind, body.ends_with("# EOF\n")),
            (status == "200", status == "200")
        );
    }
}

#[test]
fn who_hangs_harms_nobody() {
    let place = Place::new();
    let path = place.path("rx.sock");
    let (pool, exporter) = offering(&path);
    // Some say nothing, and one never reads its answer.
    let mut silent: Vec<_> = (0..7)
        .map(|_| UnixStream::connect(&path).expect("taken"))
        .collect();
    silent[0].write_all(b"GET /metr").expect("sent");
    let started = Instant::now();
    fetch(&path, LONG).expect("the eighth is answered");
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "before the others' time is over"
    );
    let eighth = UnixStream::connect(&path).expect("taken");
    // Who comes beyond is told so, once all eight are taken in.
    let until = Instant::now() + LONG;
    let refused = loop {
        match fetch(&path, LONG) {
            Err(FetchError::Refused { answer, .. }) => break answer,
            other => assert!(Instant::now() < until, "{other:?}"),
        }
    };
    assert!(refused.contains("503"), "{refused}");
    let started = Instant::now();
    drop(exporter);
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "nobody is waited for"
    );
    drop((silent, eighth));
    assert!(
        pool.close().expect("closes").is_clean(),
        "nothing holds the pool"
    );
}

#[test]
fn a_programs_mistake_is_its_own() {
    let place = Place::new();
    let path = place.path("rx.sock");
    let _exporter = Exporter::listen(&path, || panic!("on purpose")).expect("it listens");
    for _ in 0..2 {
        let Err(FetchError::Refused { answer, .. }) = fetch(&path, LONG) else {
            panic!("it has no numbers")
        };
        assert!(answer.contains("500"), "{answer}");
    }
}

/// What a peer says is not believed.
#[test]
fn who_answers_nonsense_is_named() {
    let place = Place::new();
    let path = place.path("liar.sock");
    let listener = UnixListener::bind(&path).expect("bound");
    let answers: [&[u8]; 5] = [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhwpool_pool_taken_objects_total{pool=\"a\"} 1\n",
        b"HTTP/1.0 200 OK\r\n\r\n<html>\n# EOF\n",
        b"HTTP/1.0 204 No Content\r\n\r\n# EOF\n",
    ];
    let liar = std::thread::spawn(move || {
        for answer in answers {
            let (mut client, _) = listener.accept().expect("a client");
            let mut question = [0; 64];
            let _ = client.read(&mut question);
            let _ = client.write_all(answer);
        }
        let (client, _) = listener.accept().expect("a client");
        (listener, client)
    });
    let told = answers.map(|_| fetch(&path, LONG).expect_err("nonsense").to_string());
    assert!(told[0].contains("\"nothing\""), "{told:?}");
    assert!(told[1].contains("SSH-2.0"), "{told:?}");
    assert!(
        told[2].contains("no list of numbers") && told[3].contains("no list"),
        "{told:?}"
    );
    assert!(told[4].contains("204"), "{told:?}");
    let silent = fetch(&path, Duration::from_millis(50));
    assert!(
        matches!(silent, Err(FetchError::Silent { .. })),
        "{silent:?}"
    );
    drop(liar.join().expect("no panic"));
}

/// A model that is served and driven is looked at from beside: its client and its counters notice nothing.
#[test]
fn a_served_model_is_looked_at_beside_its_client() {
    let place = Place::new();
    let (socket, numbers) = (place.path("bmu.sock"), place.path("numbers.sock"));
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let mut serve = Command::new(env!("CARGO_BIN_EXE_hwpool"));
    serve.args([
        "sim",
        "serve",
        "--socket",
        &text(&socket),
        "--offer",
        &text(&numbers),
    ]);
    let mut server = Ended(serve.stdout(Stdio::piped()).spawn().expect("hwpool starts"));
    let mut line = String::new();
    let stdout = server.0.stdout.take().expect("piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it serves");
    let device = Device::open(&format!("user:{}", text(&socket))).expect("opens");
    let builder = Pool::builder("rx").objects(128).size(256);
    let pool = builder
        .backend("bmu")
        .device(&device)
        .build()
        .expect("a pool");
    let look = || fetch(&numbers, LONG).expect("an answer").devices.remove(0);
    // The model's thread may see the last doorbell a little later, and fills the ring then.
    let until = Instant::now() + LONG;
    let first = loop {
        let (one, other) = (look(), look());
        if one == other
            && one
                .channels
                .first()
                .is_some_and(|way| way.given == 128 && way.taken > 0)
        {
            break one;
        }
        assert!(Instant::now() < until, "{one:?}");
    };
    let second = look();
    assert_eq!(
        (first.kind.as_str(), first.name.as_str()),
        ("bmu", "sim:bmu")
    );
    assert_eq!(first.lists[0].capacity, 128);
    assert_eq!(
        first, second,
        "two looks at a model at rest, and no access was counted"
    );
    // The other way in is taken.
    let refused = hwpool(&["metrics", &format!("user:{}?timeout-ms=50", text(&socket))]);
    let message = String::from_utf8(refused.stderr).expect("text");
    assert!(message.contains("--offer"), "{message}");
    assert!(pool.close().expect("closes").is_clean());
    drop((pool, device));
    let free = hwpool(&["metrics", &format!("user:{}", text(&socket))]);
    assert!(free.status.success(), "{free:?}");
}

/// A process that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
