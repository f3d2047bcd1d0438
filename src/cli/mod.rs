//! The command line: `hwpool <verb> [DEVICE]`.
//!
//! A file a verb. Exit codes: 0 done, 1 a check failed, 2 usage, 3 the device or the environment refused.

mod bench;
mod bind;
mod bringup;
mod devices;
mod doctor;
mod host;
mod hugepages;
mod info;
mod kill;
mod output;
mod raw;
mod regs;
mod report;
mod signal;
mod sim;
mod soak;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub(crate) use output::{Output, ReaderGone};

/// The exit code of a command that was given something it can't use.
const USAGE: u8 = 2;
/// The exit code of a device or an environment that refused.
const REFUSED: u8 = 3;

/// Userspace driver for hardware buffer managers.
///
/// DEVICE is an address such as sim:bmu (a model in this process, the default), sim:bmu?seed=7&faults=FILE or
/// user:SOCKET (a vfio-user server); `hwpool sim list` names the models and their options.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Print one JSON document to stdout; logs go to stderr.
    #[arg(long, global = true)]
    json: bool,
    /// Tell more on stderr: once for what is done, twice for details.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 a check failed, 2 usage, 3 the device or the environment refused.

  hwpool doctor 0000:01:00.0                 what keeps hwpool from a function, and what to do
  hwpool bind 0000:01:00.0 --dry-run         each write that would give it to vfio-pci
  hwpool bringup sim:bmu                     prove a device, rung by rung
  hwpool regs get sim:bmu CAP_COUNTS         read a register, decoded
  hwpool bench sim:bmu --json                time and bus transactions per buffer
  hwpool sim serve --socket /tmp/bmu.sock    a model as a process, opened by user:/tmp/bmu.sock";

#[derive(Debug, Subcommand)]
enum Verb {
    /// List PCI functions: ids, driver, IOMMU group, NUMA node, link, use.
    Devices(devices::Devices),
    /// Check whether hwpool could drive a function: evidence, cause and remedy.
    Doctor(doctor::Doctor),
    /// Take a function from its driver and give it to vfio-pci, with a way back.
    Bind(bind::Bind),
    /// Give a function back to the driver that it had.
    Unbind(bind::Unbind),
    /// Put back what was there before a binding that was interrupted.
    Recover(bind::Recover),
    /// Show, reserve and release hugepages by NUMA node and size.
    Hugepages(hugepages::Hugepages),
    /// Show what a device is and can do; changes nothing.
    Info(DeviceArg),
    /// List, read and write registers, by name or by place.
    Regs(regs::Regs),
    /// Prove a device layer by layer.
    Bringup(bringup::Bringup),
    /// Make a page, XML or text out of the JSON of a bring-up.
    Report(report::Report),
    /// Measure time and bus transactions per buffer.
    Bench(bench::Bench),
    /// Run random traffic for a while and prove that no buffer is lost or doubled.
    Soak(soak::Soak),
    /// List the models in this program, or serve one to other processes.
    Sim(sim::Sim),
}

/// Does something with the transport behind a [`Link`](hwpool::device::Link), of whatever kind it is.
macro_rules! on {
    ($link:expr, $transport:ident => $do:expr) => {
        match $link {
            hwpool::device::Link::Sim($transport) => $do,
            hwpool::device::Link::Vfio($transport) => $do,
            hwpool::device::Link::User($transport) => $do,
        }
    };
}
use on;

/// The device that a verb works on.
#[derive(Debug, Args)]
pub(crate) struct DeviceArg {
    /// Address of the device.
    #[arg(value_name = "DEVICE", default_value = "sim:bmu")]
    device: String,
}

/// Runs the verb; `Ok(false)` is a check that failed.
pub(crate) fn run(cli: Cli) -> anyhow::Result<bool> {
    let output = Output::new(cli.json);
    match cli.verb {
        Verb::Devices(devices) => devices::run(&devices, output).map(|()| true),
        Verb::Doctor(doctor) => doctor::run(&doctor, output),
        Verb::Bind(bind) => bind::bind(&bind, output),
        Verb::Unbind(unbind) => bind::unbind(&unbind, output),
        Verb::Recover(recover) => bind::recover(&recover, output),
        Verb::Hugepages(hugepages) => hugepages::run(&hugepages, output).map(|()| true),
        Verb::Info(device) => info::run(&device.device, output).map(|()| true),
        Verb::Regs(regs) => regs::run(regs, output).map(|()| true),
        Verb::Bringup(bringup) => bringup::run(bringup, output),
        Verb::Report(report) => report::run(&report, output),
        Verb::Bench(bench) => bench::run(bench, output).map(|()| true),
        Verb::Soak(soak) => soak::run(soak, output),
        Verb::Sim(sim) => sim::run(sim, output).map(|()| true),
    }
}

/// A mistake in what the command was given, found after parsing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Turns the result into an exit code, and an error into a line on stderr.
pub(crate) fn finish(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if error.is::<ReaderGone>() => ExitCode::SUCCESS,
        Err(error) => {
            // Not eprintln!, which panics where stderr is closed.
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("hwpool: {error:#}\n"),
            );
            ExitCode::from(if is_usage(&error) { USAGE } else { REFUSED })
        }
    }
}

/// Tells whether the error lies in what the user wrote: arguments, or the address of the device.
fn is_usage(error: &anyhow::Error) -> bool {
    use hwpool::device::DeviceError;
    let in_address = error
        .downcast_ref::<DeviceError>()
        .is_some_and(DeviceError::is_usage);
    in_address || error.is::<Usage>()
}
