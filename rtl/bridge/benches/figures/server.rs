//! `hwpool-rtl serve` in a process of its own, as users run it.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hwpool::user::Client;
use tempfile::TempDir;

/// A server of the FIFO, killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
}

/// Returns the path of a file, given relative to this crate.
pub(crate) fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

impl Server {
    /// Starts one and waits until it serves. `cache`: where designs that were built are kept, if not at the usual place.
    pub(crate) fn start(cache: Option<&Path>) -> Result<Server, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_hwpool-rtl"));
        command
            .arg("serve")
            .arg(path("../fifo/fifo.toml"))
            .arg("--socket")
            .arg(folder.path().join("socket"))
            .stdout(Stdio::piped());
        if let Some(cache) = cache {
            command.env("XDG_CACHE_HOME", cache);
        }
        let log = folder.path().join("log");
        let mut child = command.stderr(File::create(&log)?).spawn()?;
        let output = child.stdout.take().ok_or("no pipe from the server")?;
        let server = Server { child, folder };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if !line.starts_with("serving ") {
            let said = fs::read_to_string(log)?;
            return Err(format!("hwpool-rtl did not serve the FIFO: {said}").into());
        }
        Ok(server)
    }

    pub(crate) fn socket(&self) -> String {
        self.folder.path().join("socket").display().to_string()
    }

    pub(crate) fn client(&self) -> Result<Client, Box<dyn Error>> {
        Ok(Client::open(
            &self.socket(),
            "figures",
            Duration::from_secs(20),
        )?)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended, which is as good
        let _ = self.child.wait();
    }
}
