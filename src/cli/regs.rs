//! `hwpool regs`: registers by name, with their fields, and a guard before reads that act; by place in `raw.rs`.

use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand};
use hwpool::address::{Address, TransportKind};
use hwpool::device::{Attached, DeviceError, recognition};
use hwpool::devices::bus::Transport;
use hwpool::devices::family::{About, Choice, Module, Recognition};
use hwpool::devices::reg::{Access, Field, Register, Scope};
use hwpool::devices::words::Words;
use hwpool::devices::{modules, pci};
use hwpool::dma::Slice;
use hwpool::kinds::{self, KindError};
use serde_json::{Value, json};

use super::device::{DeviceArg, default_kind, on};
use super::exit::Usage;
use super::output::Output;
use super::raw::{self, Place, number, section};
use super::watch::{Readings, Shown, Watch};

/// List, read and write registers, by name or by place.
#[derive(Debug, Args)]
#[command(after_help = "Example: hwpool regs get vfio:0000:01:00.0 STATUS")]
pub(crate) struct Regs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the registers: offset, width, access, reset value, meaning. Opens no device.
    #[command(after_help = "Example: hwpool regs list POOL")]
    List {
        /// Only names that contain this.
        #[arg(value_name = "PART")]
        part: Option<String>,
        /// The kind of device, by the name of its driver [default: that of the default device].
        #[arg(long, value_name = "NAME")]
        driver: Option<String>,
    },
    /// Read a register and decode its fields, with exactly one access of it.
    #[command(after_help = "\
Examples:
  hwpool regs get sim:bmu CAP_COUNTS
  hwpool regs get vfio:0000:01:00.0 POOL_AVAILABLE[3] --watch 0.5
  hwpool regs get vfio:0000:01:00.0 0:0x10 --width 32")]
    Get {
        /// Address of the device.
        #[arg(value_name = "DEVICE")]
        device: String,
        /// Name, with an index where there are several: MAGIC, POOL_BASE[3]; or place: 0:0x10 in BAR 0, config:0x34.
        #[arg(value_name = "REGISTER")]
        register: String,
        /// Bits of the access, for a place: 8, 16, 32 or 64 in a BAR, 32 in configuration space.
        #[arg(long, value_name = "BITS")]
        width: Option<u32>,
        /// Read even where the read takes something from the device.
        #[arg(long, conflicts_with = "watch")]
        with_effect: bool,
        #[command(flatten)]
        watch: Watch,
    },
    /// Write a register, with exactly one access of it and no read before or after.
    #[command(after_help = "Example: hwpool regs set sim:bmu SCRATCH 0x1234 --dry-run")]
    Set {
        /// Address of the device.
        #[arg(value_name = "DEVICE")]
        device: String,
        /// Name, with an index where there are several, or place: 0:0x10 in BAR 0, config:0x4.
        #[arg(value_name = "REGISTER")]
        register: String,
        /// Bits of the access, for a place: 8, 16, 32 or 64 in a BAR, 16 or 32 in configuration space.
        #[arg(long, value_name = "BITS")]
        width: Option<u32>,
        /// Value: decimal, or hexadecimal with 0x.
        #[arg(value_name = "VALUE")]
        value: String,
        /// Print the access and don't make it; opens no device.
        #[arg(long)]
        dry_run: bool,
    },
    /// Read every register whose read has no effect.
    #[command(after_help = "Example: hwpool regs dump vfio:0000:01:00.0 --changed --watch 1")]
    Dump {
        #[command(flatten)]
        device: DeviceArg,
        /// Leave out registers that read their reset value.
        #[arg(long)]
        changed: bool,
        #[command(flatten)]
        watch: Watch,
    },
}

pub(crate) fn run(regs: Regs, output: Output) -> anyhow::Result<()> {
    match regs.action {
        Action::List { part, driver } => {
            list(part.as_deref().unwrap_or(""), driver.as_deref(), output)
        }
        Action::Get {
            device,
            register,
            width,
            with_effect,
            watch,
        } => {
            let place = Place::parse(&register, width)?;
            if place.is_none() {
                check_name(&device, &register)?;
            }
            let (attached, readings) = watch.open(&device, output)?;
            let choice = &attached.choice;
            on!(attached.transport, transport => match place {
                Some(place) => raw::get(&*transport, choice, place, with_effect, &readings),
                None => get(&*transport, choice, &register, with_effect, &readings),
            })
        }
        Action::Set {
            device,
            register,
            width,
            value,
            dry_run,
        } => {
            let value = number(&value)?;
            let place = Place::parse(&register, width)?;
            match place {
                Some(place) => place.check_value(value)?,
                None => check_name(&device, &register)?,
            }
            if dry_run {
                let (name, about) = by_address(&device)?;
                let write = Write::find(place, &register, about.registers, value)?;
                return write.print(&name, false, output);
            }
            let Attached { transport, choice } = Attached::open(&device)?;
            on!(transport, transport => {
                let write = match place {
                    Some(_) => Write::find(place, &register, &[], value)?,
                    None => by_name(&*transport, &choice, &register, value)?,
                };
                write.make(&*transport)?;
                write.print(transport.name(), true, output)
            })
        }
        Action::Dump {
            device,
            changed,
            watch,
        } => {
            let (attached, readings) = watch.open(&device.device, output)?;
            let choice = &attached.choice;
            on!(attached.transport, transport => dump(&*transport, choice, changed, &readings))
        }
    }
}

/// Finds out what kind of device an address names without opening it: by the driver that it names, by its model, or the
/// default one.
fn by_address(device: &str) -> anyhow::Result<(String, &'static About)> {
    let address: Address = device.parse().map_err(DeviceError::from)?;
    let about = match named(&address) {
        Some(name) => kinds::about(name).or_else(|error| match error {
            // A device that no name in its address tells of.
            KindError::Unknown { .. } => kinds::about(default_kind()),
            error => Err(error),
        }),
        None => kinds::about(default_kind()),
    };
    Ok((address.to_string(), about.map_err(Usage::of)?))
}

/// Returns what an address says of the kind of device: its driver, or what stands for a model.
fn named(address: &Address) -> Option<&str> {
    let model = (address.transport == TransportKind::Sim).then_some(address.target.as_str());
    address.option("driver").or(model)
}

/// Finds out what kind of device is there, or why that can't be told.
fn known<T: Transport>(
    transport: &T,
    choice: &Choice,
) -> anyhow::Result<Arc<dyn Module<T, Slice<T>>>> {
    match recognition(transport, choice)? {
        Recognition::Known(module) => Ok(module),
        Recognition::Unknown(rejected) => {
            let ids = pci::identity(transport)?;
            let reasons: String = rejected.iter().map(|no| format!("; {no}")).collect();
            anyhow::bail!(
                "{} is {:04x}:{:04x}, whose registers hwpool does not know by name{reasons}: write a place such as \
                 0:0x10 and --width, or name the driver: ?driver=NAME",
                transport.name(),
                ids.vendor,
                ids.device,
            )
        }
    }
}

/// A write that was asked for.
struct Write {
    to: To,
    value: u64,
    /// The register has to be written as two halves.
    halves: bool,
}

enum To {
    Name(Target),
    Place(Place),
}

/// Finds what a write by name is to change, on a device that has it.
fn by_name<T: Transport>(
    transport: &T,
    choice: &Choice,
    register: &str,
    value: u64,
) -> anyhow::Result<Write> {
    let module = known(transport, choice)?;
    let mut write = Write::find(None, register, module.about().registers, value)?;
    if let To::Name(target) = write.to {
        write.halves = refuse_absent(&*module, transport, target)?;
    }
    Ok(write)
}

impl Write {
    /// Refuses what can't be written.
    fn find(
        place: Option<Place>,
        register: &str,
        table: &'static [Register],
        value: u64,
    ) -> anyhow::Result<Write> {
        let to = match place {
            Some(place) => To::Place(place),
            None => {
                let target = find(table, register)?;
                check_writable(target.row, value)?;
                To::Name(target)
            }
        };
        Ok(Write {
            to,
            value,
            halves: false,
        })
    }

    fn make<T: Transport>(&self, transport: &T) -> anyhow::Result<()> {
        match self.to {
            To::Name(target) => set(transport, target, self.value, self.halves),
            To::Place(place) => raw::set(transport, place, self.value),
        }
    }

    fn print(&self, device: &str, is_made: bool, output: Output) -> anyhow::Result<()> {
        let verb = if is_made { "wrote" } else { "would write" };
        let (json, text) = match self.to {
            To::Name(target) => (target.json(self.value), target.write_text(self.value)),
            To::Place(place) => (place.json(self.value), place.write_text(self.value)),
        };
        output.print(
            || json!({ "schema": "hwpool.regs/1", "device": device, "written": is_made, "registers": [json] }),
            || format!("{verb} {text}\n"),
        )
    }
}

/// One register of the table: its row and the index in its array.
#[derive(Copy, Clone)]
struct Target {
    row: &'static Register,
    index: u16,
}

impl Target {
    fn name(&self) -> String {
        self.row.place(self.index)
    }

    /// Tells what a write does, behind a verb.
    fn write_text(&self, value: u64) -> String {
        let (text, name) = (self.value_text(value), self.name());
        let (bar, offset) = (self.row.bar(), self.row.offset_of(self.index));
        format!("{text} to {name} (BAR {bar} at {offset:#x})")
    }

    fn value_text(&self, value: u64) -> String {
        format!(
            "{value:#0width$x}",
            width = usize::from(self.row.width) * 2 + 2
        )
    }
}

impl Shown for Target {
    fn json(&self, value: u64) -> Value {
        let fields: serde_json::Map<_, _> = self
            .row
            .fields
            .iter()
            .map(|f| (f.name.to_string(), json!(f.of(value))))
            .collect();
        json!({ "name": self.row.name, "index": self.index, "value": value, "fields": fields })
    }

    fn text(&self, value: u64) -> String {
        let mut text = format!("{:<26} {}\n", self.name(), self.value_text(value));
        for field in self.row.fields.iter() {
            let bits = format!("{}:{}", field.high, field.low);
            text += &format!(
                "  {:>5} {:<18} {:#x}  {}\n",
                bits,
                field.name,
                field.of(value),
                field.doc
            );
        }
        text
    }
}

/// Splits `NAME[INDEX]`.
fn parse_name(text: &str) -> anyhow::Result<(&str, Option<u16>)> {
    let Some((name, rest)) = text.split_once('[') else {
        return Ok((text, None));
    };
    let digits = rest.strip_suffix(']');
    let index = digits.and_then(|index| index.parse::<u16>().ok());
    let message = || {
        Usage(format!(
            "`{text}`: an index is a number in brackets: {name}[0]"
        ))
    };
    Ok((name, Some(index.ok_or_else(message)?)))
}

/// Refuses, before any device is opened, a name that no device of any kind has.
fn check_name(device: &str, text: &str) -> anyhow::Result<()> {
    let (name, _) = parse_name(text)?;
    let address: Address = device.parse().map_err(DeviceError::from)?;
    // One of a description is found among those of its device alone.
    let described = named(&address).filter(|name| kinds::is_file(name));
    let kinds = match described {
        Some(file) => vec![kinds::about(file).map_err(Usage::of)?],
        None => modules::kinds(),
    };
    let rows = || kinds.iter().flat_map(|kind| kind.registers);
    match rows().any(|row| row.name.eq_ignore_ascii_case(name)) {
        true => Ok(()),
        false => Err(Usage(unknown(rows(), name)).into()),
    }
}

/// Finds a register by `NAME` or `NAME[INDEX]`, in any case.
fn find(table: &'static [Register], text: &str) -> anyhow::Result<Target> {
    let (name, index) = parse_name(text)?;
    let row = table.iter().find(|row| row.name.eq_ignore_ascii_case(name));
    let row = row.ok_or_else(|| Usage(unknown(table.iter(), name)))?;
    let message = match (row.count(), index) {
        (1, None) => return Ok(Target { row, index: 0 }),
        (1, Some(_)) => format!("there is one {name} only: leave the index out"),
        (count, Some(index)) if index < count => return Ok(Target { row, index }),
        (count, Some(index)) => {
            format!("{name} has indices 0 to {}, not {index}", count - 1)
        }
        (count, None) => format!("there are {count} of {name}: write {name}[0]"),
    };
    Err(Usage(message).into())
}

fn unknown<'t>(table: impl Iterator<Item = &'t Register>, name: &str) -> String {
    let wanted = name.to_ascii_uppercase();
    let names = table.map(|row| &*row.name);
    let similar: Vec<_> = names.filter(|known| known.contains(&wanted)).collect();
    if similar.is_empty() || wanted.is_empty() {
        let drivers: Vec<_> = modules::kinds().iter().map(|kind| kind.name).collect();
        let drivers = drivers.join(", ");
        return format!(
            "no register `{name}`: `hwpool regs list --driver NAME` names them all (there is {drivers}, or FILE.toml)"
        );
    }
    format!("no register `{name}`: did you mean {}?", similar.join(", "))
}

fn refuse_effect(row: &Register, with_effect: bool) -> anyhow::Result<()> {
    match row.access {
        Access::WriteOnly => {
            Err(Usage(format!("{} can only be written{}", row.name, section(row))).into())
        }
        access if access.reads_take() && !with_effect => Err(Usage(format!(
            "a read of {} takes a buffer from the device{}: add --with-effect to do that",
            row.name,
            section(row)
        ))
        .into()),
        _ => Ok(()),
    }
}

/// Refuses a register that this device does not have, which nobody may access, and tells whether it has to be accessed as
/// two halves; a device that can't be used tells nothing of that.
fn refuse_absent<T: Transport>(
    module: &dyn Module<T, Slice<T>>,
    transport: &T,
    target: Target,
) -> anyhow::Result<bool> {
    // Each device has what is the device's own and in no optional part: nothing need be read to know that.
    if target.row.scope() == Scope::Device && !module.is_optional(target.row) {
        let halves = target.row.width == 8 && module.about().is_halved(transport)?;
        return Ok(halves);
    }
    let Ok(identity) = module.identify(transport) else {
        return Ok(false);
    };
    let (device, name) = (transport.name(), target.name());
    match identity.registers(target.row) {
        count if target.index < count => Ok(identity.halves),
        0 => Err(Usage(format!(
            "{device} has no {name}: it belongs to an optional part that this device does not have"
        ))
        .into()),
        count => Err(Usage(format!(
            "{device} has no {name}: it has {count} of them, counted from 0"
        ))
        .into()),
    }
}

fn check_writable(row: &Register, value: u64) -> anyhow::Result<()> {
    if !row.access.is_writable() {
        let message = format!("{} can only be read{}", row.name, section(row));
        return Err(Usage(message).into());
    }
    let stray = value & !row.bits;
    if stray != 0 {
        let message = format!(
            "{} has no bits {stray:#x}: it has {:#x}",
            row.name, row.bits
        );
        return Err(Usage(message).into());
    }
    Ok(())
}

/// Where the meaning of a register stands in the list.
pub(super) const DOC_COLUMN: usize = 51;

fn list(part: &str, driver: Option<&str>, output: Output) -> anyhow::Result<()> {
    let name = driver.unwrap_or(default_kind());
    let table = kinds::about(name).map_err(Usage::of)?.registers;
    let wanted = part.to_ascii_uppercase();
    let rows = table.iter().filter(|row| row.name.contains(&wanted));
    let rows: Vec<&Register> = rows.collect();
    if rows.is_empty() {
        return Err(Usage(unknown(table.iter(), part)).into());
    }
    output.print(
        || json!({ "schema": "hwpool.regs/1", "registers": rows.iter().map(|row| row_json(row)).collect::<Vec<_>>() }),
        || output.fold(&rows.iter().map(|row| row_text(row)).collect::<String>(), DOC_COLUMN),
    )
}

pub(super) fn row_json(row: &Register) -> Value {
    let field = |f: &Field| json!({ "name": f.name, "low": f.low, "high": f.high, "doc": f.doc });
    json!({
        "name": row.name, "bar": row.bar(), "offset": row.offset(), "width": row.width,
        "access": row.access.mnemonic(), "reset": row.reset, "count": row.count(),
        "stride": row.stride(), "section": row.section, "doc": row.doc,
        "fields": row.fields.iter().map(field).collect::<Vec<_>>(),
    })
}

pub(super) fn row_text(row: &Register) -> String {
    let name = match row.count() {
        1 => row.name.to_string(),
        count => format!("{}[{count}]", row.name),
    };
    let reset = row
        .reset
        .map_or("varies".into(), |value| format!("{value:#x}"));
    let (bar, offset, bits) = (row.bar(), row.offset(), row.width * 8);
    let access = row.access.mnemonic();
    format!(
        "{bar}:{offset:05x} {bits} {access:<3} {reset:<10} {name:<24} {}\n",
        row.doc
    )
}

fn read<T: Transport>(transport: &T, target: Target, halves: bool) -> anyhow::Result<u64> {
    let read = || {
        let bar = Words::new(transport.bar(target.row.bar())?, halves);
        target.row.read_raw(&bar, target.index)
    };
    read().with_context(|| format!("{}: reading {}", transport.name(), target.name()))
}

fn get<T: Transport>(
    transport: &T,
    choice: &Choice,
    register: &str,
    with_effect: bool,
    readings: &Readings<'_>,
) -> anyhow::Result<()> {
    let module = known(transport, choice)?;
    let target = find(module.about().registers, register)?;
    refuse_effect(target.row, with_effect)?;
    let halves = refuse_absent(&*module, transport, target)?;
    let read = |target: &Target| read(transport, *target, halves);
    readings.show(transport.name(), &[target], read, |_, _| true)
}

fn set<T: Transport>(
    transport: &T,
    target: Target,
    value: u64,
    halves: bool,
) -> anyhow::Result<()> {
    let row = target.row;
    let write = || {
        let bar = Words::new(transport.bar(row.bar())?, halves);
        row.poke(&bar, target.index, value)
    };
    write().with_context(|| format!("{}: writing {}", transport.name(), target.name()))
}

/// A register in a list: one line, without its fields.
struct Line(Target);

impl Shown for Line {
    fn text(&self, value: u64) -> String {
        let Line(target) = self;
        format!("{:<26} {}\n", target.name(), target.value_text(value))
    }

    fn json(&self, value: u64) -> Value {
        self.0.json(value)
    }
}

/// Reads the registers that the device has; a device that can't be used tells nothing of that, and is read whole.
fn dump<T: Transport>(
    transport: &T,
    choice: &Choice,
    changed: bool,
    readings: &Readings<'_>,
) -> anyhow::Result<()> {
    let module = known(transport, choice)?;
    let table = module.about().registers;
    let identity = module.identify(transport).ok();
    let count = |row: &Register| match &identity {
        Some(identity) => identity.registers(row),
        None => row.count(),
    };
    let rows = table.iter();
    let rows = rows.filter(|row| row.access.is_pure_read() && !module.is_left_alone(row));
    let lines = rows.flat_map(|row| (0..count(row)).map(move |index| Line(Target { row, index })));
    let lines: Vec<Line> = lines.collect();
    let halves = identity.as_ref().is_some_and(|identity| identity.halves);
    let read = |line: &Line| read(transport, line.0, halves);
    let is_worth = |line: &Line, value| !changed || line.0.row.reset != Some(value);
    readings.show(transport.name(), &lines, read, is_worth)
}
