//! `hwpool info`: what a device is and can do.

use hwpool::device::{AnyTransport, Attached, recognition};
use hwpool::devices::bus::{Bar, BusError, DmaLimits, Transport};
use hwpool::devices::family::{Choice, Fact, Identity, OpenError, Recognition, Rejected};
use hwpool::devices::pci;
use hwpool::host::Tree;
use hwpool::host::hugepages::size_text;
use hwpool::machine::Names;
use hwpool::vfio::{Backend, Function};
use serde_json::{Value, json};

use super::device::on;
use super::output::Output;

pub(crate) fn run(device: &str, output: Output) -> anyhow::Result<()> {
    let Attached { transport, choice } = Attached::open(device)?;
    let way = match &transport {
        AnyTransport::Vfio(function) => Some(Way::of(function)),
        AnyTransport::Sim(_) | AnyTransport::User(_) => None,
    };
    on!(transport, transport => report(&*transport, &choice, way.as_ref(), output))
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

/// What a device is, as a module sees it, or why none knows it.
enum Who {
    Known(&'static str, Box<Identity>),
    Unknown(Vec<Rejected>),
}

impl Who {
    fn of<T: Transport>(transport: &T, choice: &Choice) -> Result<Who, OpenError> {
        Ok(match recognition(transport, choice)? {
            Recognition::Known(module) => {
                let identity = Box::new(module.identify(transport)?);
                Who::Known(module.about().name, identity)
            }
            Recognition::Unknown(rejected) => Who::Unknown(rejected),
        })
    }

    /// Adds what the module says to a document, by the module's name.
    fn add_to(&self, document: &mut Value) {
        document["driver"] = Value::Null;
        if let Who::Known(name, identity) = self {
            document["driver"] = json!(name);
            document[*name] = identity.facts.iter().map(fact_json).collect();
        }
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        match self {
            Who::Known(_, identity) => identity.rows.clone(),
            Who::Unknown(rejected) if rejected.is_empty() => {
                vec![("driver", "none: no register was read to find one".into())]
            }
            Who::Unknown(rejected) => {
                let row = |no: &Rejected| ("driver", no.to_string());
                rejected.iter().map(row).collect()
            }
        }
    }
}

fn fact_json((name, fact): &(&'static str, Fact)) -> (String, Value) {
    let value = match fact {
        Fact::Number(number) => json!(number),
        Fact::Range(low, high) => json!([low, high]),
        Fact::Flag(flag) => json!(flag),
        Fact::Text(text) => json!(text),
    };
    (name.to_string(), value)
}

/// Reads identity and capabilities. Nothing is written and nothing is reset. Of a function that no module knows it shows
/// what PCI tells.
fn report<T: Transport>(
    transport: &T,
    choice: &Choice,
    way: Option<&Way>,
    output: Output,
) -> anyhow::Result<()> {
    let identity = pci::identity(transport)?;
    let link = pci::link(transport)?;
    let msix = pci::msix(transport)?;
    let flr = pci::has_flr(transport)?;
    let bars: Vec<(u8, Result<u64, BusError>)> = (0..6)
        .map(|n| (n, transport.bar(n).map(|bar| bar.size())))
        .filter(|(_, bar)| !matches!(bar, Err(BusError::NoBar { .. })))
        .collect();
    let who = Who::of(transport, choice)?;
    let dma = transport.dma_limits()?;
    let ids = format!("{:04x}:{:04x}", identity.vendor, identity.device);
    let document = || {
        let mut document = json!({
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
            "dma": dma_json(&dma),
        });
        who.add_to(&mut document);
        document
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
            (
                "interrupts",
                msix.map_or("no MSI-X".into(), |m| {
                    format!("MSI-X with {} vectors", m.vectors)
                }),
            ),
            ("reset", resets(flr, &who).into()),
        ];
        let names = Names::read(&Tree::running());
        let name = names.device(identity.vendor, identity.device);
        rows.extend(name.map(|name| ("name", name)));
        rows.extend(way.into_iter().flat_map(Way::rows));
        rows.extend(bars.iter().map(|(n, bar)| match bar {
            Ok(size) => ("BAR", format!("{n}: {}", size_text(*size))),
            Err(error) => ("BAR", format!("{n}: {error}")),
        }));
        rows.extend(who.rows());
        rows.extend(dma_text(&dma));
        let lines = rows
            .iter()
            .map(|(name, value)| format!("{name:<12} {value}\n"));
        output.fold(&lines.collect::<String>(), VALUE_COLUMN)
    };
    output.print(document, text)
}

/// Names the resets of the function itself.
fn resets(flr: bool, who: &Who) -> &'static str {
    match (flr, matches!(who, Who::Known(..))) {
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
    let mut rows: Vec<_> = dma
        .ranges
        .iter()
        .map(|r| ("IOVA", format!("{:#x} to {:#x}", r.start(), r.end())))
        .collect();
    rows.push((
        "IOMMU",
        format!(
            "pages {}; {} mappings left",
            sizes(dma.page_sizes),
            limit(dma).map_or("any number of".into(), |left| left.to_string()),
        ),
    ));
    rows
}

/// Names powers of two, of which bit *n* stands for 2ⁿ bytes; a run of more than three by its ends.
fn sizes(bits: u64) -> String {
    let mut names = Vec::new();
    let mut bit = 0;
    while bit < u64::BITS {
        let run = (bits >> bit).trailing_ones();
        match run {
            0 => bit += 1,
            1..=3 => names.extend((bit..bit + run).map(|bit| size_text(1 << bit))),
            _ => names.push(format!(
                "{} to {} in powers of two",
                size_text(1 << bit),
                size_text(1 << (bit + run - 1))
            )),
        }
        bit += run;
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_page_sizes_is_told_by_its_ends() {
        assert_eq!(sizes(0x4020_1000), "4 KiB, 2 MiB, 1 GiB");
        assert_eq!(sizes(!0xfff), "4 KiB to 8 EiB in powers of two");
        assert_eq!(sizes(0x7000 | 1 << 30), "4 KiB, 8 KiB, 16 KiB, 1 GiB");
        assert_eq!(sizes(0), "");
    }
}
