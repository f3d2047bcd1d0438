//! `hwpool reset`: resets a device, ours or not, and looks at what came back.

use std::sync::Arc;

use clap::Args;
use hwpool::device::Link;
use hwpool::devices::bmu::{Bmu, OpenReset, identify, regs};
use hwpool::devices::bus::{BusError, Transport};
use hwpool::devices::pci;
use serde_json::json;

use super::{DeviceArg, Output, Usage, on};

/// Reset a device, and see that it answers again.
///
/// A BMU is reset by its function level reset, else by its reset register, and has to count that. Of any other function
/// only PCI's side is seen. Bus mastering is off afterwards.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hwpool reset vfio:0000:01:00.0
  hwpool reset vfio:0000:01:00.0 --slot")]
pub(crate) struct Reset {
    #[command(flatten)]
    device: DeviceArg,
    /// Reset its whole slot or bus, for a board that its own reset does not bring back (vfio only). Refused, with their
    /// addresses, where functions of others are on it.
    #[arg(long)]
    slot: bool,
}

/// What was seen of a reset.
struct Seen {
    ids: String,
    /// RESET_COUNT of a BMU, before and after.
    count: Option<(u32, u32)>,
}

pub(crate) fn run(args: &Reset, output: Output) -> anyhow::Result<()> {
    let link = Link::open(&args.device.device)?;
    let seen = match (&link, args.slot) {
        (_, false) => on!(&link, transport => of_function(transport))?,
        (Link::Vfio(function), true) => of_slot(function)?,
        (_, true) => return Err(Usage("--slot goes with vfio: addresses".into()).into()),
    };
    let what = if args.slot { "slot" } else { "function" };
    let name = on!(&link, transport => transport.name().to_string());
    let document = || {
        let count = seen.count.map(|(before, after)| [before, after]);
        json!({ "schema": "hwpool.reset/1", "device": name, "reset": what, "ids": seen.ids, "reset_count": count })
    };
    let text = || match seen.count {
        Some((before, after)) => {
            format!("{name}: {what} reset, RESET_COUNT went from {before} to {after}\n")
        }
        None => format!(
            "{name}: {what} reset, {} answers; whether its logic was reset only its own driver can see\n",
            seen.ids
        ),
    };
    output.print(document, text)
}

fn of_function<T: Transport>(transport: &Arc<T>) -> anyhow::Result<Seen> {
    let before = reset_count(&**transport)?;
    match before {
        Some(_) => Bmu::open(transport.clone(), OpenReset::Best)?.close()?,
        None => transport.reset()?,
    }
    seen(&**transport, before)
}

fn of_slot(function: &Arc<hwpool::vfio::Function>) -> anyhow::Result<Seen> {
    let before = reset_count(&**function)?;
    function.hot_reset()?;
    let seen = seen(&**function, before)?;
    if let Some((before, after)) = seen.count.filter(|(before, after)| before == after) {
        anyhow::bail!(
            "{}: the reset of its slot did nothing: RESET_COUNT reads {before} before and {after} after",
            function.name()
        );
    }
    Ok(seen)
}

fn seen<T: Transport>(transport: &T, before: Option<u32>) -> anyhow::Result<Seen> {
    let identity = pci::identity(transport)?;
    let after = reset_count(transport)?;
    Ok(Seen {
        ids: format!("{:04x}:{:04x}", identity.vendor, identity.device),
        count: before.zip(after),
    })
}

/// Returns how often the device was reset; `None` of a function that is no BMU.
fn reset_count<T: Transport>(transport: &T) -> Result<Option<u32>, BusError> {
    match identify(transport) {
        Ok(_) => Ok(Some(
            regs::RESET_COUNT.read(&transport.bar(regs::CONTROL_BAR)?)?,
        )),
        Err(_) => Ok(None),
    }
}
