//! The command line: `hwpool <verb> [DEVICE]`.
//!
//! A file a verb, or a few that belong together. What they share: `device`, `source`, `arguments`, `output`, `figures`,
//! `watch`, `signal`, `log` and `exit`. Exit codes: 0 done, 1 a check failed, 2 usage, 3 the device or the environment refused.

mod arguments;
mod bench;
mod bind;
mod bringup;
mod describe;
mod device;
mod devices;
mod doctor;
mod exit;
mod figures;
mod generate;
mod greeting;
mod hugepages;
mod info;
mod log;
mod metrics;
mod output;
mod raw;
mod regs;
mod report;
mod reset;
mod signal;
mod sim;
mod soak;
mod source;
mod top;
mod watch;

use clap::{CommandFactory, Parser, Subcommand};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use device::DeviceArg;
use exit::Usage;
pub(crate) use exit::finish;
pub(crate) use greeting::greet;
pub(crate) use log::Log;
use output::Output;

/// Userspace driver for hardware buffer managers.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, help_template = ONE_SCREEN, after_help = AFTER_HELP)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Print one JSON document to stdout; logs go to stderr.
    #[arg(long, global = true)]
    json: bool,
    /// Tell more on stderr: once what is done, twice the details.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// End when this process does, which started it.
    #[arg(long, global = true, hide = true, value_name = "PID")]
    child_of: Option<i32>,
    #[command(subcommand)]
    verb: Verb,
}

/// What stands below the options.
macro_rules! after_help {
    () => {
        "\
DEVICE: sim:bmu, sim:fifo (models in here), user:SOCKET, vfio:0000:01:00.0
Exit codes: 0 done, 1 a check failed, 2 usage, 3 device or machine refused"
    };
}

const AFTER_HELP: &str = after_help!();

/// Without the blank lines and headings of clap, and with all options in one line: else it would go beyond 24 lines.
const ONE_SCREEN: &str = concat!(
    "{about}\n{usage-heading} {usage}\n{subcommands}\n",
    "Options: --json for programs, -v and -vv tell more, -h, --help, -V, --version\n",
    after_help!(),
    "\n"
);

/// The verbs; each says with its arguments what it does.
#[derive(Debug, Subcommand)]
enum Verb {
    Devices(devices::Devices),
    Doctor(doctor::Doctor),
    Bind(bind::Bind),
    Unbind(bind::Unbind),
    Recover(bind::Recover),
    Hugepages(hugepages::Hugepages),
    /// Show what a device is and can do; changes nothing.
    #[command(after_help = "Example: hwpool info vfio:0000:01:00.0")]
    Info(DeviceArg),
    Regs(regs::Regs),
    Reset(reset::Reset),
    Bringup(bringup::Bringup),
    Report(report::ReportArgs),
    Bench(bench::Bench),
    Soak(soak::Soak),
    Top(top::Top),
    Metrics(metrics::Metrics),
    Describe(describe::Describe),
    Sim(sim::Sim),
    Generate(generate::Generate),
    /// Print what `--help` of a verb prints.
    #[command(hide = true)]
    Help {
        /// The verb, and its action if it has some.
        #[arg(value_name = "VERB")]
        verb: Vec<String>,
    },
}

/// Runs the verb; `Ok(false)` is a check that failed.
pub(crate) fn run(cli: Cli) -> anyhow::Result<bool> {
    if let Some(parent) = cli.child_of {
        end_with(Pid::from_raw(parent))?;
    }
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
        Verb::Reset(reset) => reset::run(&reset, output).map(|()| true),
        Verb::Bringup(bringup) => bringup::run(bringup, output),
        Verb::Report(report) => report::run(&report, output),
        Verb::Bench(bench) => bench::run(bench, output).map(|()| true),
        Verb::Soak(soak) => soak::run(soak, output),
        Verb::Top(top) => top::run(&top, output).map(|()| true),
        Verb::Metrics(metrics) => metrics::run(&metrics, output).map(|()| true),
        Verb::Describe(describe) => describe::run(&describe, output).map(|()| true),
        Verb::Sim(sim) => sim::run(sim, output).map(|()| true),
        Verb::Generate(generate) => generate::run(&generate, Cli::command(), output).map(|()| true),
        Verb::Help { verb } => help(verb),
    }
}

/// Has the kernel kill this process when its parent dies.
fn end_with(parent: Pid) -> anyhow::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // It may have died before that was set.
    if getppid() != parent {
        return Err(Usage(format!("--child-of: the parent is not {parent}")).into());
    }
    Ok(())
}

/// Ends the process as `hwpool VERB --help` does.
fn help(verb: Vec<String>) -> anyhow::Result<bool> {
    let words = ["hwpool".to_string()].into_iter().chain(verb);
    match Cli::try_parse_from(words.chain(["--help".to_string()])) {
        Err(asked_for) => asked_for.exit(),
        Ok(_) => Err(Usage("nothing to help with: see hwpool --help".into()).into()),
    }
}
