//! Another process of this program, and what it says.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hwpool::bringup::OwnerSymptom;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long another process may take to open the device and start.
const START: Duration = Duration::from_secs(60);

/// Another process of this program, killed at the latest when this is dropped, or when this process dies.
pub(super) struct Process {
    child: Child,
    /// What it prints, on stdout and stderr.
    lines: Receiver<String>,
    /// What it printed that tells why it ended: its lines but for those of logs.
    said: Vec<String>,
}

impl Process {
    pub(super) fn start(arguments: &[&str]) -> Result<Process, OwnerSymptom> {
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

    /// Returns its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without a warning.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Asks it to end, and waits until it has. One that does not is killed when this is dropped.
    pub(super) fn end(&mut self) {
        let pid = Pid::from_raw(self.child.id() as i32);
        if kill(pid, Signal::SIGTERM).is_ok() {
            let end = Instant::now() + START;
            let left = || end.saturating_duration_since(Instant::now());
            while self.lines.recv_timeout(left()).is_ok() {}
        }
    }

    /// Waits until it has printed a line with `words`.
    pub(super) fn wait_for(&mut self, words: &str) -> Result<(), OwnerSymptom> {
        let deadline = Instant::now() + START;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(words) => return Ok(()),
                Ok(line) => self.note(line),
                Err(RecvTimeoutError::Timeout) => {
                    let (words, time) = (words.into(), START);
                    return Err(OwnerSymptom::Silent { words, time });
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    /// Lets it run, and sees that it does not end by itself.
    pub(super) fn runs_for(&mut self, time: Duration) -> Result<(), OwnerSymptom> {
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

    fn ended(&self) -> OwnerSymptom {
        /// The last lines say why.
        const LINES: usize = 4;
        let last = self.said.len().saturating_sub(LINES);
        let said: Vec<&str> = self.said[last..].iter().map(|line| line.trim()).collect();
        let said = said.join("; ");
        OwnerSymptom::Ended { said }
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
