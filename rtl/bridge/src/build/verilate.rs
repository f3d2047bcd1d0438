//! Verilator's command lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::BuildError;
use super::ports::{Port, ports};
use super::tool::{Verilator, run};
use super::{said, shim};
use crate::design::Sources;

/// What a build is made with, beside the sources.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Options {
    /// Threads of the design.
    pub threads: u32,
    /// It can write waveforms.
    pub traced: bool,
}

/// What Verilator made of a design.
pub(super) struct Verilated {
    /// Its C++ files.
    pub(super) files: Vec<PathBuf>,
    /// Those of Verilator's own that it needs.
    pub(super) runtime_files: Vec<PathBuf>,
    pub(super) ports: Vec<Port>,
    /// What was said.
    pub(super) stderr: String,
}

/// Returns the sources with everything that they include.
pub(super) fn preprocess(verilator: &Verilator, sources: &Sources) -> Result<Vec<u8>, BuildError> {
    let mut command = verilator.command();
    command.arg("-E");
    sources_of(&mut command, sources);
    command.args(&sources.files);
    Ok(ended_well(&mut command)?.0)
}

/// Translates a design to C++ in `folder`.
pub(super) fn verilate(
    verilator: &Verilator,
    sources: &Sources,
    options: Options,
    folder: &Path,
) -> Result<Verilated, BuildError> {
    let file = |path: &Path, result: std::io::Result<()>| {
        result.map_err(|source| BuildError::file(path, source))
    };
    file(folder, fs::create_dir_all(folder))?;
    let mut command = verilator.command();
    // Registers that no reset reaches are what --seed makes of them; lint is the user's own affair.
    command.args([
        "--cc",
        "--prefix",
        "Vdesign",
        "--assert",
        "--no-timing",
        "--x-initial",
        "unique",
        "--x-assign",
        "unique",
        "--timescale",
        "1ns/1ns",
        "-Wno-fatal",
        "-Wno-MULTITOP",
    ]);
    command
        .arg("--threads")
        .arg(options.threads.to_string())
        .arg("--Mdir")
        .arg(folder);
    sources_of(&mut command, sources);
    command.args(&sources.files);
    if options.traced {
        let host = folder.join("hwpool_host.sv");
        file(&host, fs::write(&host, shim::host(&sources.top)))?;
        command.args(["--trace-fst", "--trace-structs"]).arg(&host);
    }
    let (_, stderr) = ended_well(&mut command)?;
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).map_err(|source| BuildError::file(&path, source))
    };
    let include = verilator.include();
    let runtime = runtime_names(&read("Vdesign_classes.mk")?);
    Ok(Verilated {
        files: cpp_files(folder)?,
        runtime_files: runtime
            .iter()
            .map(|name| include.join(name).with_extension("cpp"))
            .collect(),
        ports: ports(&read("Vdesign.h")?),
        stderr,
    })
}

/// What the preprocessor and the translation are told alike.
fn sources_of(command: &mut Command, sources: &Sources) {
    command.arg("--top-module").arg(&sources.top);
    for folder in &sources.include {
        command.arg(format!("-I{}", folder.display()));
    }
    command.args(sources.defines.iter().map(|define| format!("-D{define}")));
    command.args(
        sources
            .parameters
            .iter()
            .map(|parameter| format!("-G{parameter}")),
    );
    command.args(&sources.options);
}

/// Runs Verilator; returns what it wrote to its two outputs.
fn ended_well(command: &mut Command) -> Result<(Vec<u8>, String), BuildError> {
    let output = run(command).map_err(|source| BuildError::NoVerilator {
        tried: format!("it ran before, and does not start any more: {source}"),
    })?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok((output.stdout, stderr)),
        false => Err(BuildError::Verilator(said::failure(&stderr))),
    }
}

fn cpp_files(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let entries = fs::read_dir(folder).map_err(|source| BuildError::file(folder, source))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "cpp"))
        .collect();
    files.sort();
    Ok(files)
}

/// Finds the names in the lists `VM_GLOBAL_FAST` and `VM_GLOBAL_SLOW` of the makefile that Verilator writes.
fn runtime_names(makefile: &str) -> Vec<String> {
    let lists = makefile.split("VM_GLOBAL_").skip(1);
    let names = lists.flat_map(|list| {
        let lines = list.lines().skip(1).map(str::trim);
        lines
            .take_while(|line| line.ends_with('\\'))
            .map(|line| line.trim_end_matches('\\').trim().to_string())
    });
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_verilators_own_are_those_that_its_makefile_lists() {
        let makefile = "VM_SUPPORT_SLOW += \\\n\tVt__Syms \\\n\nVM_GLOBAL_FAST += \\\n\tverilated \\\n\tverilated_threads \\\n\n\
                        # Slow\nVM_GLOBAL_SLOW += \\\n\tverilated_save \\\n\n";
        assert_eq!(
            runtime_names(makefile),
            ["verilated", "verilated_threads", "verilated_save"]
        );
    }
}
