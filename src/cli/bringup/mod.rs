//! `hwpool bringup`: the ladder of checks, for people and for scripts.

mod owner;
mod process;

use std::fs;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use hwpool::address::Address;
use hwpool::bringup::{
    Choice, Class, Kill, Options, OwnerSymptom, Plan, Progress, Report, run as climb, rungs,
};
use hwpool::device::{AnyTransport, Attached, DeviceError};
use hwpool::devices::bus::Transport;
use hwpool::host::Tree;
use hwpool::kinds;
use hwpool::report::{About, INDENT, lines};
use indicatif::{ProgressBar, ProgressStyle};

use super::device::DEFAULT_DEVICE;
use super::exit::Usage;
use super::output::Output;
use super::report::Reporting;
use super::signal::Stop;

/// Prove a device layer by layer.
///
/// Rungs are of a class by what they do: read-only ones write nothing, safe-write ones write to registers made for
/// tests, disruptive ones reset the device and forget what it held (the default goes up to these), opt-in ones make it
/// do what it should never do. With `vfio:` the kernel itself resets a function when it is opened.
#[derive(Debug, Args)]
#[command(after_help = rungs_text() + "\
Examples:
  hwpool bringup sim:bmu
  hwpool bringup vfio:0000:01:00.0 --class read-only
  hwpool bringup --plan board.toml --report junit --out board.xml
  hwpool bringup sim:bmu --report html --out report.html")]
pub(crate) struct Bringup {
    /// Address of the device [default: the plan's, else sim:bmu].
    #[arg(value_name = "DEVICE")]
    device: Option<String>,
    /// The sharpest class of rungs that are run: read-only, safe-write, disruptive or opt-in [default: disruptive].
    #[arg(long, value_name = "CLASS")]
    class: Option<Class>,
    /// Only these rungs, by id or number, and those that they need: of whatever class, where none is given.
    #[arg(long, value_name = "RUNG,...", value_delimiter = ',')]
    only: Vec<String>,
    /// Not these rungs, by id or number.
    #[arg(long, value_name = "RUNG,...", value_delimiter = ',')]
    skip: Vec<String>,
    /// File in TOML that says the same as options, and limits that the board has to keep (see examples/board.toml).
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Objects in the pool that is cycled through the rings [default: 4096].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(64..=1 << 24))]
    buffers: Option<u32>,
    /// How often each object goes through the rings [default: 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    laps: Option<u32>,
    /// Seconds of traffic on the last rung [default: 2].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    soak: Option<Duration>,
    /// End the climb after so many seconds beside those of --soak, with what is left blocked [default: 1800].
    #[arg(long, value_name = "SECONDS", value_parser = limit)]
    within: Option<Duration>,
    #[command(flatten)]
    reporting: Reporting,
}

fn rungs_text() -> String {
    let rows = rungs().into_iter().map(|(number, id, class, title)| {
        let class = class.word();
        format!("  {number:>2} {id:<16} {class:<10} {title}\n")
    });
    let rows: String = rows.collect();
    format!("Rungs, with their classes:\n{rows}\n")
}

pub(crate) fn run(args: Bringup, output: Output) -> anyhow::Result<bool> {
    let plan = args.plan.as_deref().map(read_plan).transpose()?;
    let planned = plan.as_ref().and_then(|plan| plan.device.clone());
    let device = args.device.clone().or(planned);
    let text = device.unwrap_or_else(|| DEFAULT_DEVICE.into());
    let address: Address = text.parse().map_err(DeviceError::from)?;
    let mut options = args.options(plan.as_ref())?;
    let sink = args.reporting.sink(output)?;
    let about = about(&address, plan.and_then(|plan| plan.name));
    options.look_at(&Tree::running(), &address);
    let stop = Stop::on_signal()?;
    options.stop = stop.flag();
    let Attached {
        transport: link,
        choice,
    } = Attached::open(&text)?;
    options.driver = choice;
    stop.on_notice(&address.to_string(), link.notices());
    options.near = link.node();
    let run = Run {
        text: &text,
        options,
        stop: &stop,
        output,
        is_streamed: sink.is_text(),
    };
    let report = match link {
        AnyTransport::Sim(model) => run.climb(model, Some(owner::of_served(&address))),
        AnyTransport::Vfio(function) => run.climb(function, run.owner(&address, vfio)),
        AnyTransport::User(client) => run.climb(client, run.owner(&address, user)),
    }?;
    let report = Report { about, ..report };
    sink.write(&report)?;
    stop.verdict()?;
    Ok(report.is_good())
}

impl Bringup {
    /// What the options say, over what the plan says.
    fn options(&self, plan: Option<&Plan>) -> anyhow::Result<Options> {
        let mut options = Options::default();
        if let Some(plan) = plan {
            plan.apply(&mut options);
        }
        if let Some(rung) = self.only.iter().find(|rung| self.skip.contains(rung)) {
            return Err(Usage(format!("--only asks for {rung}, and --skip leaves it out")).into());
        }
        let Choice { class, only, skip } = options.choice;
        let or = |given: &Vec<String>, planned| match given.is_empty() {
            true => planned,
            false => given.clone(),
        };
        options.choice = Choice {
            // A plan's class does not hold for rungs that are asked for by name.
            class: self.class.or(class.filter(|_| self.only.is_empty())),
            only: or(&self.only, only),
            skip: or(&self.skip, skip),
        };
        let checked = options.choice.validate();
        checked.map_err(|error| Usage(error.to_string()))?;
        options.buffers = self.buffers.unwrap_or(options.buffers);
        options.laps = self.laps.unwrap_or(options.laps);
        options.soak = self.soak.unwrap_or(options.soak);
        options.within = self.within.or(options.within);
        Ok(options)
    }
}

fn read_plan(path: &Path) -> anyhow::Result<Plan> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| Usage(format!("{}: {error}", path.display())))?;
    let plan = Plan::parse(&text);
    let mut plan = plan.map_err(|error| Usage(format!("{}: {error}", path.display())))?;
    let stem = || Some(path.file_stem()?.to_string_lossy().into_owned());
    plan.name = plan.name.or_else(stem);
    Ok(plan)
}

/// Reads how long traffic lasts.
fn seconds(text: &str) -> Result<Duration, String> {
    seconds_up_to(86_400, text)
}

/// Reads how long a climb may take.
fn limit(text: &str) -> Result<Duration, String> {
    seconds_up_to(604_800, text)
}

fn seconds_up_to(most: u32, text: &str) -> Result<Duration, String> {
    let value: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    match (0.01..=most.into()).contains(&value) {
        true => Ok(Duration::from_secs_f64(value)),
        false => Err(format!("0.01 to {most} seconds")),
    }
}

fn about(address: &Address, plan: Option<String>) -> About {
    let uname = nix::sys::utsname::uname();
    let kernel = uname.map(|name| name.release().to_string_lossy().into_owned());
    About {
        hwpool: env!("CARGO_PKG_VERSION").into(),
        kernel: kernel.unwrap_or_default(),
        started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        seed: kinds::seed(address),
        plan,
    }
}

fn vfio(link: AnyTransport) -> Option<Arc<hwpool::vfio::Function>> {
    match link {
        AnyTransport::Vfio(function) => Some(function),
        _ => None,
    }
}

fn user(link: AnyTransport) -> Option<Arc<hwpool::user::Client>> {
    match link {
        AnyTransport::User(client) => Some(client),
        _ => None,
    }
}

/// What a climb needs besides its transport.
struct Run<'a> {
    /// The device's address as it was given, to open it again.
    text: &'a str,
    options: Options,
    stop: &'a Stop,
    output: Output,
    is_streamed: bool,
}

impl Run<'_> {
    /// Lets another process own the device, where it can be opened by its address again.
    fn owner<'a, T: Transport>(
        &'a self,
        address: &'a Address,
        of: impl Fn(AnyTransport) -> Option<Arc<T>> + 'a,
    ) -> Option<Kill<'a, T>> {
        // Descriptors that were handed over are used up, and another process has none of them.
        let is_handed = |(key, _): &(String, String)| matches!(key.as_str(), "fd" | "iommu");
        let open = move || {
            let link = AnyTransport::open(self.text)?;
            self.stop.on_notice(&address.to_string(), link.notices());
            let address = address.to_string();
            of(link).ok_or(OwnerSymptom::Another { address })
        };
        let can_open_again = !address.options.iter().any(is_handed);
        can_open_again.then(|| owner::of_address(self.text, open))
    }

    fn climb<T: Transport>(
        &self,
        transport: Arc<T>,
        kill: Option<Kill<'_, T>>,
    ) -> anyhow::Result<Report> {
        let mut printed = Ok(());
        let spinner = spinner(self.is_streamed);
        let progress = |progress: Progress<'_>| {
            match progress {
                Progress::Start { id, .. } => spinner.set_message(id),
                Progress::End(check) if self.is_streamed && printed.is_ok() => {
                    let text = lines(check, &|tone, text| self.output.paint(tone.into(), text));
                    let text = self.output.fold(&text, INDENT);
                    printed = spinner.suspend(|| self.output.line(text));
                }
                Progress::Failed(_) | Progress::End(_) => {}
            }
            match self.stop.is_wanted() || printed.is_err() {
                true => ControlFlow::Break("the run was ended before this rung".into()),
                false => ControlFlow::Continue(()),
            }
        };
        let report = climb(transport, &self.options, kill, progress);
        spinner.finish_and_clear();
        printed.map(|()| report)
    }
}

/// A sign of life while a rung runs, on a terminal only.
fn spinner(wanted: bool) -> ProgressBar {
    if !wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    let bar = ProgressBar::new_spinner();
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
