//! `hwpool info`: what a device is and can do.

use hwpool::device::Link;
use hwpool::devices::bmu::{Capabilities, OpenError, identify};
use hwpool::devices::bus::{Bar, BusError, DmaLimits, Transport};
use hwpool::devices::pci;
use hwpool::vfio::{Backend, Function};
use serde_json::{Value, json};

use super::{Output, on};

pub(crate) fn run(device: &str, output: Output) -> anyhow::Result<()> {
    let link = Link::open(device)?;
    let way = match &link {
        Link::Vfio(function) => Some(Way::of(function)),
        Link::Sim(_) | Link::User(_) => None,
    };
    on!(link, transport => report(&*transport, way.as_ref(), output))
}

/// How the kernel leads to a function.
struct Way {
    backend: &'static str,
    group: u32,
    node: Option<u32>,
    /// Functions that a reset of the slot resets; an error where the kernel can't reset the slot.
    slot: Result<Vec<String>, BusError>,
}

impl Way {
    fn of(function: &Function) -> Way {
        let affected = function.affected();
        Way {
            backend: match function.backend() {
                Backend::Group => "group",
                Backend::Cdev => "cdev",
            },
            group: function.group(),
            node: function.node(),
            slot: affected.map(|all| all.iter().map(ToString::to_string).collect()),
        }
    }

    fn json(&self) -> Value {
        json!({ "backend": self.backend, "iommu_group": self.group, "numa_node": self.node,
                "slot_reset": self.slot.as_ref().ok() })
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let node = self
            .node
            .map_or(String::new(), |node| format!(", NUMA node {node}"));
        let slot = match &self.slot {
            Ok(functions) => format!("resets {}", functions.join(", ")),
            Err(_) => "the kernel can't reset it".into(),
        };
        vec![
            (
                "opened by",
                format!("{}, IOMMU group {}{node}", self.backend, self.group),
            ),
            ("slot reset", slot),
        ]
    }
}

/// Where values stand, behind names.
const VALUE_COLUMN: usize = 13;

/// Reads identity and capabilities. Nothing is written and nothing is reset. Of a function that is no BMU it shows
/// what PCI tells.
fn report<T: Transport>(transport: &T, way: Option<&Way>, output: Output) -> anyhow::Result<()> {
    let identity = pci::identity(transport)?;
    let link = pci::link(transport)?;
    let msix = pci::msix(transport)?;
    let flr = pci::has_flr(transport)?;
    let bars: Vec<(u8, Result<u64, BusError>)> = (0..6)
        .map(|n| (n, transport.bar(n).map(|bar| bar.size())))
        .filter(|(_, bar)| !matches!(bar, Err(BusError::NoBar { .. })))
        .collect();
    let can = match identify(transport) {
        Ok(can) => Ok(can),
        Err(error @ (OpenError::NotABmu { .. } | OpenError::BarSize { .. })) => Err(error),
        Err(error) => return Err(error.into()),
    };
    let dma = transport.dma_limits()?;
    let ids = format!("{:04x}:{:04x}", identity.vendor, identity.device);
    let document = || {
        json!({
            "schema": "hwpool.info/1",
            "device": transport.name(),
            "pci": {
                "vendor": identity.vendor, "device": identity.device, "class": identity.class,
                "revision": identity.revision, "flr": flr,
                "link": link.map(|l| json!({ "generation": l.generation, "lanes": l.lanes })),
                "msix_vectors": msix.map(|m| m.vectors),
                "bars": bars.iter().map(|(n, bar)| bar_json(*n, bar)).collect::<Vec<_>>(),
            },
            "vfio": way.map(Way::json),
            "bmu": can.as_ref().ok().map(capabilities_json),
            "dma": dma_json(&dma),
        })
    };
    let text = || {
        let mut rows = vec![
            ("device", transport.name().to_string()),
            (
                "ids",
                format!(
                    "{ids}, class {:06x}, revision {}",
                    identity.class, identity.revision
                ),
            ),
            (
                "link",
                link.map_or("unknown".into(), |l| {
                    format!("Gen{} x{}", l.generation, l.lanes)
                }),
            ),
            ("reset", resets(flr, can.is_ok()).into()),
        ];
        rows.extend(way.into_iter().flat_map(Way::rows));
        rows.extend(bars.iter().map(|(n, bar)| match bar {
            Ok(size) => ("BAR", format!("{n}: {} KiB", size >> 10)),
            Err(error) => ("BAR", format!("{n}: {error}")),
        }));
        match &can {
            Ok(can) => rows.extend(capabilities_text(can)),
            Err(error) => rows.push(("BMU", format!("no: {error}"))),
        }
        rows.extend(dma_text(&dma));
        let lines = rows
            .iter()
            .map(|(name, value)| format!("{name:<12} {value}\n"));
        output.fold(&lines.collect::<String>(), VALUE_COLUMN)
    };
    output.print(document, text)
}

/// Names the resets of the function itself.
fn resets(flr: bool, is_bmu: bool) -> &'static str {
    match (flr, is_bmu) {
        (true, true) => "FLR and soft reset",
        (true, false) => "FLR",
        (false, true) => "soft reset only",
        (false, false) => "no FLR",
    }
}

fn bar_json(bar: u8, size: &Result<u64, BusError>) -> Value {
    match size {
        Ok(size) => json!({ "bar": bar, "bytes": size }),
        Err(error) => json!({ "bar": bar, "error": error.to_string() }),
    }
}

fn capabilities_json(can: &Capabilities) -> Value {
    json!({
        "specification": format!("1.{}", can.minor),
        "implementer": can.implementer, "revision": can.revision,
        "pools": can.pools, "portals": can.portals, "vectors": can.vectors,
        "buffers_per_pool": can.buffers, "address_width": can.address_width,
        "stride_bytes": [can.stride.0, can.stride.1],
        "ring_entries": [1u64 << can.ring_log2.0, 1u64 << can.ring_log2.1],
        "timeout_ms": can.timeout.as_millis() as u64,
        "register_path": can.register_path, "thresholds": can.thresholds,
        "natural_align": can.natural_align, "injection": can.injection,
    })
}

fn capabilities_text(can: &Capabilities) -> Vec<(&'static str, String)> {
    let maker = if can.implementer == 1 {
        " (the software model)"
    } else {
        ""
    };
    let features = [
        (can.register_path, "register path"),
        (can.portals > 0, "portals"),
        (can.thresholds, "thresholds"),
        (can.natural_align, "natural alignment"),
        (can.injection, "error injection"),
    ];
    let features: Vec<_> = features
        .iter()
        .filter(|(has, _)| *has)
        .map(|(_, name)| *name)
        .collect();
    vec![
        (
            "BMU",
            format!(
                "specification 1.{}, implementer {}{maker}",
                can.minor, can.implementer
            ),
        ),
        (
            "has",
            format!(
                "{} pools, {} portals, {} vectors",
                can.pools, can.portals, can.vectors
            ),
        ),
        (
            "pool",
            format!(
                "up to {} buffers of {} to {} bytes",
                can.buffers, can.stride.0, can.stride.1
            ),
        ),
        (
            "rings",
            format!(
                "{} to {} entries",
                1u64 << can.ring_log2.0,
                1u64 << can.ring_log2.1
            ),
        ),
        ("addresses", format!("{} bits", can.address_width)),
        ("features", features.join(", ")),
    ]
}

fn dma_json(dma: &DmaLimits) -> Value {
    let ranges: Vec<_> = dma
        .ranges
        .iter()
        .map(|r| json!([r.start(), r.end()]))
        .collect();
    json!({ "ranges": ranges, "page_sizes": dma.page_sizes, "entries_left": limit(dma) })
}

/// Returns how many mappings can be made, `None` where nothing limits them.
fn limit(dma: &DmaLimits) -> Option<u64> {
    (dma.entries_left < u64::MAX).then_some(dma.entries_left)
}

fn dma_text(dma: &DmaLimits) -> Vec<(&'static str, String)> {
    let pages = (0..64).filter(|bit| dma.page_sizes >> bit & 1 != 0);
    let pages: Vec<_> = pages
        .map(|bit| format!("{} KiB", (1u64 << bit) >> 10))
        .collect();
    let mut rows: Vec<_> = dma
        .ranges
        .iter()
        .map(|r| ("IOVA", format!("{:#x} to {:#x}", r.start(), r.end())))
        .collect();
    rows.push((
        "IOMMU",
        format!(
            "pages {}; {} mappings left",
            pages.join(", "),
            limit(dma).map_or("any number of".into(), |left| left.to_string()),
        ),
    ));
    rows
}
