//! Rung 14 of bring-up for this program: another process of it drives the device and is killed.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hwpool::address::Address;
use hwpool::bringup::{
    self, Blame, Choice, Evidence, Kill, Options, OwnerSymptom, Progress, Status, TRAFFIC_RUNS,
};
use hwpool::device::{AnyTransport, Attached};
use hwpool::devices::bus::Transport;
use hwpool::kinds;

use super::process::Process;

/// How long its traffic runs before it is killed.
const TRAFFIC: Duration = Duration::from_millis(200);

/// For a device that another process can open once this one has closed it: `open` opens it again.
pub(super) fn of_address<'a, T: Transport>(
    address: &'a str,
    open: impl Fn() -> Result<Arc<T>, OwnerSymptom> + 'a,
) -> Kill<'a, T> {
    Box::new(move |transport, evidence| {
        drop(transport);
        let killed = kill_traffic(address, evidence);
        match open() {
            Ok(transport) => (Some(transport), killed.map_err(Into::into)),
            Err(symptom) => (None, killed.and(Err(symptom)).map_err(Into::into)),
        }
    })
}

/// For a model in this process, which no other can reach: the same model, served by a process of its own.
pub(super) fn of_served<'a, T: Transport>(address: &'a Address) -> Kill<'a, T> {
    Box::new(move |transport, evidence| {
        let result = serve(address).and_then(|served| {
            kill_traffic(&served.address(), evidence)?;
            is_in_order(&served.address())
        });
        (Some(transport), result.map_err(Into::into))
    })
}

/// Has another process climb to the rung of traffic, and kills it there: that rung runs on every device.
fn kill_traffic(address: &str, evidence: &mut Evidence) -> Result<(), OwnerSymptom> {
    // The rungs below it passed already.
    let quick = ["--buffers=64", "--laps=1", "--soak=60"];
    let traffic = [
        &["-v", "bringup", address, "--only=soak.traffic"],
        &quick[..],
    ]
    .concat();
    let mut owner = Process::start(&traffic)?;
    owner.wait_for(TRAFFIC_RUNS)?;
    owner.runs_for(TRAFFIC)?;
    evidence.count("killed process", owner.id());
    evidence.text("killed by", "SIGKILL");
    owner.kill()?;
    Ok(())
}

/// Opens a served model again, and has the rungs of lists and portals pass on it.
fn is_in_order(address: &str) -> Result<(), OwnerSymptom> {
    let Attached { transport, choice } =
        Attached::open(address).map_err(OwnerSymptom::OpenServed)?;
    let AnyTransport::User(client) = transport else {
        let address = address.into();
        return Err(OwnerSymptom::Another { address });
    };
    let only = ["lists.stale", "lists.capacity", "portal.unique"];
    let options = Options {
        choice: Choice {
            only: only.map(str::to_string).into(),
            ..Choice::default()
        },
        driver: choice,
        ..Options::default()
    };
    // Of a rung that is blocked by none that failed.
    let mut blame = Blame::Machine(&["the machine is too slow for this rung"]);
    let report = bringup::run(client, &options, None, |progress| match progress {
        Progress::Failed(found) => {
            blame = found;
            ControlFlow::Break("a rung failed".into())
        }
        _ => ControlFlow::Continue(()),
    });
    let is_wrong = |check: &bringup::Check| matches!(check.status, Status::Fail | Status::Blocked);
    match report.checks.into_iter().find(is_wrong) {
        None => Ok(()),
        Some(check) => Err(OwnerSymptom::NotInOrder {
            id: check.id.into_owned(),
            message: check.message.unwrap_or_default(),
            blame,
        }),
    }
}

/// A model that another process serves, until this is dropped.
struct Served {
    server: Process,
    directory: tempfile::TempDir,
    /// The driver that its address has to name.
    driver: Option<String>,
}

fn serve(address: &Address) -> Result<Served, OwnerSymptom> {
    let directory = tempfile::Builder::new().prefix("hwpool-").tempdir()?;
    let socket = socket(directory.path());
    let mut arguments = vec![
        "-v",
        "sim",
        "serve",
        "--model",
        &address.target,
        "--socket",
        &socket,
    ];
    let options: Vec<String> = address
        .options
        .iter()
        .filter(|(key, _)| key != "mode" && key != "driver")
        .map(|(key, value)| format!("--option={key}={value}"))
        .collect();
    arguments.extend(options.iter().map(String::as_str));
    let mut server = Process::start(&arguments)?;
    server.wait_for("serving")?;
    Ok(Served {
        server,
        directory,
        driver: driver(address),
    })
}

/// Returns the driver that an address names, or that its model needs.
fn driver(address: &Address) -> Option<String> {
    let described = kinds::is_file(&address.target).then_some(address.target.as_str());
    address.option("driver").or(described).map(str::to_owned)
}

fn socket(directory: &Path) -> String {
    directory.join("model.sock").display().to_string()
}

impl Served {
    fn address(&self) -> String {
        let socket = socket(self.directory.path());
        match &self.driver {
            Some(driver) => format!("user:{socket}?driver={driver}"),
            None => format!("user:{socket}"),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It removes its socket then.
        self.server.end();
    }
}
