//! `hwpool-rtl`: serves a design, or checks whether it can be.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use hwpool::user::server::Server;
use hwpool_rtl::design::{self, Design};
use hwpool_rtl::{Opened, Run, open_built, prepare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Serves Verilated designs with AXI ports as PCI functions, behind a vfio-user socket
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Builds a design and serves it until Ctrl-C
    Serve(Serve),
    /// Builds a design, resets it, and shows what became of its ports
    Check {
        /// The design's file
        design: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Serve {
    /// The design's file
    design: PathBuf,
    /// The socket
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// Seed of back-pressure and of registers that no reset sets; without one there is no back-pressure, and they are 0
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Write a waveform
    #[arg(long, value_name = "FILE.fst")]
    trace: Option<PathBuf>,
    /// Threads of the design
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .init();
    let done = match Arguments::parse().verb {
        Verb::Serve(serve) => run_server(&serve),
        Verb::Check { design } => check(&design),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal says stop, or the design breaks a rule.
fn run_server(args: &Serve) -> anyhow::Result<()> {
    let design = design::read(&args.design)?;
    let run = Run {
        seed: args.seed,
        trace: args.trace.as_deref(),
        threads: args.threads,
    };
    let opened = open_beside(&args.design, &design, run)?;
    tell_loops(&opened);
    allow_many_descriptors();
    let server = Server::bind(&args.socket)?;
    let stop = server.stop_handle();
    opened.monitor.stops(stop.clone());
    ctrlc::set_handler(move || stop.stop()).context("can't catch Ctrl-C")?;
    println!(
        "serving {} at user:{}",
        design.sources.top,
        args.socket.display()
    );
    let Opened {
        mut function,
        monitor,
        ..
    } = opened;
    server.run(&mut function)?;
    // The design goes here, and closes its waveform.
    drop(function);
    monitor.fault().map_or(Ok(()), |fault| Err(fault.into()))
}

/// Opens a design in the folder of its file: what `$readmemh` and its like name is read when a design starts, and lies there.
fn open_beside(file: &Path, design: &Design, run: Run<'_>) -> anyhow::Result<Opened> {
    let built = prepare(design, run)?;
    let trace = run.trace.map(std::path::absolute).transpose()?;
    let home = std::env::current_dir().context("can't tell where this runs")?;
    let beside = file.parent().filter(|folder| *folder != Path::new(""));
    work_in(beside.unwrap_or(&home))?;
    let run = Run {
        trace: trace.as_deref(),
        ..run
    };
    let opened = open_built(design, &built, run);
    work_in(&home)?;
    Ok(opened?)
}

fn work_in(folder: &Path) -> anyhow::Result<()> {
    std::env::set_current_dir(folder).with_context(|| format!("can't work in {}", folder.display()))
}

/// Shows what a design's file comes to.
fn check(path: &Path) -> anyhow::Result<()> {
    let design = design::read(path)?;
    let opened = open_beside(path, &design, Run::default())?;
    tell_loops(&opened);
    let how = if opened.cached {
        "built before"
    } else {
        "built"
    };
    println!("{}: {how}, and out of reset", design.sources.top);
    print!("{}", function_text(&design));
    let free = undriven(&design, &opened);
    if !free.is_empty() {
        println!(
            "inputs that nothing drives, which are 0: {}",
            free.join(", ")
        );
    }
    Ok(())
}

fn function_text(design: &Design) -> String {
    let pci = &design.pci;
    let mut text = format!(
        "PCI function {:04x}:{:04x}, class {:06x}\n",
        pci.vendor, pci.device, pci.class
    );
    for bar in &design.bars {
        text += &format!(
            "  BAR {}  {:>9} bytes  AXI4-Lite slave {}\n",
            bar.bar, bar.size, bar.port.name
        );
    }
    if pci.vectors > 0 {
        text += &format!(
            "  BAR {}       8192 bytes  MSI-X table, vectors: {}\n",
            pci.msix_bar, pci.vectors
        );
    }
    for dma in &design.dma {
        text += &format!("  DMA    AXI4 master {}\n", dma.port.name);
    }
    for line in &design.interrupts {
        text += &format!(
            "  vector {}  {} ({})\n",
            line.vector, line.port.name, line.is
        );
    }
    text
}

/// Returns inputs that no part of the file names.
fn undriven(design: &Design, opened: &Opened) -> Vec<String> {
    let mut named = vec![design.clock.name.as_str(), &design.reset.port.name];
    named.extend(design.flr.iter().map(|flr| flr.port.name.as_str()));
    named.extend(design.ties.iter().map(|(name, _)| name.name.as_str()));
    named.extend(
        design
            .interrupts
            .iter()
            .filter_map(|line| Some(line.acknowledge.as_ref()?.name.as_str())),
    );
    let bars = design.bars.iter().map(|bar| &bar.port.name);
    let ports: Vec<String> = bars
        .chain(design.dma.iter().map(|dma| &dma.port.name))
        .map(|name| name.to_lowercase())
        .collect();
    let is_free = |name: &str| {
        !named.contains(&name)
            && !ports
                .iter()
                .any(|port| name.to_lowercase().starts_with(port))
    };
    let inputs = opened
        .ports
        .iter()
        .filter(|port| port.is_input && is_free(&port.name));
    inputs.map(|port| port.name.clone()).collect()
}

fn tell_loops(opened: &Opened) {
    if let Some(loops) = &opened.loops {
        eprintln!("warning: {}\n{}", loops.what, loops.lines);
    }
}

/// Allows as many descriptors as the system lets us: each mapping of a client's memory holds one.
fn allow_many_descriptors() {
    let raise = || {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most)
    };
    if let Err(error) = raise() {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
}
