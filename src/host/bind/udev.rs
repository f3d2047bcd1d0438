//! Rules for udev that make a binding last over a boot. They are printed, never installed.

use crate::machine::{Function, is_vfio};

/// Returns the rules for `function` on `driver`, with `owner` (a name or number) for its device nodes.
///
/// The function's own ids stand in them, so that they do nothing when another board is in the slot.
pub fn rules(function: &Function, driver: &str, owner: Option<&str>) -> String {
    let Function {
        bdf,
        vendor,
        device,
        ..
    } = function;
    let mut rules = format!(
        "# /etc/udev/rules.d/70-hwpool-{name}.rules: made by hwpool bind; takes effect at the next boot. A driver that is\n\
         # built in or in the initial RAM disk is faster than udev: bind again after the boot then.\n\
         ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"{bdf}\", ATTR{{vendor}}==\"{vendor:#06x}\", \
         ATTR{{device}}==\"{device:#06x}\", ATTR{{driver_override}}=\"{driver}\", RUN{{builtin}}+=\"kmod load {driver}\"\n",
        name = bdf.to_string().replace([':', '.'], "-"),
    );
    if let (Some(owner), true) = (owner, is_vfio(driver)) {
        rules += &format!("SUBSYSTEM==\"vfio-dev\", KERNELS==\"{bdf}\", OWNER=\"{owner}\"\n");
        if let Some(group) = &function.group {
            rules += &format!(
                "SUBSYSTEM==\"vfio\", KERNEL==\"{}\", OWNER=\"{owner}\"\n",
                group.number
            );
        }
    }
    rules
}
