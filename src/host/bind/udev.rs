//! Rules for udev that make a binding last over a boot. They are printed, never installed.
//!
//! They go by what stays: the address of a function, and its ids, so that they do nothing when another board is in the
//! slot. Numbers of groups and names of nodes change from boot to boot. The node of a function's own has it among its
//! parents; the node of a group has no parents, and is known by the members of the group of that name.

use crate::machine::{Function, is_vfio};

/// Returns the rules for `functions` on `driver`, with `owner` (a name or number) for the device nodes of the first.
pub fn rules(functions: &[Function], driver: &str, owner: Option<&str>) -> String {
    let Some(device) = functions.first() else {
        return String::new();
    };
    let mut rules = format!(
        "# /etc/udev/rules.d/70-hwpool-{name}.rules: made by hwpool bind; takes effect at the next boot. A driver that is\n\
         # built in or in the initial RAM disk is faster than udev: bind again after the boot then.\n",
        name = device.bdf.to_string().replace([':', '.'], "-"),
    );
    rules.extend(functions.iter().map(|function| named(function, driver)));
    if let (Some(owner), true) = (owner, is_vfio(driver)) {
        rules += &owned(device, owner);
    }
    rules
}

/// Names the driver of a function when the kernel finds it, and has it looked for: a driver that is loaded already looks
/// no more by itself, and loading it is what makes another one look.
fn named(function: &Function, driver: &str) -> String {
    let bdf = function.bdf;
    if function.is_bridge() {
        return format!(
            "# {bdf} is a bridge that has to be without a driver: bind again after the boot.\n"
        );
    }
    format!(
        "ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"{bdf}\", ATTR{{vendor}}==\"{:#06x}\", \
         ATTR{{device}}==\"{:#06x}\", ATTR{{driver_override}}=\"{driver}\", \
         ATTR{{[subsystem/pci]drivers_probe}}=\"%k\", RUN{{builtin}}+=\"kmod load {driver}\"\n",
        function.vendor, function.device,
    )
}

/// Gives the nodes of a function and of its group to a user.
fn owned(device: &Function, owner: &str) -> String {
    let bdf = device.bdf;
    let (vendor, id) = (device.vendor, device.device);
    let is_it = format!(
        "ATTR{{[pci/{bdf}]vendor}}==\"{vendor:#06x}\", ATTR{{[pci/{bdf}]device}}==\"{id:#06x}\", OWNER=\"{owner}\""
    );
    let member =
        |number: &str| format!("TEST==\"/sys/kernel/iommu_groups/{number}/devices/{bdf}\"");
    // udev has no number (%n) of a name that is nothing but one.
    format!(
        "SUBSYSTEM==\"vfio-dev\", KERNELS==\"{bdf}\", {is_it}\n\
         SUBSYSTEM==\"vfio\", KERNEL==\"[0-9]*\", {}, {is_it}\n\
         SUBSYSTEM==\"vfio\", KERNEL==\"noiommu-[0-9]*\", {}, {is_it}\n",
        member("%k"),
        member("%n"),
    )
}
