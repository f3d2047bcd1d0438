//! `hwpool reset`: resets a device, ours or not, and looks at what came back.

use std::sync::Arc;

use clap::Args;
use hwpool::device::{AnyTransport, Attached, recognition};
use hwpool::devices::bus::{BusError, Transport};
use hwpool::devices::family::{Choice, Module, OpenReset, Recognition};
use hwpool::devices::pci;
use hwpool::devices::reg::Register;
use hwpool::dma::Slice;
use serde_json::json;

use super::device::{DeviceArg, on};
use super::exit::Usage;
use super::output::Output;

/// Reset a device, and see that it answers again.
///
/// A device that hwpool knows is reset by its function level reset, else by its reset register, and has to count that: once
/// as it is opened, and once more as it is closed.
/// Of any other function only PCI's side is seen. Bus mastering is off afterwards.
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
    /// The count of resets of a device that hwpool knows, before and after.
    count: Option<(u64, u64)>,
}

pub(crate) fn run(args: &Reset, output: Output) -> anyhow::Result<()> {
    let Attached { transport, choice } = Attached::open(&args.device.device)?;
    let seen = match (&transport, args.slot) {
        (_, false) => on!(&transport, transport => of_function(transport, &choice))?,
        (AnyTransport::Vfio(function), true) => of_slot(function, &choice)?,
        (_, true) => return Err(Usage("--slot goes with vfio: addresses".into()).into()),
    };
    let what = if args.slot { "slot" } else { "function" };
    let name = transport.name();
    let document = || {
        let count = seen.count.map(|(before, after)| [before, after]);
        json!({ "schema": "hwpool.reset/1", "device": name, "reset": what, "ids": seen.ids, "reset_count": count })
    };
    let times = match args.slot {
        true => "",
        false => ": it was reset when it was opened, and again when it was closed",
    };
    let text = || match seen.count {
        Some((before, after)) => {
            format!("{name}: {what} reset, RESET_COUNT went from {before} to {after}{times}\n")
        }
        None => format!(
            "{name}: {what} reset, {} answers; whether its logic was reset only its own driver can see\n",
            seen.ids
        ),
    };
    output.print(document, text)
}

fn of_function<T: Transport>(transport: &Arc<T>, choice: &Choice) -> anyhow::Result<Seen> {
    let before = reset_count(&**transport, choice)?;
    match known(&**transport, choice) {
        Some(module) => module.open(transport.clone(), OpenReset::Best)?.close()?,
        None => transport.reset()?,
    }
    seen(&**transport, choice, before)
}

fn of_slot(function: &Arc<hwpool::vfio::Function>, choice: &Choice) -> anyhow::Result<Seen> {
    let before = reset_count(&**function, choice)?;
    function.hot_reset()?;
    let seen = seen(&**function, choice, before)?;
    if let Some((before, after)) = seen.count.filter(|(before, after)| before == after) {
        anyhow::bail!(
            "{}: the reset of its slot did nothing: RESET_COUNT reads {before} before and {after} after",
            function.name()
        );
    }
    Ok(seen)
}

fn seen<T: Transport>(transport: &T, choice: &Choice, before: Option<u64>) -> anyhow::Result<Seen> {
    let identity = pci::identity(transport)?;
    let after = reset_count(transport, choice)?;
    Ok(Seen {
        ids: format!("{:04x}:{:04x}", identity.vendor, identity.device),
        count: before.zip(after),
    })
}

/// Returns the module that drives the device, unless none knows it or it does not answer: a reset may mend that.
fn known<T: Transport>(transport: &T, choice: &Choice) -> Option<Arc<dyn Module<T, Slice<T>>>> {
    match recognition(transport, choice) {
        Ok(Recognition::Known(module)) if module.identify(transport).is_ok() => Some(module),
        _ => None,
    }
}

/// Returns how often the device was reset; `None` where hwpool does not know it, or it does not count.
fn reset_count<T: Transport>(transport: &T, choice: &Choice) -> Result<Option<u64>, BusError> {
    let counter = known(transport, choice).and_then(|module| module.about().reset_count);
    let read = |register: &Register| register.read_raw(&transport.bar(register.bar())?, 0);
    counter.map(read).transpose()
}
