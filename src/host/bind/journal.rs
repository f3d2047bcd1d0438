//! The journal of a binding: what was there before, and each step, on disk before it is done.
//!
//! A file a binding, `<device>.journal`, of lines of JSON. The first line holds the states before; it comes into being
//! whole, by a rename, also where a binding is widened. A line is added and flushed before each step. The last line of
//! a binding that went well is `{"done":true}`; any other last line, also one that was cut off, is an interruption.
//!
//! A journal tells of each function that its binding needs away from its driver, whoever took it: the last of the
//! bindings that need it gives it back. So what was before stands in each of their journals.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};

use super::error::BindError;
use super::state::{State, Step};
use crate::machine::{Bdf, Tree, flock_holder};

const SCHEMA: &str = "hwpool.journal/1";
/// How often a lock that another process holds is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Where journals are kept.
#[derive(Debug, Clone)]
pub struct Journals {
    directory: PathBuf,
}

/// The right to bind and unbind; one process has it at a time.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, and let go of when dropped")] Flock<File>);

/// What a journal tells.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Record {
    /// The function that was named when it was bound.
    pub device: Bdf,
    /// The states before: of that function, and of those that were bound with it.
    pub before: Vec<State>,
    /// The binding went well, to its end.
    pub is_done: bool,
    /// Steps that were begun.
    pub steps: usize,
}

impl Record {
    /// Tells whether a function has a part in the binding.
    pub(super) fn has(&self, bdf: Bdf) -> bool {
        self.before.iter().any(|state| state.bdf == bdf)
    }
}

/// A journal that is being written.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Nothing may be changed that could not be noted before. On the way back it may: where it leads is on disk
    /// already, and a full disk is no reason to leave a board where it is.
    is_needed: bool,
}

impl Journals {
    /// Keeps journals in `directory`, which is made when the first is written.
    pub fn at(directory: &Path) -> Journals {
        Journals {
            directory: directory.into(),
        }
    }

    /// Takes the right to bind and unbind: a lock on the directory itself, which takes no space on a full disk.
    ///
    /// # Errors
    ///
    /// [`BindError::Busy`] while another process has it.
    pub fn lock(&self) -> Result<Lock, BindError> {
        self.lock_within(Duration::ZERO)
    }

    /// As [`Journals::lock`], and waits so long for another process to let go of it.
    ///
    /// # Errors
    ///
    /// [`BindError::Busy`] where another process has it for longer.
    pub fn lock_within(&self, patience: Duration) -> Result<Lock, BindError> {
        let mut make = fs::DirBuilder::new();
        let made = make.recursive(true).mode(0o700).create(&self.directory);
        made.map_err(|source| self.error(&self.directory, source))?;
        let directory = File::open(&self.directory);
        self.lock_open(
            directory.map_err(|source| self.error(&self.directory, source))?,
            patience,
        )
    }

    /// As [`Journals::lock_within`], but makes nothing: `None` where no journal was ever written. Before the journals
    /// are looked at, as what another process is in the middle of looks like an interruption.
    ///
    /// # Errors
    ///
    /// [`BindError::Busy`], and [`BindError::Unreadable`] for who may not see the journals.
    pub fn lock_if_there(&self, patience: Duration) -> Result<Option<Lock>, BindError> {
        match File::open(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&self.directory, error)),
            Ok(directory) => self.lock_open(directory, patience).map(Some),
        }
    }

    fn lock_open(&self, mut directory: File, patience: Duration) -> Result<Lock, BindError> {
        let began = Instant::now();
        let mut is_told = false;
        loop {
            let errno;
            (directory, errno) = match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Lock(lock)),
                Err(refused) => refused,
            };
            if errno != Errno::EWOULDBLOCK {
                return Err(self.error(&self.directory, errno.into()));
            }
            let is_over = began.elapsed() >= patience;
            if is_over || !is_told {
                let busy = BindError::Busy {
                    path: self.directory.clone(),
                    holder: flock_holder(&Tree::running(), &directory),
                };
                if is_over {
                    return Err(busy);
                }
                tracing::warn!("{busy}; tries for {} s", patience.as_secs());
                is_told = true;
            }
            thread::sleep(PAUSE);
        }
    }

    /// Tells whether a journal was ever written, or is about to be.
    pub fn are_there(&self) -> bool {
        self.directory.exists()
    }

    /// Reads all journals, by the names of their devices.
    ///
    /// # Errors
    ///
    /// [`BindError::Unreadable`], and [`BindError::JournalText`] for a file that is no journal.
    pub fn all(&self) -> Result<Vec<Record>, BindError> {
        let mut paths = self.files()?;
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "journal"));
        paths.sort();
        paths.iter().map(|path| self.read(path)).collect()
    }

    /// Finds the journal in which a function has a part: its own before that of another.
    ///
    /// # Errors
    ///
    /// As [`Journals::all`].
    pub fn of(&self, bdf: Bdf) -> Result<Option<Record>, BindError> {
        let mut records = self.all()?;
        records.retain(|record| record.has(bdf));
        records.sort_by_key(|record| record.device != bdf);
        Ok(records.into_iter().next())
    }

    /// Begins a journal, in the place of the one that there is of this device.
    pub(super) fn create(&self, device: Bdf, before: &[State]) -> Result<Journal, BindError> {
        let path = self.path(device);
        let new = path.with_extension("new");
        let states: Vec<_> = before.iter().map(State::json).collect();
        let line = json!({ "schema": SCHEMA, "device": device.to_string(), "before": states });
        let create = || {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            writeln!(file, "{line}")?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.directory)?.sync_all()?;
            Ok(file)
        };
        let file = create().map_err(|source| self.error(&path, source))?;
        Ok(Journal {
            path,
            file,
            is_needed: true,
        })
    }

    /// Puts the journal of a binding that went well back in its place.
    pub(super) fn restore(&self, device: Bdf, before: &[State]) -> Result<(), BindError> {
        self.create(device, before)?.done()
    }

    /// Goes on with the journal of a device on the way back; `None` where nothing can be added to it.
    pub(super) fn reopen(&self, device: Bdf) -> Option<Journal> {
        let path = self.path(device);
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.inspect_err(|error| unnoted(&path, error)).ok()?;
        let mut journal = Journal {
            file,
            path,
            is_needed: false,
        };
        // Ends a line that was cut off.
        journal.line("").ok()?;
        Some(journal)
    }

    /// Forgets what was before: it is so again.
    pub(super) fn remove(&self, device: Bdf) -> Result<(), BindError> {
        let path = self.path(device);
        fs::remove_file(&path).map_err(|source| BindError::Remains { path, source })
    }

    /// Returns the file for a device.
    pub fn path(&self, device: Bdf) -> PathBuf {
        self.directory.join(format!("{device}.journal"))
    }

    /// Lists what is in the directory. None is there before the first binding; one that can't be read may hold some.
    fn files(&self) -> Result<Vec<PathBuf>, BindError> {
        let unreadable = |source| unreadable(&self.directory, source);
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable));
        paths.collect()
    }

    fn read(&self, path: &Path) -> Result<Record, BindError> {
        let text = fs::read(path).map_err(|source| unreadable(path, source))?;
        parse(&String::from_utf8_lossy(&text))
            .ok_or_else(|| BindError::JournalText { path: path.into() })
    }

    fn error(&self, path: &Path, source: io::Error) -> BindError {
        BindError::Journal {
            path: path.into(),
            source,
        }
    }
}

/// Says that a step back is not written down.
fn unnoted(path: &Path, error: &io::Error) {
    tracing::warn!("{}: goes on without noting it: {error}", path.display());
}

fn unreadable(path: &Path, source: io::Error) -> BindError {
    BindError::Unreadable {
        path: path.into(),
        source,
    }
}

fn parse(text: &str) -> Option<Record> {
    let mut lines = text.lines();
    let first: Value = serde_json::from_str(lines.next()?).ok()?;
    if first["schema"] != SCHEMA {
        return None;
    }
    let before = first["before"].as_array()?.iter().map(State::from_json);
    let rest: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let done = json!({ "done": true }).to_string();
    Some(Record {
        device: first["device"].as_str()?.parse().ok()?,
        before: before.collect::<Option<_>>()?,
        is_done: rest.last().is_some_and(|line| *line == done),
        steps: rest.len(),
    })
}

impl Journal {
    /// Notes a step that will be done next.
    pub(super) fn step(&mut self, step: &Step) -> Result<(), BindError> {
        self.line(&json!({ "step": step.to_string() }).to_string())
    }

    pub(super) fn done(&mut self) -> Result<(), BindError> {
        self.line(&json!({ "done": true }).to_string())
    }

    /// From now on the steps lead back.
    pub(super) fn turn_back(&mut self) {
        self.is_needed = false;
    }

    /// Adds a line by one write, and waits until it is kept.
    fn line(&mut self, text: &str) -> Result<(), BindError> {
        let written = self.file.write_all(format!("{text}\n").as_bytes());
        match written.and_then(|()| self.file.sync_data()) {
            Err(source) if self.is_needed => Err(BindError::Journal {
                path: self.path.clone(),
                source,
            }),
            Err(error) => {
                unnoted(&self.path, &error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = r#"{"schema":"hwpool.journal/1","device":"0000:01:00.0","before":[{"function":"0000:01:00.0","ids":[32902,4347],"driver":"e1000e","driver_override":null,"vfs":0,"owners":[["/dev/vfio/7",5]]}]}"#;

    #[test]
    fn a_journal_says_whether_it_was_finished() {
        let record = parse(&format!("{FIRST}\n")).unwrap();
        assert_eq!((record.is_done, record.steps), (false, 0));
        assert_eq!(record.before[0].driver.as_deref(), Some("e1000e"));
        assert_eq!(record.before[0].owners, [("/dev/vfio/7".to_string(), 5)]);
        let done = format!("{FIRST}\n{{\"step\":\"x\"}}\n{{\"done\":true}}\n");
        assert!(parse(&done).unwrap().is_done);
        let again = format!("{done}{{\"step\":\"y\"}}\n");
        assert!(!parse(&again).unwrap().is_done);
    }

    #[test]
    fn a_line_that_was_cut_off_is_an_interruption() {
        for cut in ["{\"st", "{\"done\":tru", "\n{\"done\":true}\n{\"s"] {
            let record = parse(&format!("{FIRST}\n{{\"step\":\"x\"}}\n{cut}")).unwrap();
            assert!(!record.is_done, "{cut}");
        }
    }

    #[test]
    fn what_is_no_journal_is_not_guessed_at() {
        for bad in [
            "",
            "{}",
            "x",
            &FIRST.replace("/1", "/2"),
            &FIRST.replace(":0,", ":-1,"),
            &FIRST.replace("4347", "65536"),
            &FIRST[..FIRST.len() - 3],
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
