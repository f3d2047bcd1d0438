//! The bring-up ladder, with the document of `hwpool bringup --report json` as dictionaries.

use std::ops::ControlFlow;
use std::time::Duration;

use hwpool::DeviceError;
use hwpool::address::Address;
use hwpool::bringup::{self as ladder, Check, Class, Options, Plan, Progress, Report};
use hwpool::device::{AnyTransport, Attached};
use hwpool::host::Tree;
use hwpool::kinds;
use hwpool::report::About;
use pyo3::prelude::*;
use pythonize::pythonize;

use crate::failure::{Failure, Status};

/// Climbs the ladder of checks on the device at `address`.
#[pyfunction]
#[pyo3(signature = (address, *, rungs = None, skip = None, sharpest = None, plan = None, buffers = None, laps = None,
    soak = None, within = None, progress = None, kernel = String::new(), started = String::new()))]
#[allow(clippy::too_many_arguments, reason = "keywords, each with a default")]
pub(crate) fn bringup<'py>(
    py: Python<'py>,
    address: &str,
    rungs: Option<Vec<String>>,
    skip: Option<Vec<String>>,
    sharpest: Option<&str>,
    plan: Option<&str>,
    buffers: Option<u32>,
    laps: Option<u32>,
    soak: Option<f64>,
    within: Option<f64>,
    progress: Option<Py<PyAny>>,
    kernel: String,
    started: String,
) -> PyResult<Bound<'py, PyAny>> {
    let mut options = Options::default();
    let plan = plan
        .map(Plan::parse)
        .transpose()
        .map_err(|error| usage(&error))?;
    if let Some(plan) = &plan {
        plan.apply(&mut options);
    }
    let choice = &mut options.choice;
    // A plan's class does not hold for rungs that are asked for by name.
    choice.class = choice.class.filter(|_| rungs.is_none());
    choice.only = rungs.unwrap_or_else(|| choice.only.clone());
    choice.skip = skip.unwrap_or_else(|| choice.skip.clone());
    if let Some(class) = sharpest {
        choice.class = Some(class.parse::<Class>().map_err(|error| usage(&error))?);
    }
    choice.validate().map_err(|error| usage(&error))?;
    options.buffers = within_range("buffers", buffers.unwrap_or(options.buffers), 64, 1 << 24)?;
    options.laps = within_range("laps", laps.unwrap_or(options.laps), 1, 1000)?;
    options.soak = seconds("soak", soak, 86_400.0)?.unwrap_or(options.soak);
    options.within = seconds("within", within, 604_800.0)?.or(options.within);

    let parsed: Address = address
        .parse()
        .map_err(|error| Failure::from(DeviceError::from(error)))?;
    let about = About {
        hwpool: env!("CARGO_PKG_VERSION").into(),
        kernel,
        started,
        seed: kinds::seed(&parsed),
        plan: plan.and_then(|plan| plan.name),
    };
    let report = py.detach(|| climb(address, &parsed, options, progress.as_ref()))?;
    Ok(pythonize(py, &Report { about, ..report })?)
}

/// Lists the rungs, from the lowest up: number, id, class, title.
#[pyfunction]
pub(crate) fn rungs() -> Vec<(u8, &'static str, &'static str, &'static str)> {
    let all = ladder::rungs().into_iter();
    all.map(|(number, id, class, title)| (number, id, class.word(), title))
        .collect()
}

/// Climbs, and tells `progress` of each rung that was run.
fn climb(
    text: &str,
    address: &Address,
    mut options: Options,
    progress: Option<&Py<PyAny>>,
) -> Result<Report, PyErr> {
    options.look_at(&Tree::running(), address);
    let Attached { transport, choice } = Attached::open(text).map_err(Failure::from)?;
    options.driver = choice;
    options.near = transport.node();
    let mut told = Ok(());
    let each = |step: Progress<'_>| {
        if let (Progress::End(check), true) = (step, told.is_ok()) {
            told = tell(check, progress);
        }
        match told.is_ok() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break("the run was ended before this rung".into()),
        }
    };
    // Rung 14 kills a process that owns the device: that needs the program, so the rung is skipped and says so.
    let report = match transport {
        AnyTransport::Sim(model) => ladder::run(model, &options, None, each),
        AnyTransport::Vfio(function) => ladder::run(function, &options, None, each),
        AnyTransport::User(client) => ladder::run(client, &options, None, each),
    };
    told.map(|()| report)
}

/// Calls what is to hear of a rung; what it raises, and Ctrl-C, end the climb.
fn tell(check: &Check, progress: Option<&Py<PyAny>>) -> PyResult<()> {
    Python::attach(|py| {
        py.check_signals()?;
        if let Some(progress) = progress {
            progress.call1(py, (pythonize(py, check)?,))?;
        }
        Ok(())
    })
}

fn usage(error: &dyn std::error::Error) -> Failure {
    Failure::of(Status::Argument, error)
}

fn within_range(what: &str, value: u32, least: u32, most: u32) -> Result<u32, Failure> {
    match (least..=most).contains(&value) {
        true => Ok(value),
        false => {
            let text = format!("{what} is {value}: {least} to {most} can be");
            Err(Failure::new(Status::Argument, text))
        }
    }
}

fn seconds(what: &str, value: Option<f64>, most: f64) -> Result<Option<Duration>, Failure> {
    match value {
        Some(value) if !(0.01..=most).contains(&value) => {
            let text = format!("{what} is {value}: 0.01 to {most} seconds can be");
            Err(Failure::new(Status::Argument, text))
        }
        value => Ok(value.map(Duration::from_secs_f64)),
    }
}
