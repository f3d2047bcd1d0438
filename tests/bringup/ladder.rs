//! The ladder on the model in this process.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hwpool::bringup::{self, Check, Choice, Class, Item, Options, Plan, Progress, Report, Status};
use hwpool::devices::bmu::regs;
use hwpool::devices::bus::{BusError, DmaError, DmaLimits, DmaSource, Iova, Transport};
use hwpool::devices::pci;
use hwpool::dma::{Memory, MemoryRequest, PageSize, Pages};
use hwpool::report::Plot;
use hwpool::sim::{Fault, FaultKind, InProcess, SimConfig};

fn model() -> Arc<InProcess> {
    Arc::new(InProcess::open("bmu", "sim:bmu", SimConfig::default()).expect("a model"))
}

fn options(class: Class) -> Options {
    Options {
        soak: Duration::from_millis(50),
        choice: Choice {
            class: Some(class),
            ..Choice::default()
        },
        ..Options::default()
    }
}

fn climb(model: &Arc<InProcess>, options: &Options) -> Report {
    bringup::run(model.clone(), options, None, |_| ControlFlow::Continue(()))
}

fn with(report: &Report, status: Status) -> Vec<String> {
    let checks = report.checks.iter();
    let fits = checks.filter(|check| check.status == status);
    fits.map(|check| check.id.to_string()).collect()
}

fn check<'a>(report: &'a Report, id: &str) -> &'a Check {
    let found = report.checks.iter().find(|check| check.id == id);
    found.expect("the rung")
}

#[test]
fn read_only_rungs_write_nothing() {
    let model = model();
    let report = climb(&model, &options(Class::ReadOnly));
    assert_eq!(
        with(&report, Status::Pass),
        ["pci.function", "regs.identity"]
    );
    let counted = model.counters();
    assert!(counted.mmio_reads > 0 && counted.config_reads > 0);
    assert_eq!(
        (
            counted.mmio_writes,
            counted.doorbells,
            counted.config_writes
        ),
        (0, 0, 0)
    );
    assert_eq!(counted.dma_writes, 0);
    // And the counters do count: a milder one of those that write.
    climb(&model, &options(Class::SafeWrite));
    assert!(model.counters().mmio_writes > 0);
}

/// The model, where something of it can't be had.
struct Reduced {
    model: Arc<InProcess>,
    /// Offset of Device Capabilities, in which no function level reset is offered any more; 0 where it is.
    without_flr: u16,
    /// Interrupt vectors that the machine has left, which shows when the first is enabled.
    left: Option<u16>,
    /// From here on it shows.
    shown: AtomicBool,
}

impl Reduced {
    fn without_flr() -> Reduced {
        // Of the kind whose resets take least.
        let config = SimConfig::new("fifo").expect("the kind");
        let model = InProcess::open("fifo", "sim:fifo", config).expect("a model");
        let model = Arc::new(model);
        let pcie = pci::find_capability(&*model, 0x10).expect("a list");
        Reduced {
            without_flr: pcie.expect("PCI Express") + 4,
            left: None,
            shown: AtomicBool::new(false),
            model,
        }
    }

    fn with_vectors(left: u16) -> Reduced {
        Reduced {
            without_flr: 0,
            left: Some(left),
            shown: AtomicBool::new(false),
            model: model(),
        }
    }
}

impl Transport for Reduced {
    type Bar = <InProcess as Transport>::Bar;
    type Irq = <InProcess as Transport>::Irq;

    fn name(&self) -> &str {
        self.model.name()
    }

    fn bar(&self, index: u8) -> Result<Self::Bar, BusError> {
        self.model.bar(index)
    }

    fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        let word = self.model.config_read32(offset)?;
        let is_gone = self.shown.load(Ordering::Relaxed);
        let is_hidden = is_gone && self.without_flr != 0 && self.without_flr == offset;
        Ok(if is_hidden { word & !(1 << 28) } else { word })
    }

    fn config_write32(&self, offset: u16, value: u32) -> Result<(), BusError> {
        self.model.config_write32(offset, value)
    }

    fn config_write16(&self, offset: u16, value: u16) -> Result<(), BusError> {
        self.model.config_write16(offset, value)
    }

    fn irq_count(&self) -> Result<u16, BusError> {
        match (self.left, self.shown.load(Ordering::Relaxed)) {
            (Some(left), true) => Ok(left),
            _ => self.model.irq_count(),
        }
    }

    fn irq(&self, vector: u16) -> Result<Self::Irq, BusError> {
        self.shown.store(true, Ordering::Relaxed);
        let can_be_had = self.left.is_none_or(|left| vector < left);
        assert!(can_be_had, "vector {vector} can't be had");
        self.model.irq(vector)
    }

    fn reset(&self) -> Result<(), BusError> {
        assert_eq!(self.without_flr, 0, "there is no such reset");
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

#[test]
fn resets_are_counted_as_what_they_are() {
    let options = options(Class::Disruptive);
    let with_flr = climb(&model(), &options);
    // Each kind that there is asks for such a reset, in its first rung: it is gone after that one.
    let reduced = Arc::new(Reduced::without_flr());
    let report = bringup::run(reduced.clone(), &options, None, |told| {
        let is_seen = matches!(told, Progress::End(check) if check.id == "pci.function");
        reduced.shown.fetch_or(is_seen, Ordering::Relaxed);
        ControlFlow::Continue(())
    });
    let seen = |report: &Report, name| {
        let outcome = check(report, "reset.verified");
        assert_eq!(outcome.status, Status::Pass, "{:?}", outcome.message);
        outcome
            .seen(name)
            .map(ToString::to_string)
            .expect("evidence")
    };
    assert_eq!(seen(&with_flr, "function level resets"), "10");
    assert!(seen(&report, "function level resets").contains("none: the function offers no FLR"));
    assert_eq!(seen(&report, "soft resets"), "10");
}

#[test]
fn safe_writes_do_not_reset_the_device() {
    let model = model();
    let report = climb(&model, &options(Class::SafeWrite));
    assert!(report.is_good());
    let all = climb(&model, &options(Class::Disruptive));
    let before = check(&all, "reset.verified")
        .seen("RESET_COUNT before")
        .cloned();
    // Two by regs.access, one by opening the driver.
    assert_eq!(before, Some(Item::Count(3)));
}

#[test]
fn dma_to_nowhere_is_reported_and_only_where_asked_for() {
    let report = climb(&model(), &options(Class::Disruptive));
    let skipped = check(&report, "dma.unmapped");
    assert_eq!(skipped.status, Status::Skip);
    assert!(
        skipped
            .message
            .as_ref()
            .is_some_and(|text| text.contains("--only dma.unmapped"))
    );
    let report = climb(&model(), &options(Class::OptIn));
    let passed = check(&report, "dma.unmapped");
    assert_eq!(passed.status, Status::Pass, "{passed:#?}");
    let (at, where_to) = (
        passed.seen("reported address"),
        passed.seen("unmapped address"),
    );
    assert!(at.is_some() && where_to.is_some(), "{passed:#?}");
    assert!(
        passed
            .registers
            .iter()
            .any(|delta| delta.name == "RESET_COUNT")
    );
}

#[test]
fn a_device_that_keeps_dma_faults_to_itself_fails() {
    let model = model();
    let fault = Fault::new(FaultKind::Stuck).on("ERR_STATUS").times(0);
    model.inject(fault).expect("it can happen");
    let mut options = options(Class::Disruptive);
    options.choice.class = None;
    options.choice.only = vec!["11".into()];
    let report = climb(&model, &options);
    assert_eq!(with(&report, Status::Fail), ["dma.unmapped"]);
    let causes = &check(&report, "dma.unmapped").causes;
    assert!(
        causes
            .iter()
            .any(|cause| cause.contains("ignores completions")),
        "{causes:?}"
    );
}

#[test]
fn registers_that_changed_are_noted() {
    let report = climb(&model(), &options(Class::Disruptive));
    let names = |id: &str| -> Vec<String> {
        let deltas = check(&report, id).registers.iter();
        deltas.map(|delta| delta.name.clone()).collect()
    };
    assert_eq!(names("regs.identity"), [""; 0]);
    assert!(names("reset.verified").contains(&"RESET_COUNT".to_string()));
    assert!(
        names("lists.capacity")
            .iter()
            .any(|name| name.starts_with("ERR_COUNT[")),
        "bad frees were counted"
    );
}

#[test]
fn what_is_worth_a_plot_is_kept() {
    let report = climb(&model(), &options(Class::Disruptive));
    let level = &check(&report, "lists.exhaustion").series[0];
    let levels: Vec<f64> = level.points.iter().map(|point| point.1).collect();
    assert_eq!(
        (levels[0], levels[64], levels[128], levels.len()),
        (64.0, 0.0, 64.0, 129)
    );
    let soak = check(&report, "soak.traffic");
    let bursts: f64 = soak.series[0].points.iter().map(|point| point.1).sum();
    assert_eq!(soak.series[0].kind, Plot::Histogram);
    let Some(Item::Count(pairs)) = soak.seen("pairs") else {
        panic!("{soak:#?}");
    };
    let Some(Item::Count(at_once)) = soak.seen("objects at once") else {
        panic!("{soak:#?}");
    };
    assert_eq!(bursts * *at_once as f64, *pairs as f64);
    assert!(*pairs > 0);
}

#[test]
fn traffic_without_time_is_one_burst() {
    let mut options = options(Class::Disruptive);
    options.soak = Duration::ZERO;
    let report = climb(&model(), &options);
    let soak = check(&report, "soak.traffic");
    assert_eq!(soak.status, Status::Pass, "{soak:#?}");
    let Some(Item::Count(pairs)) = soak.seen("pairs") else {
        panic!("{soak:#?}");
    };
    assert!(*pairs > 0, "{soak:#?}");
}

/// Finds the device without the right to DMA, no pool in use, and nothing mapped where the ladder maps.
fn is_left_in_order(model: &Arc<InProcess>) {
    const COMMAND: u16 = 4;
    const BUS_MASTER: u32 = 1 << 2;
    let command = model.config_read32(COMMAND).expect("the command register");
    assert_eq!(command & BUS_MASTER, 0, "bus mastering");
    let bar = model.bar(regs::CONTROL_BAR).expect("BAR 0");
    for row in [regs::POOL_CONTROL.row(), regs::PORTAL_CONTROL.row()] {
        for index in 0..row.count() {
            let value = row
                .peek(&bar, index)
                .expect("a pure read")
                .expect("it reads");
            assert_eq!(Some(value), row.reset, "{}[{index}]", row.name);
        }
    }
    // In pieces that are smaller than a hugepage, which the machine may have.
    let request = MemoryRequest::new(64 << 20).pages(Pages::Exactly(PageSize::Base));
    let memory = Memory::allocate(&request).expect("memory");
    for offset in (0..memory.len()).step_by(4096) {
        let page = memory.source_range(offset, 4096).expect("a page");
        let iova = Iova(0x10_0000 + offset as u64);
        model
            .dma_map(iova, page)
            .unwrap_or_else(|error| panic!("{iova:?} is still mapped: {error}"));
        // The IOMMU of a model may be small.
        model.dma_unmap(iova, 4096).expect("it was mapped");
    }
}

#[test]
fn a_climb_leaves_the_device_in_order_wherever_it_is_ended() {
    for last in bringup::ids() {
        let model = model();
        let mut options = options(Class::OptIn);
        options.soak = Duration::from_secs(3600);
        let stop = options.stop.clone();
        bringup::run(model.clone(), &options, None, |progress| match progress {
            Progress::Start {
                id: "soak.traffic", ..
            } => {
                stop.store(true, Ordering::Relaxed);
                ControlFlow::Continue(())
            }
            Progress::End(outcome) if outcome.id == last => ControlFlow::Break("enough".into()),
            _ => ControlFlow::Continue(()),
        });
        is_left_in_order(&model);
    }
}

#[test]
fn traffic_ends_when_it_is_told_to() {
    let mut options = options(Class::Disruptive);
    options.soak = Duration::from_secs(3600);
    let stop = options.stop.clone();
    let report = bringup::run(model(), &options, None, |progress| {
        if let Progress::Start {
            id: "soak.traffic", ..
        } = progress
        {
            stop.store(true, Ordering::Relaxed);
        }
        ControlFlow::Continue(())
    });
    let ended = check(&report, "soak.traffic");
    assert_eq!(ended.status, Status::Blocked);
    let says = |message: &String| message.contains("nothing was wrong");
    assert!(ended.message.as_ref().is_some_and(says), "{ended:#?}");
    assert!(!report.is_good());
}

/// Devices at the ends of what the specification allows, alone and all at once.
#[test]
fn every_size_of_device_is_climbed() {
    let extremes = [
        "pools=1",
        "portals=1",
        "portals=0",
        "vectors=1",
        "buffers=1",
        "buffers=63",
        "buffers=1000",
        "stride-max=64",
        "stride-max=128",
        "stride-min=4096",
        "ring-max=8",
        "iommu-entries=3",
        "pools=1&portals=1&vectors=1&buffers=1&stride-max=64&ring-max=8",
        "pools=1&portals=0&vectors=1&buffers=2&stride-min=4096",
    ];
    for extreme in extremes {
        let mut config = SimConfig::default();
        for (key, value) in extreme.split('&').filter_map(|pair| pair.split_once('=')) {
            config.set(key, value).expect("an allowed device");
        }
        let model = Arc::new(InProcess::open("bmu", extreme, config).expect("a model"));
        let report = climb(&model, &options(Class::OptIn));
        let bad = report
            .checks
            .iter()
            .find(|check| matches!(check.status, Status::Fail | Status::Blocked));
        assert!(bad.is_none(), "{extreme}: {bad:#?}");
        let soak = check(&report, "soak.traffic");
        assert_eq!(soak.status, Status::Pass, "{extreme}: {soak:#?}");
        is_left_in_order(&model);
    }
}

#[test]
fn without_another_process_no_owner_is_killed() {
    let report = climb(&model(), &options(Class::Disruptive));
    let check = check(&report, "owner.killed");
    assert_eq!(check.status, Status::Skip);
    assert!(check.message.is_some());
}

#[test]
fn a_board_that_could_not_be_opened_again_ends_the_climb() {
    let kill: bringup::Kill<'_, InProcess> = Box::new(|_, _| {
        let evidence = "it is gone".into();
        (None, Err(BusError::Gone { evidence }.into()))
    });
    let report = bringup::run(model(), &options(Class::Disruptive), Some(kill), |_| {
        ControlFlow::Continue(())
    });
    assert_eq!(with(&report, Status::Fail), ["owner.killed"]);
    assert_eq!(with(&report, Status::Blocked), ["soak.traffic"]);
}

#[test]
fn limits_of_the_plan_decide() {
    let text = include_str!("../../examples/board.toml");
    let plan = Plan::parse(text).expect("the example is a plan");
    let mut options = options(Class::Disruptive);
    plan.apply(&mut options);
    options.soak = Duration::from_millis(50);
    let report = climb(&model(), &options);
    assert!(report.is_good(), "{:#?}", with(&report, Status::Fail));
    let plan = Plan::parse(&text.replace("Gen3 x8", "Gen4 x16")).expect("a plan");
    plan.apply(&mut options);
    let report = climb(&model(), &options);
    assert_eq!(with(&report, Status::Fail), ["pci.function"]);
    let failed = check(&report, "pci.function");
    assert!(
        failed
            .message
            .as_ref()
            .is_some_and(|text| text.contains("Gen4 x16 by the plan"))
    );
    assert!(failed.causes[0].contains("not as its plan says"));
}

#[test]
fn with_fewer_vectors_than_the_device_offers_those_are_used() {
    let options = options(Class::Disruptive);
    let report = bringup::run(Arc::new(Reduced::with_vectors(2)), &options, None, |_| {
        ControlFlow::Continue(())
    });
    assert!(report.is_good(), "{:?}", with(&report, Status::Fail));
    let vectors = check(&report, "irq.vectors");
    assert_eq!(vectors.seen("vectors"), Some(&Item::Count(2)));
    let rest = vectors.seen("not tested");
    assert!(
        matches!(rest, Some(Item::Text(text)) if text.starts_with("30 more")),
        "{rest:?}"
    );
}
