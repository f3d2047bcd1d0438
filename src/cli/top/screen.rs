//! The terminal: keys, resizes, and that it is given back as it was, whatever happens.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::history::{History, Reading};
use super::view::View;
use crate::cli::log;
use crate::cli::output::Output;
use crate::cli::signal::Stop;
use crate::cli::source::may_pass;

/// How late a key, a signal or a reading may be noticed.
const LOOK: Duration = Duration::from_millis(50);
/// How long a reading under way is waited for at the end, so that its device is closed in order.
const GRACE: Duration = Duration::from_secs(1);
/// Lines that a page key scrolls.
const PAGE: u16 = 10;

/// Reads in a thread of its own, so that keys are heard while a program that is asked hangs.
pub(super) struct Reader {
    ask: Sender<()>,
    answers: Receiver<anyhow::Result<Reading>>,
}

impl Reader {
    pub(super) fn start<S: Send + 'static>(
        source: S,
        read: impl Fn(&S) -> anyhow::Result<Reading> + Send + 'static,
    ) -> anyhow::Result<Reader> {
        let (ask, asked) = mpsc::channel::<()>();
        let (answer, answers) = mpsc::channel();
        let work = move || {
            for () in asked {
                if answer.send(read(&source)).is_err() {
                    break;
                }
            }
            drop(source);
            drop(answer); // that it is gone says that the source is closed
        };
        let thread = thread::Builder::new().name("reader".into());
        thread.spawn(work).context("no thread to read in")?;
        Ok(Reader { ask, answers })
    }

    /// Waits a little for the source to be closed.
    fn end(self) {
        drop(self.ask);
        let until = Instant::now() + GRACE;
        let left = || until.saturating_duration_since(Instant::now());
        while !matches!(
            self.answers.recv_timeout(left()),
            Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout)
        ) {}
    }
}

/// The terminal as the view has it, until it is dropped. A panic gives it back, too: the hook that `ratatui` sets does.
struct Screen {
    terminal: DefaultTerminal,
    /// What is logged meanwhile is printed behind it.
    _held: log::Held,
}

impl Screen {
    fn take() -> anyhow::Result<Screen> {
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore());
        Ok(Screen {
            terminal: terminal.context(
                "the terminal can't be had for a view: `hwpool top --once` prints one as text",
            )?,
            _held: log::hold(),
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the view until somebody ends it. Where `goes_on`, a reading that fails is shown, and tried again.
pub(super) fn run(
    name: &str,
    history: History,
    reader: Reader,
    interval: Duration,
    goes_on: bool,
    stop: &Stop,
    output: Output,
) -> anyhow::Result<()> {
    let mut screen = Screen::take()?;
    let mut live = Live {
        history,
        note: None,
        scrolled: 0,
        due: Instant::now() + interval,
        is_asked: false,
    };
    let end = live.run(
        &mut screen.terminal,
        name,
        &reader,
        interval,
        goes_on,
        stop,
        output,
    );
    drop(screen);
    reader.end();
    end
}

/// What changes while it is shown.
struct Live {
    history: History,
    note: Option<String>,
    scrolled: u16,
    due: Instant,
    is_asked: bool,
}

impl Live {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, by the function above"
    )]
    fn run(
        &mut self,
        terminal: &mut DefaultTerminal,
        name: &str,
        reader: &Reader,
        interval: Duration,
        goes_on: bool,
        stop: &Stop,
        output: Output,
    ) -> anyhow::Result<()> {
        let mut is_stale = true;
        while !stop.is_wanted() {
            if is_stale {
                let view = View {
                    source: name,
                    history: &self.history,
                    note: self.note.as_deref(),
                    colour: output.is_coloured(),
                    scrolled: self.scrolled,
                    keys: true,
                };
                let drawn = terminal.draw(|frame| view.draw(frame));
                drawn.context("the terminal takes no more")?;
            }
            is_stale = self.look(reader, interval, goes_on)?;
            let left = self.due.saturating_duration_since(Instant::now());
            let wait = if self.is_asked { LOOK } else { LOOK.min(left) };
            if event::poll(wait).context("the terminal tells no keys")? {
                match event::read().context("the terminal tells no keys")? {
                    Event::Key(key) if is_end(&key) => return Ok(()),
                    Event::Key(key) => self.scroll(&key),
                    _ => {}
                }
                is_stale = true; // a resize as well
            }
        }
        Ok(())
    }

    /// Asks for a reading when it is time, and takes over one that came; tells whether there is something new.
    fn look(&mut self, reader: &Reader, interval: Duration, goes_on: bool) -> anyhow::Result<bool> {
        let now = Instant::now();
        if !self.is_asked && now >= self.due {
            self.is_asked = true;
            self.due = now.max(self.due + interval);
            let _ = reader.ask.send(()); // a reader that is gone is told of below
        }
        match reader.answers.try_recv() {
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => bail!("what reads the numbers has failed"),
            Ok(Ok(reading)) => {
                self.history.add(reading);
                self.note = None;
            }
            Ok(Err(error)) if goes_on && may_pass(&error) => {
                self.note = Some(format!("tried again: {error:#}"));
            }
            Ok(Err(error)) => return Err(error),
        }
        self.is_asked = false;
        Ok(true)
    }

    fn scroll(&mut self, key: &KeyEvent) {
        self.scrolled = match key.code {
            KeyCode::Up | KeyCode::Char('k') => self.scrolled.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scrolled.saturating_add(1),
            KeyCode::PageUp => self.scrolled.saturating_sub(PAGE),
            KeyCode::PageDown => self.scrolled.saturating_add(PAGE),
            KeyCode::Home => 0,
            _ => self.scrolled,
        };
    }
}

fn is_end(key: &KeyEvent) -> bool {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release
        && match key.code {
            KeyCode::Char('q') | KeyCode::Esc => true,
            KeyCode::Char('c') => is_control,
            _ => false,
        }
}
