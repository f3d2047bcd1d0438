//! `hwpool bind`, `unbind` and `recover`: plans of sysfs writes, checked, journalled, done.

use std::io;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use hwpool::host::bind::{
    BindError, Journals, Kept, Lock, Missing, Objection, Plan, Renewed, Request, udev_rules,
};
use hwpool::host::{Function, Kernel, Tree, Writer};
use hwpool::vfio::Bdf;
use nix::sys::signal::{Signal, raise};
use serde_json::{Value, json};

use super::arguments::{JournalArg, Machine, Overrides, bdf, text, user};
use super::exit::Usage;
use super::output::Output;

/// Take a function for vfio-pci, with a way back.
///
/// Prints each write to sysfs. Refuses a function that is in use, and a group that would not be viable, before anything is changed; each reason
/// can be overridden by its name. What was there before is kept in a journal.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: hwpool bind 0000:01:00.0 --owner alice --override carrier --dry-run"
)]
pub(crate) struct Bind {
    /// The function, such as 0000:01:00.0.
    #[arg(value_name = "DEVICE")]
    device: String,
    /// The driver that it shall have.
    #[arg(long, value_name = "NAME", default_value = "vfio-pci")]
    driver: String,
    /// User who shall own the device nodes, by name or number.
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Bind the other functions of its IOMMU group that are in the way, too.
    #[arg(long)]
    whole_group: bool,
    #[command(flatten)]
    common: Common,
}

/// Give a function back to the driver that it had.
///
/// Where hwpool did not bind it, the kernel chooses the driver.
#[derive(Debug, Args)]
#[command(after_help = "Example: hwpool unbind 0000:01:00.0")]
pub(crate) struct Unbind {
    /// The function, such as 0000:01:00.0.
    #[arg(value_name = "DEVICE")]
    device: String,
    /// The driver that it shall have instead.
    #[arg(long, value_name = "NAME")]
    driver: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// Put back what was there before a binding that was interrupted.
///
/// Exactly what was there, wherever `bind` was interrupted, or if it was finished.
#[derive(Debug, Args)]
#[command(after_help = "Example: hwpool recover 0000:01:00.0 --dry-run")]
pub(crate) struct Recover {
    /// The function, such as 0000:01:00.0; without one all whose binding was interrupted.
    #[arg(value_name = "DEVICE")]
    device: Option<String>,
    /// Drop what was kept of functions that are gone, or in whose place another device is.
    #[arg(long, requires = "device")]
    forget: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Print the plan and what speaks against it, and change nothing. Exit code 1 if something does.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    journal: JournalArg,
    #[command(flatten)]
    machine: Machine,
    /// How long to wait while another hwpool binds or unbinds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    wait: u32,
    /// Die by SIGKILL instead of the Nth change. For tests.
    #[arg(long, value_name = "N", hide = true)]
    die_at: Option<u32>,
}

impl Common {
    fn patience(&self) -> Duration {
        Duration::from_secs(self.wait.into())
    }
}

pub(crate) fn bind(args: &Bind, output: Output) -> anyhow::Result<bool> {
    let tree = args.common.machine.tree();
    if args.owner.is_some() && !args.driver.contains("vfio") {
        return Err(Usage(format!(
            "{} makes no device nodes: --owner goes with vfio-pci",
            args.driver
        ))
        .into());
    }
    let owner = args
        .owner
        .as_deref()
        .map(|name| user(&tree, name))
        .transpose()?;
    let request = Request {
        device: bdf(&args.device)?,
        driver: args.driver.clone(),
        owner,
        whole_group: args.whole_group,
        overrides: args.common.overrides.reasons.clone(),
    };
    let mut bench = Bench::new("bind", &args.common)?;
    let done = bench.carry_out(output, |tree, journals| {
        Plan::bind(tree, journals, &request).map(Some)
    })?;
    let functions = done.plans.iter().flat_map(Plan::functions);
    let functions: Vec<_> = functions
        .filter_map(|bdf| Function::read(&tree, bdf))
        .collect();
    let rules = udev_rules(&functions, &args.driver, args.owner.as_deref());
    done.print(output, Some(&rules))
}

pub(crate) fn unbind(args: &Unbind, output: Output) -> anyhow::Result<bool> {
    let device = bdf(&args.device)?;
    let (driver, overrides) = (args.driver.as_deref(), &args.common.overrides.reasons);
    let plan = |tree: &Tree, journals: &Journals| {
        Plan::unbind(tree, journals, device, driver, overrides).map(Some)
    };
    let mut bench = Bench::new("unbind", &args.common)?;
    bench.carry_out(output, plan)?.print(output, None)
}

pub(crate) fn recover(args: &Recover, output: Output) -> anyhow::Result<bool> {
    let mut bench = Bench::new("recover", &args.common)?;
    let devices = match &args.device {
        Some(device) => vec![bdf(device)?],
        None => {
            let records = bench.journals.all()?;
            let interrupted = records.iter().filter(|record| !record.is_done);
            interrupted.map(|record| record.device).collect()
        }
    };
    let mut done = Done::new("recover", args.common.dry_run);
    // What keeps one of them from being given back is no reason to keep the others.
    for device in devices {
        let overrides = &args.common.overrides.reasons;
        let plan = |tree: &Tree, journals: &Journals| {
            let plan = Plan::recover(tree, journals, device, overrides)?;
            Ok(match args.forget {
                true => plan.map(Plan::forgetting),
                false => plan,
            })
        };
        done.add(bench.carry_out(output, plan), device);
    }
    done.print(output, None)
}

/// What a command did, or would do.
struct Done {
    verb: &'static str,
    dry_run: bool,
    plans: Vec<Plan>,
    /// Functions that hwpool has not bound.
    without: Vec<Bdf>,
    failures: Vec<(Bdf, anyhow::Error)>,
}

/// The machine while no other hwpool changes it: journals are read, plans made and done under one lock, as what another
/// process is in the middle of looks like an interruption.
struct Bench<'a> {
    verb: &'static str,
    common: &'a Common,
    tree: Tree,
    journals: Journals,
    /// `None` while there are no journals: who is refused or finds nothing to do needs no right to write them.
    lock: Option<Lock>,
}

impl<'a> Bench<'a> {
    fn new(verb: &'static str, common: &'a Common) -> anyhow::Result<Bench<'a>> {
        let tree = common.machine.tree();
        let journals = common.journal.journals(&tree);
        Ok(Bench {
            verb,
            common,
            lock: journals.lock_if_there(common.patience())?,
            tree,
            journals,
        })
    }

    /// Makes the plan, prints it, and does it unless this is a dry run.
    fn carry_out(
        &mut self,
        output: Output,
        plan: impl Fn(&Tree, &Journals) -> Result<Option<Plan>, BindError>,
    ) -> anyhow::Result<Done> {
        let mut done = Done::new(self.verb, self.common.dry_run);
        let Some(planned) = self.plan(plan)? else {
            return Ok(done);
        };
        if self.common.dry_run {
            print_plan(&planned, output)?;
        } else if !planned.objections.is_empty() {
            let (device, objections) = (planned.device, planned.objections);
            return Err(BindError::Refused { device, objections }.into());
        } else if let Some(lock) = self.lock.as_ref().filter(|_| !planned.is_nothing()) {
            print_plan(&planned, output)?;
            let mut writer = Mortal {
                kernel: Kernel::default(),
                left: self.common.die_at,
            };
            planned.execute(&self.tree, &mut writer, &self.journals, lock)?;
        }
        done.plans.push(planned);
        Ok(done)
    }

    /// Makes a plan, and takes the lock where it has to be done. Without journals there was nothing to lock: who has
    /// made some meanwhile was at work, so the plan is made once more.
    fn plan(
        &mut self,
        plan: impl Fn(&Tree, &Journals) -> Result<Option<Plan>, BindError>,
    ) -> Result<Option<Plan>, BindError> {
        if self.lock.is_none() {
            let first = plan(&self.tree, &self.journals);
            let needs_lock = |plan: &Plan| plan.objections.is_empty() && !plan.is_nothing();
            let is_settled = match &first {
                Ok(Some(plan)) => self.common.dry_run || !needs_lock(plan),
                Ok(None) | Err(_) => true,
            };
            if is_settled && !self.journals.are_there() {
                return first;
            }
            self.lock = Some(self.journals.lock_within(self.common.patience())?);
        }
        plan(&self.tree, &self.journals)
    }
}

fn print_plan(plan: &Plan, output: Output) -> anyhow::Result<()> {
    for renewed in &plan.renewed {
        output.line(format!("# {renewed}"))?;
    }
    for objection in &plan.overridden {
        output.line(format!("# overridden: {objection}"))?;
    }
    for step in &plan.steps {
        output.line(step)?;
    }
    Ok(())
}

impl Done {
    fn new(verb: &'static str, dry_run: bool) -> Done {
        Done {
            verb,
            dry_run,
            plans: Vec::new(),
            without: Vec::new(),
            failures: Vec::new(),
        }
    }

    fn add(&mut self, result: anyhow::Result<Done>, device: Bdf) {
        match result {
            Err(error) => self.failures.push((device, error)),
            Ok(one) if one.plans.is_empty() => self.without.push(device),
            Ok(one) => self.plans.extend(one.plans),
        }
    }

    /// Prints what there is to say at the end. A dry run that something speaks against is a check that failed; what
    /// failed, or was done in part only, is the error.
    fn print(self, output: Output, rules: Option<&str>) -> anyhow::Result<bool> {
        let is_told = self.failures.is_empty() || !self.plans.is_empty();
        if is_told {
            output.print(|| self.json(rules), || self.text(rules))?;
        }
        let incomplete = self.plans.iter().filter(|plan| plan.is_incomplete());
        let is_good = self.plans.iter().all(|plan| plan.objections.is_empty())
            && incomplete.clone().next().is_none();
        let missing = incomplete.map(|plan| BindError::Missing {
            device: plan.device,
            missing: plan.missing.clone(),
        });
        let failures = self.failures.into_iter().map(|(_, error)| error);
        let mut failures: Vec<_> = match self.dry_run {
            true => failures.collect(),
            false => failures.chain(missing.map(anyhow::Error::from)).collect(),
        };
        match failures.len() {
            0 => Ok(is_good),
            1 => Err(failures.remove(0)),
            _ => {
                let lines: Vec<_> = failures.iter().map(|error| format!("{error:#}")).collect();
                Err(anyhow::anyhow!(lines.join("\nhwpool: ")))
            }
        }
    }

    fn json(&self, rules: Option<&str>) -> Value {
        let objection = |objection: &Objection| json!({ "function": objection.bdf.to_string(), "reason": objection.reason.word(), "what": objection.what });
        let objections = |list: &[Objection]| list.iter().map(objection).collect::<Vec<_>>();
        let ids = |(vendor, device): (u16, u16)| format!("{vendor:04x}:{device:04x}");
        let missing = |one: &Missing| json!({ "function": one.bdf.to_string(), "was": ids(one.was), "found": one.found.map(ids) });
        let kept = |one: &Kept| json!({ "function": one.bdf.to_string(), "needed_by": one.needed_by.to_string() });
        let renewed = |one: &Renewed| json!({ "function": one.bdf.to_string(), "was": ids(one.was), "now": ids(one.now) });
        let plan = |plan: &Plan| {
            json!({
                "device": plan.device.to_string(),
                "steps": plan.steps.iter().map(|step| {
                    let (path, value) = step.write().unzip();
                    json!({ "line": step.to_string(), "path": path, "value": value })
                }).collect::<Vec<_>>(),
                "objections": objections(&plan.objections), "overridden": objections(&plan.overridden),
                "missing": plan.missing.iter().map(missing).collect::<Vec<_>>(),
                "kept": plan.kept.iter().map(kept).collect::<Vec<_>>(),
                "renewed": plan.renewed.iter().map(renewed).collect::<Vec<_>>(),
            })
        };
        let failed = |(device, error): &(Bdf, anyhow::Error)| json!({ "device": device.to_string(), "error": format!("{error:#}") });
        let mut document = json!({
            "schema": "hwpool.bind/1", "verb": self.verb, "done": !self.dry_run,
            "plans": self.plans.iter().map(plan).collect::<Vec<_>>(),
            "without_journal": self.without.iter().map(Bdf::to_string).collect::<Vec<_>>(),
            "failed": self.failures.iter().map(failed).collect::<Vec<_>>(),
        });
        if let Some(rules) = rules {
            document["udev_rules"] = rules.into();
        }
        document
    }

    fn text(&self, rules: Option<&str>) -> String {
        let mut text = String::new();
        for plan in &self.plans {
            for objection in &plan.objections {
                text += &format!("# refused: {objection}\n");
            }
            let kept = match plan.is_incomplete() {
                true => "its journal stays",
                false => "its journal goes",
            };
            for missing in &plan.missing {
                text += &format!("# missing: {missing}: {kept}\n");
            }
            for kept in &plan.kept {
                text += &format!("# kept: {kept}\n");
            }
            let said = match (plan.steps.is_empty(), self.dry_run) {
                (true, _) if !plan.missing.is_empty() => "nothing is there to be given back",
                (true, _) if !plan.kept.is_empty() => "nothing is given back yet",
                (true, _) => "nothing to do: it is as it shall be",
                (false, true) => "dry run: nothing was changed",
                (false, false) => "done and verified",
            };
            text += &format!("# {} {}: {said}\n", self.verb, plan.device);
        }
        for device in &self.without {
            text += &format!(
                "# {} {device}: hwpool has no journal of it, nothing was changed\n",
                self.verb
            );
        }
        if self.plans.is_empty() && self.without.is_empty() {
            text += "# nothing was interrupted; a finished binding is given back by its name\n";
        }
        text + rules.unwrap_or_default()
    }
}

/// The kernel, written to by a process that may have to die in the middle.
struct Mortal {
    kernel: Kernel,
    left: Option<u32>,
}

impl Mortal {
    fn count(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(1) => Ok(raise(Signal::SIGKILL)?),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Writer for Mortal {
    fn write(&mut self, path: &Path, value: &str) -> io::Result<()> {
        self.count()?;
        tracing::info!("{} to {}", value.trim(), text(path));
        self.kernel.write(path, value)
    }

    fn own(&mut self, path: &Path, uid: u32) -> io::Result<()> {
        self.count()?;
        tracing::info!("owner {uid} of {}", text(path));
        self.kernel.own(path, uid)
    }
}
