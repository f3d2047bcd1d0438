//! The steps of a build, and finding what was built before.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::compile::Compiler;
use super::error::BuildError;
use super::said::{self, Said};
use super::tool::Verilator;
use super::verilate::{self, Options, Verilated};
use super::{cache, shim};
use crate::design::Sources;

/// A design that can be loaded.
#[derive(Debug, Clone)]
pub struct Built {
    /// The library.
    pub library: PathBuf,
    /// It was in the cache.
    pub cached: bool,
    /// What looks like a combinational loop.
    pub loops: Option<Said>,
}

/// Builds a design, or finds it in the cache.
///
/// # Errors
///
/// What is missing, or what Verilator and the compiler refuse.
pub fn build(
    verilator: &Verilator,
    sources: &Sources,
    options: Options,
) -> Result<Built, BuildError> {
    let compiler = Compiler {
        verilator,
        traced: options.traced,
    };
    let text = verilate::preprocess(verilator, sources)?;
    let root = cache::root()?;
    let name = cache::name([
        verilator.version.as_bytes(),
        format!("{sources:?} {options:?}").as_bytes(),
        compiler.options().as_bytes(),
        shim::TEMPLATE.as_bytes(),
        shim::HOST.as_bytes(),
        &text,
    ]);
    let folder = root.join(name);
    let (library, notes) = (folder.join("design.so"), folder.join("loops.txt"));
    let found = |cached| Built {
        library: library.clone(),
        cached,
        loops: said::loops(&fs::read_to_string(&notes).unwrap_or_default()),
    };
    if library.is_file() {
        return Ok(found(true));
    }
    let _alone = alone(&root)?;
    if library.is_file() {
        return Ok(found(true));
    }
    let runtime = root.join(format!(
        "runtime-{}",
        cache::name([verilator.version.as_bytes(), compiler.options().as_bytes()])
    ));
    let made = make(compiler, sources, options, &root, &runtime)?;
    // What is left of it goes with `made`: nothing.
    fs::rename(made.path(), &folder).map_err(|source| BuildError::file(&folder, source))?;
    Ok(found(false))
}

/// Waits until no other build is under way: each takes all processors, and two of the same design should be one. The lock
/// goes with the file.
fn alone(root: &Path) -> Result<File, BuildError> {
    fs::create_dir_all(root).map_err(|source| BuildError::file(root, source))?;
    let path = root.join("lock");
    let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
    lock.map_err(|source| BuildError::file(&path, source))
}

/// Builds in a folder of its own.
fn make(
    compiler: Compiler<'_>,
    sources: &Sources,
    options: Options,
    root: &Path,
    runtime: &Path,
) -> Result<tempfile::TempDir, BuildError> {
    let place = tempfile::Builder::new()
        .prefix("building-")
        .tempdir_in(root);
    let place = place.map_err(|source| BuildError::file(root, source))?;
    let generated = place.path().join("generated");
    let Verilated {
        files,
        runtime_files,
        ports,
        stderr,
    } = verilate::verilate(compiler.verilator, sources, options, &generated)?;
    let write = |path: &Path, text: &str| {
        fs::write(path, text).map_err(|source| BuildError::file(path, source))
    };
    write(&place.path().join("loops.txt"), &stderr)?;
    let shim = generated.join("hwpool_shim.cpp");
    write(&shim, &shim::source(&sources.top, &ports))?;
    fs::create_dir_all(runtime).map_err(|source| BuildError::file(runtime, source))?;
    let mut objects = compiler.objects(&runtime_files, runtime)?;
    let files: Vec<PathBuf> = files.into_iter().chain([shim]).collect();
    objects.extend(compiler.objects(&files, &generated)?);
    compiler.link(&objects, &place.path().join("design.so"))?;
    // Tens of megabytes that nobody reads again.
    fs::remove_dir_all(&generated).map_err(|source| BuildError::file(&generated, source))?;
    Ok(place)
}
