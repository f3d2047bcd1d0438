//! `hwpool sim`: the models in this program, listed or served.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use hwpool::devices::family::Choice;
use hwpool::kinds;
use hwpool::metrics::DeviceState;
use hwpool::sim::{MODELS, SimConfig};
use hwpool::user::SimDevice;
use hwpool::user::server::Server;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

use super::device::default_kind;
use super::exit::Usage;
use super::output::Output;
use super::signal::Stop;
use super::source::Offer;

/// List the models in this program, or serve one to other processes.
#[derive(Debug, Args)]
#[command(after_help = "Example: hwpool sim serve --socket /tmp/bmu.sock")]
pub(crate) struct Sim {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the models and the options that their addresses take.
    #[command(after_help = "Example: hwpool sim list --json")]
    List,
    /// Serve a model to other processes by the vfio-user protocol, until SIGTERM or Ctrl-C.
    ///
    /// One client is served after the other; the device keeps its state between them. Clients: this program (user:PATH),
    /// or any other that speaks vfio-user, such as QEMU's vfio-user-pci.
    Serve(Serve),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example: hwpool sim serve --socket /tmp/bmu.sock, and then hwpool bringup user:/tmp/bmu.sock"
)]
struct Serve {
    /// The model, as `hwpool sim list` names it, or the file of a description, FILE.toml.
    #[arg(long, value_name = "NAME", default_value = default_kind())]
    model: String,
    /// Where clients connect; made with mode 0600, and removed at the end.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// File of faults in TOML.
    #[arg(long, value_name = "FILE")]
    faults: Option<String>,
    /// Number that chooses what chance decides.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// An option of the model, as `hwpool sim list` names it; may be given several times. The mode is threaded unless
    /// it says otherwise.
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,
    #[command(flatten)]
    offer: Offer,
}

pub(crate) fn run(sim: Sim, output: Output) -> anyhow::Result<()> {
    match sim.action {
        Action::List => list(output),
        Action::Serve(serve) => run_server(&serve, output),
    }
}

/// Serves until a signal says stop.
fn run_server(args: &Serve, output: Output) -> anyhow::Result<()> {
    let (config, choice) = args.config()?;
    allow_many_descriptors();
    let name = config.name().to_owned();
    let mut device = SimDevice::new(&name, config)?;
    let server = Server::bind(&args.socket)?;
    let stop = server.stop_handle();
    Stop::on_signal_do(move || stop.stop())?;
    let (monitor, called) = (device.monitor(), format!("sim:{}", args.model));
    let numbers = move || DeviceState::of_served(&monitor, &called, choice.as_ref()).into();
    let _exporter = args.offer.start(numbers)?;
    let (model, socket) = (&args.model, args.socket.display().to_string());
    output.print(
        || json!({ "schema": "hwpool.serve/1", "model": model, "socket": socket, "pid": std::process::id() }),
        || format!("serving {model} at user:{socket}\n"),
    )?;
    Ok(server.run(&mut device)?)
}

impl Serve {
    /// Returns what the model is to be, and which driver it has where no device says that.
    fn config(&self) -> anyhow::Result<(SimConfig, Option<Choice>)> {
        let (mut config, choice) = kinds::model(&self.model).map_err(Usage::of)?;
        config.set("mode", "threaded").map_err(Usage::of)?;
        let own = [
            ("seed", self.seed.is_some()),
            ("faults", self.faults.is_some()),
        ];
        let own = own.iter().filter(|(_, is_given)| *is_given);
        let mut given: Vec<&str> = own.map(|(key, _)| *key).collect();
        for option in &self.options {
            let pair = option.split_once('=');
            let (key, value) =
                pair.ok_or_else(|| Usage(format!("`{option}` is not an option: write KEY=VALUE")))?;
            if given.contains(&key) {
                return Err(Usage(format!("--option {option}: {key} is given twice")).into());
            }
            given.push(key);
            config.set(key, value).map_err(Usage::of)?;
        }
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        if let Some(faults) = &self.faults {
            config.set("faults", faults).map_err(Usage::of)?;
        }
        Ok((config, choice))
    }
}

/// Allows as many descriptors as the system lets us: each mapping of a client's memory holds one.
fn allow_many_descriptors() {
    let raise = || {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most)
    };
    if let Err(error) = raise().context("the limit of open files stays as it is") {
        tracing::warn!("{error:#}");
    }
}

/// Where it stands what a model or an option is.
const ABOUT_COLUMN: usize = 19;

fn list(output: Output) -> anyhow::Result<()> {
    output.print(list_json, || output.fold(&list_text(), ABOUT_COLUMN))
}

/// Lists models and options; an option that only one model has says which.
fn list_json() -> Value {
    let option = |model: Option<&str>, (key, about): &(&str, &str)| json!({ "key": key, "about": about, "model": model });
    let models = MODELS
        .iter()
        .map(|m| json!({ "address": format!("sim:{}", m.name), "about": m.doc }));
    let general = SimConfig::KEYS.iter().map(|key| option(None, key));
    let own = MODELS
        .iter()
        .flat_map(|model| model.keys.iter().map(|key| option(Some(model.name), key)));
    json!({ "schema": "hwpool.sim/1", "models": models.collect::<Vec<_>>(),
            "options": general.chain(own).collect::<Vec<_>>() })
}

fn list_text() -> String {
    let options = |keys: &[(&str, &str)]| -> String {
        let lines = keys.iter();
        lines
            .map(|(key, about)| format!("  {key:<16} {about}\n"))
            .collect()
    };
    let models = MODELS
        .iter()
        .map(|m| format!("sim:{:<14} {}\n", m.name, m.doc));
    let mut text: String = models.collect();
    text += "\noptions, as in sim:bmu?seed=7&mode=threaded\n";
    text += &options(SimConfig::KEYS);
    for model in MODELS.iter().filter(|model| !model.keys.is_empty()) {
        text += &format!("\noptions of sim:{} alone\n", model.name);
        text += &options(model.keys);
    }
    text
}
