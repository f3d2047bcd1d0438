//! Check of whether a device is kept from raising interrupts that are not its own. VFIO gives away no function of a machine
//! where it is not, unless its module is told to.

use super::row::{Row, Stand};
use super::view::View;
use crate::machine::{Arguments, Tree, has};

const ID: &str = "interrupt-remapping";
const STAND: Stand =
    Stand::Not("it is the machine's, and is mended without the function being given back");
/// Since then Linux asks the interrupt controller on Arm, too, and no longer takes the SMMU's word.
const ASKS_CONTROLLER: (u32, u32) = (6, 3);

/// What decides how interrupts of devices are kept apart.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Architecture {
    X86,
    Arm,
    Other,
}

/// Interrupts in /proc/interrupts, by what their controllers are called.
struct Interrupts {
    /// Remapped by the IOMMU (x86): `IR-PCI-MSIX-...`.
    remapped: usize,
    /// By a GICv3's ITS, which knows devices apart: `ITS-PCI-MSI-...`.
    translated: usize,
    /// Of devices, by controllers that know nothing of who raises them.
    plain: usize,
}

pub(super) fn interrupt_remapping(view: &View<'_>) -> Row {
    let found = Interrupts::read(view.tree);
    let paths = MODULES.map(parameter);
    let is_on = |path: &&String| view.tree.text(path).as_deref() == Some("Y");
    let allowed: Vec<_> = paths.iter().filter(is_on).collect();
    let isolated = found.remapped + found.translated;
    if !allowed.is_empty() {
        return unsafe_allowed(&allowed, isolated);
    }
    if found.remapped > 0 {
        return Row::ok(ID).evidence(format!(
            "remapped interrupts (IR-) in /proc/interrupts: {}",
            found.remapped
        ));
    }
    let at = "/sys/kernel/iommu_groups";
    let groups = view.tree.names(at);
    let is_made_up = |group: &String| {
        view.tree.text(&format!("{at}/{group}/name")).as_deref() == Some("vfio-noiommu")
    };
    // Nobody asks for interrupts to be kept apart where nothing else is.
    if groups.iter().all(is_made_up) {
        return Row::unknown(ID).evidence("no IOMMU: no group has one");
    }
    match Architecture::read(view.tree) {
        Architecture::X86 if found.plain > 0 => not_remapped(view, found.plain),
        Architecture::Arm if found.translated > 0 => Row::ok(ID).evidence(format!(
            "interrupts by an ITS, which knows devices apart, in /proc/interrupts: {}",
            found.translated
        )),
        Architecture::Arm if found.plain > 0 && view.tree.kernel() >= Some(ASKS_CONTROLLER) => {
            without_its(view, found.plain)
        }
        _ => Row::unknown(ID).evidence("neither /proc/interrupts nor the IOMMU tells"),
    }
}

/// The modules through which VFIO reaches an IOMMU; either asks for itself.
const MODULES: [&str; 2] = ["vfio_iommu_type1", "iommufd"];

fn parameter(module: &str) -> String {
    format!("/sys/module/{module}/parameters/allow_unsafe_interrupts")
}

/// Somebody has told VFIO not to mind: where nothing is isolated, that is what lets functions be opened at all.
fn unsafe_allowed(allowed: &[&String], isolated: usize) -> Row {
    let row = Row::warn(ID, STAND).cause(match isolated {
        0 => "a device may raise any interrupt of this machine",
        _ => "interrupts are remapped, and on a machine where they are not a device may raise any",
    });
    allowed.iter().fold(row, |row, path| {
        let row = row.evidence(format!("{path} is Y; {isolated} remapped interrupts"));
        row.remedy(match isolated {
            0 => format!("once interrupts are remapped, and not before: echo N > {path}"),
            _ => format!("echo N > {path}"),
        })
    })
}

fn not_remapped(view: &View<'_>, plain: usize) -> Row {
    let units = view.tree.names("/sys/class/iommu");
    let remaps = |unit: &String| unit.starts_with("dmar") || unit.starts_with("ivhd");
    let row = Row::block(ID, STAND).evidence(format!(
        "of {plain} interrupts of devices in /proc/interrupts none is remapped (IR-); IOMMU: {}",
        match units.is_empty() {
            true => "no unit listed".to_string(),
            false => units.join(", "),
        }
    ));
    let row = match units.iter().any(remaps) {
        true => {
            let row = row.cause(
                "interrupt remapping is off: a group is refused with EPERM when it is attached",
            );
            match switch_off(view.tree) {
                Some(word) => {
                    row.remedy(format!("take {word} off the kernel's command line and boot again"))
                }
                None => {
                    row.remedy("switch on interrupt remapping (or x2APIC) in the firmware's setup")
                }
            }
        }
        false => row.cause(
            "this IOMMU, as virtio-iommu, remaps no interrupts: a group is refused with EPERM when it is attached",
        ),
    };
    let row = row.remedy(
        "in a QEMU guest: -device intel-iommu,intremap=on -machine q35,kernel-irqchip=split, and no other IOMMU",
    );
    with_consent(view, row)
}

/// Returns the word that switches remapping off.
fn switch_off(tree: &Tree) -> Option<String> {
    let arguments = Arguments::read(tree);
    let mut words = arguments.named(|name| matches!(name, "intremap" | "nointremap"));
    let word = words.find(|word| has(word, "off") || !word.contains('='));
    word.map(str::to_string)
}

fn without_its(view: &View<'_>, plain: usize) -> Row {
    let row = Row::block(ID, STAND)
        .evidence(format!(
            "of {plain} interrupts of devices in /proc/interrupts none is by an ITS (GICv3)"
        ))
        .cause("the interrupt controller does not know devices apart (GICv2m): a group is refused with EPERM when it is attached")
        .remedy("in a QEMU guest: -machine virt,gic-version=3,its=on");
    with_consent(view, row)
}

/// Tells how VFIO is told not to mind. A module that is loaded takes no option any more, and its parameter can be written.
fn with_consent(view: &View<'_>, row: Row) -> Row {
    let is_loaded = |module: &&str| view.tree.exists(&format!("/sys/module/{module}"));
    let loaded: Vec<_> = MODULES.into_iter().filter(is_loaded).collect();
    let start = "where all devices are trusted";
    if loaded.is_empty() {
        let path = parameter(MODULES[0]);
        return row.remedy(format!(
            "{start}: modprobe vfio_iommu_type1 && echo Y > {path}"
        ));
    }
    let commands = loaded.into_iter().map(|module| {
        let path = parameter(module);
        format!("{start}, for the way by {module}: echo Y > {path}")
    });
    commands.fold(row, Row::remedy)
}

impl Architecture {
    /// Tells it by the kernel's own word (since 6.1), by the units of the IOMMU, or by the interrupt controllers.
    fn read(tree: &Tree) -> Architecture {
        match tree.text("/proc/sys/kernel/arch").as_deref() {
            Some("x86_64" | "i386" | "i486" | "i586" | "i686") => return Architecture::X86,
            Some("aarch64" | "arm64") => return Architecture::Arm,
            Some(_) => return Architecture::Other,
            None => {}
        }
        let units = tree.names("/sys/class/iommu");
        let has_unit = |start: &str| units.iter().any(|unit| unit.starts_with(start));
        let interrupts = tree.text("/proc/interrupts").unwrap_or_default();
        let mut words = interrupts.split_whitespace();
        match () {
            () if has_unit("dmar") || has_unit("ivhd") => Architecture::X86,
            () if has_unit("smmu") => Architecture::Arm,
            () if words.clone().any(|word| word.contains("IO-APIC")) => Architecture::X86,
            () if words.any(|word| word.starts_with("GIC")) => Architecture::Arm,
            () => Architecture::Other,
        }
    }
}

impl Interrupts {
    fn read(tree: &Tree) -> Interrupts {
        let text = tree.text("/proc/interrupts").unwrap_or_default();
        let count = |is_it: fn(&str) -> bool| {
            let lines = text.lines();
            lines
                .filter(|line| line.split_whitespace().any(is_it))
                .count()
        };
        Interrupts {
            remapped: count(|word| word.starts_with("IR-")),
            translated: count(|word| word.starts_with("ITS-")),
            plain: count(|word| {
                let starts = ["IO-APIC", "PCI-MSI", "GICv2m", "MBI-"];
                starts.iter().any(|start| word.starts_with(start))
            }),
        }
    }
}
