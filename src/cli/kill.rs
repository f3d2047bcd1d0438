//! Rung 14 of bring-up for this program: another process of it drives the device and is killed.

use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hwpool::address::Address;
use hwpool::bringup::{self, Choice, Evidence, Failure, Kill, Options, Status, TRAFFIC_RUNS};
use hwpool::device::AnyTransport;
use hwpool::devices::bus::Transport;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long another process may take to open the device and start.
const START: Duration = Duration::from_secs(60);
/// How long its traffic runs before it is killed.
const TRAFFIC: Duration = Duration::from_millis(200);

/// For a device that another process can open once this one has closed it: `open` opens it again.
pub(super) fn owner<'a, T: Transport>(
    address: &'a str,
    open: impl Fn() -> Result<Arc<T>, Failure> + 'a,
) -> Kill<'a, T> {
    Box::new(move |transport, evidence| {
        drop(transport);
        let killed = kill_traffic(address, evidence);
        match open() {
            Ok(transport) => (Some(transport), killed),
            Err(failure) => (None, killed.and(Err(failure))),
        }
    })
}

/// For a model in this process, which no other can reach: the same model, served by a process of its own.
pub(super) fn owner_of_served<'a, T: Transport>(address: &'a Address) -> Kill<'a, T> {
    Box::new(move |transport, evidence| {
        let result = serve(address).and_then(|served| {
            kill_traffic(&served.address(), evidence)?;
            is_in_order(&served.address())
        });
        (Some(transport), result)
    })
}

/// Has another process climb to the rung of traffic, and kills it there: that rung runs on every device.
fn kill_traffic(address: &str, evidence: &mut Evidence) -> Result<(), Failure> {
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
    evidence.count("killed process", owner.child.id());
    evidence.text("killed by", "SIGKILL");
    owner.child.kill()?;
    owner.child.wait()?;
    Ok(())
}

/// Opens a served model again, and has the rungs of lists and portals pass on it.
fn is_in_order(address: &str) -> Result<(), Failure> {
    let AnyTransport::User(client) = AnyTransport::open(address)? else {
        return Err(Failure::Fail(format!("{address} is no served model")));
    };
    let only = ["lists.stale", "lists.capacity", "portal.unique"];
    let options = Options {
        choice: Choice {
            only: only.map(str::to_string).into(),
            ..Choice::default()
        },
        ..Options::default()
    };
    let report = bringup::run(client, &options, None, |_| ControlFlow::Continue(()));
    let failed = report
        .checks
        .iter()
        .find(|check| check.status == Status::Fail);
    match failed {
        None => Ok(()),
        Some(check) => {
            let message = check.message.as_deref().unwrap_or_default();
            Err(Failure::Fail(format!("{}: {message}", check.id)))
        }
    }
}

/// A model that another process serves, until this is dropped.
struct Served {
    server: Process,
    directory: tempfile::TempDir,
}

fn serve(address: &Address) -> Result<Served, Failure> {
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
        .filter(|(key, _)| key != "mode")
        .map(|(key, value)| format!("--option={key}={value}"))
        .collect();
    arguments.extend(options.iter().map(String::as_str));
    let mut server = Process::start(&arguments)?;
    server.wait_for("serving")?;
    Ok(Served { server, directory })
}

fn socket(directory: &Path) -> String {
    directory.join("model.sock").display().to_string()
}

impl Served {
    fn address(&self) -> String {
        format!("user:{}", socket(self.directory.path()))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It removes its socket; where it does not end, `Process` kills it.
        let pid = Pid::from_raw(self.server.child.id() as i32);
        if kill(pid, Signal::SIGTERM).is_ok() {
            let end = Instant::now() + START;
            let left = || end.saturating_duration_since(Instant::now());
            while self.server.lines.recv_timeout(left()).is_ok() {}
        }
    }
}

/// Another process of this program, killed at the latest when this is dropped, or when this process dies.
struct Process {
    child: Child,
    /// What it prints, on stdout and stderr.
    lines: Receiver<String>,
    /// What it printed that tells why it ended: its lines but for those of logs.
    said: Vec<String>,
}

impl Process {
    fn start(arguments: &[&str]) -> Result<Process, Failure> {
        let program = std::env::current_exe()?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg(format!("--child-of={}", std::process::id()))
            // The terminal's Ctrl-C is for this process, which ends the other.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, lines) = mpsc::channel();
        read_lines(child.stdout.take(), sender.clone());
        read_lines(child.stderr.take(), sender);
        Ok(Process {
            child,
            lines,
            said: Vec::new(),
        })
    }

    /// Waits until it has printed a line with `words`.
    fn wait_for(&mut self, words: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(words) => return Ok(()),
                Ok(line) => self.note(line),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Failure::Fail(format!(
                        "the other process did not say `{words}` within {START:?}"
                    )));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    /// Lets it run, and sees that it does not end by itself.
    fn runs_for(&mut self, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.note(line),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    fn note(&mut self, line: String) {
        const LEVELS: [&str; 5] = ["TRACE ", "DEBUG ", "INFO ", "WARN ", "ERROR "];
        let is_log = |level| line.trim_start().starts_with(level);
        if !LEVELS.iter().any(is_log) {
            self.said.push(line);
        }
    }

    fn ended(&self) -> Failure {
        /// The last lines say why.
        const LINES: usize = 4;
        let last = self.said.len().saturating_sub(LINES);
        let said: Vec<&str> = self.said[last..].iter().map(|line| line.trim()).collect();
        let said = said.join("; ");
        Failure::Fail(format!("the other process ended by itself: {said}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends the lines of a pipe until it is closed.
fn read_lines(pipe: Option<impl Read + Send + 'static>, lines: mpsc::Sender<String>) {
    let Some(pipe) = pipe else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
}
