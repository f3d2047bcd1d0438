//! Who a device is: by what it says, not by its ids alone; by the name in its address; and what is said where nobody knows.

use std::sync::Arc;
use std::time::Duration;

use hwpool::device::{AnyTransport, Device, DeviceError, Session, recognition};
use hwpool::devices::bmu::{self, regs};
use hwpool::devices::bus::{BusError, DmaError, DmaLimits, DmaSource, Iova, Transport};
use hwpool::devices::family::{Choice, ListConfig, OpenError, Recognition, Rejected};
use hwpool::sim::{Fault, FaultKind, InProcess, SimBar, SimIrq};

/// Ids of a board that is nobody's we know: device and vendor.
const FOREIGN: u32 = 0x9038_10ee;

/// The model of a BMU with ids of its own.
struct Renamed {
    model: Arc<InProcess>,
    ids: u32,
}

impl Transport for Renamed {
    type Bar = SimBar;
    type Irq = SimIrq;

    fn name(&self) -> &str {
        "test:renamed"
    }
    fn bar(&self, index: u8) -> Result<SimBar, BusError> {
        self.model.bar(index)
    }
    fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        match offset {
            0 => Ok(self.ids),
            _ => self.model.config_read32(offset),
        }
    }
    fn config_write32(&self, offset: u16, value: u32) -> Result<(), BusError> {
        self.model.config_write32(offset, value)
    }
    fn config_write16(&self, offset: u16, value: u16) -> Result<(), BusError> {
        self.model.config_write16(offset, value)
    }
    fn irq_count(&self) -> Result<u16, BusError> {
        self.model.irq_count()
    }
    fn irq(&self, vector: u16) -> Result<SimIrq, BusError> {
        self.model.irq(vector)
    }
    fn reset(&self) -> Result<(), BusError> {
        self.model.reset()
    }
    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        self.model.dma_limits()
    }
    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        self.model.dma_map(iova, source)
    }
    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        self.model.dma_unmap(iova, len)
    }
    fn now(&self) -> Duration {
        self.model.now()
    }
    fn relax(&self) {
        self.model.relax();
    }
}

fn model() -> Arc<InProcess> {
    match AnyTransport::open("sim:bmu?seed=1").expect("the model opens") {
        AnyTransport::Sim(model) => model,
        _ => panic!("sim: opens a model"),
    }
}

fn renamed(ids: u32) -> Renamed {
    let model = model();
    Renamed { model, ids }
}

fn own_ids() -> u32 {
    u32::from(regs::DEVICE_ID) << 16 | u32::from(regs::VENDOR_ID)
}

/// A board with `ids` whose `register` always reads `value`.
fn saying(ids: u32, register: &str, value: u64) -> Renamed {
    let board = renamed(ids);
    let fault = Fault::new(FaultKind::Stuck).on(register).with(value);
    board
        .model
        .inject(fault.times(0))
        .expect("the fault can happen");
    board
}

fn named(name: &str) -> Choice {
    Choice::Named(name.into())
}

/// Returns the module that knows a board, and why the board can't be used.
fn known(board: &Renamed, choice: &Choice) -> (&'static str, Option<OpenError>) {
    match recognition(board, choice).expect("the board answers") {
        Recognition::Known(module) => (module.about().name, module.identify(board).err()),
        Recognition::Unknown(rejected) => panic!("nobody knows it: {rejected:?}"),
    }
}

fn rejected(board: &Renamed, choice: &Choice) -> Vec<Rejected> {
    match recognition(board, choice).expect("the board answers") {
        Recognition::Unknown(rejected) => rejected,
        Recognition::Known(module) => panic!("{} knows it", module.about().name),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn refused(board: Renamed, choice: &Choice) -> DeviceError {
    let session = Session::open(Arc::new(board), choice);
    session.expect_err("it does not open")
}

#[test]
fn a_device_with_ids_of_its_own_is_known_by_what_it_says() {
    let board = renamed(FOREIGN);
    assert_eq!(known(&board, &Choice::Recognised), ("bmu", None));
    let session = Session::open(Arc::new(board), &Choice::Recognised).expect("it opens");
    assert_eq!(session.driver.about().name, "bmu");
    let config = ListConfig {
        base: Iova(1 << 36),
        stride: 64,
        objects: 8,
        capacity: 8,
    };
    for way in session.driver.identity().limits.ways.clone() {
        let mut list = session.open_list(&config, way, None).expect("a list");
        list.give(&[3]).expect("gives");
        assert_eq!(list.drain(), Ok(vec![3]), "{way}");
    }
}

#[test]
fn finding_out_writes_nothing() {
    let board = renamed(FOREIGN);
    let before = board.model.counters();
    known(&board, &Choice::Recognised);
    let made = board.model.counters().since(&before);
    assert_eq!((made.mmio_writes, made.doorbells), (0, 0));
}

#[test]
fn ids_alone_make_no_device() {
    let board = saying(own_ids(), "MAGIC", 0x1234);
    let reasons = rejected(&board, &Choice::Recognised);
    let first = reasons.first().expect("a reason");
    assert_eq!((first.name, first.has_its_ids), ("bmu", true));
    let stranger = OpenError::Stranger {
        device: "BMU",
        register: "MAGIC",
        bar: 0,
        found: 0x1234,
        expected: regs::MAGIC_VALUE,
    };
    assert_eq!(first.why, stranger);
    assert!(reasons.iter().skip(1).all(|no| !no.has_its_ids));
    let error = refused(board, &Choice::Recognised);
    assert!(matches!(error, DeviceError::Unknown { .. }), "{error:?}");
    let ids = format!("{:04x}:{:04x}", regs::VENDOR_ID, regs::DEVICE_ID);
    for word in [&*ids, "MAGIC reads 0x00001234", "?driver=NAME"] {
        assert!(error.to_string().contains(word), "{error}: {word}");
    }
    assert!(!error.is_usage());
}

#[test]
fn a_device_of_a_kind_that_cannot_be_used_is_still_of_that_kind() {
    for ids in [own_ids(), FOREIGN] {
        let board = saying(ids, "VERSION", 0x0002_0007);
        let version = OpenError::Version {
            major: 2,
            minor: 7,
            known: 1,
        };
        assert_eq!(known(&board, &Choice::Recognised), ("bmu", Some(version)));
        let error = refused(board, &Choice::Recognised);
        assert!(chain(&error).contains("specification 2.7"), "{error}");
    }
}

/// Memory that is not decoded reads all ones: of a board with our ids it is gone, of another it says nothing.
#[test]
fn a_foreign_board_that_reads_all_ones_is_nobodys() {
    let all_ones = u64::from(u32::MAX);
    let gone = known(&saying(own_ids(), "MAGIC", all_ones), &Choice::Recognised);
    assert!(
        matches!(gone, ("bmu", Some(OpenError::Bus(BusError::Gone { .. })))),
        "{gone:?}"
    );
    let reasons = rejected(&saying(FOREIGN, "MAGIC", all_ones), &Choice::Recognised);
    assert!(reasons.iter().any(|no| no.name == "bmu"), "{reasons:?}");
}

#[test]
fn a_driver_that_is_named_is_taken_at_its_word() {
    let board = saying(FOREIGN, "MAGIC", 0x1234);
    let (name, why) = known(&board, &named("bmu"));
    assert_eq!(name, "bmu");
    assert!(matches!(why, Some(OpenError::Stranger { .. })), "{why:?}");
    let text = chain(&refused(board, &named("bmu")));
    assert!(text.contains("MAGIC reads 0x00001234"), "{text}");
    assert_eq!(known(&renamed(FOREIGN), &named("bmu")), ("bmu", None));
}

#[test]
fn no_driver_means_no_register_is_read() {
    let board = renamed(own_ids());
    let before = board.model.counters();
    assert_eq!(rejected(&board, &Choice::None), []);
    let made = board.model.counters().since(&before);
    assert_eq!((made.mmio_reads, made.mmio_writes), (0, 0));
    let error = refused(board, &Choice::None);
    assert!(error.to_string().contains("?driver=NAME"), "{error}");
}

#[test]
fn an_address_names_the_driver() {
    let device = Device::open("sim:bmu?driver=bmu&seed=3").expect("it opens");
    assert_eq!(device.about().name, bmu::ABOUT.name);
    let none = Device::open("sim:bmu?driver=none").expect_err("refused");
    assert!(matches!(none, DeviceError::Unknown { .. }), "{none:?}");
    for address in ["sim:bmu?driver=bmw", "user:/nowhere?driver=bmw"] {
        let error = Device::open(address).expect_err("refused");
        assert!(error.is_usage(), "{error:?}");
        let cause = std::error::Error::source(&error).expect("a cause");
        let text = format!("{error}: {cause}");
        assert!(text.contains("no driver `bmw`; there is bmu"), "{text}");
        assert!(text.contains("or none"), "{text}");
    }
}
