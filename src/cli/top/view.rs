//! What is on the screen: lines, made of the readings, for a width.

use hwpool::metrics::{DeviceState, ListState, PoolState, Traffic};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::history::History;
use crate::cli::figures::{grouped, short};

/// What is shown.
pub(super) struct View<'a> {
    /// What is looked at, as it was named.
    pub(super) source: &'a str,
    pub(super) history: &'a History,
    /// Why there is nothing newer, or what else is worth a line.
    pub(super) note: Option<&'a str>,
    /// Colours are wanted.
    pub(super) colour: bool,
    /// Lines that were scrolled past.
    pub(super) scrolled: u16,
    /// Somebody is there to press keys.
    pub(super) keys: bool,
}

/// From this width on there is room for more columns.
const WIDE: u16 = 110;
/// What stands where there is no number.
const NONE: &str = "-";

/// What a part of the screen is.
#[derive(Debug, Copy, Clone)]
enum Tone {
    Head,
    Plain,
    Pale,
    Good,
    Warn,
    Bad,
}

impl View<'_> {
    /// Draws the view: a line that stays, and what is below it as far as there is room.
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let lines = self.lines(area.width);
        let room = usize::from(area.height.saturating_sub(2));
        let most = lines.len().saturating_sub(room);
        let from = usize::from(self.scrolled).min(most);
        let row = |y| Rect::new(area.x, area.y + y, area.width, 1.min(area.height));
        frame.render_widget(Paragraph::new(self.title(area.width)), row(0));
        if area.height < 3 {
            return;
        }
        let below = most - from;
        let body = Rect::new(area.x, area.y + 1, area.width, area.height - 2);
        let shown: Vec<Line<'_>> = lines.into_iter().skip(from).take(room).collect();
        frame.render_widget(Paragraph::new(shown), body);
        frame.render_widget(Paragraph::new(self.foot(from, below)), row(area.height - 1));
    }

    /// Returns how many lines it has at a width, with those that stay.
    pub(super) fn height(&self, width: u16) -> u16 {
        u16::try_from(self.lines(width).len() + 2).unwrap_or(u16::MAX)
    }

    fn title(&self, width: u16) -> Line<'static> {
        let seconds = self.history.lasted().as_secs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let lasted = format!("{hours}:{minutes:02}:{:02}", seconds % 60);
        let room = usize::from(width).saturating_sub("hwpool top  ".len() + lasted.len() + 1);
        let name = clipped(self.source, room);
        let line = format!("hwpool top  {name:<room$} {lasted}");
        Line::from(self.span(Tone::Head, line))
    }

    fn foot(&self, above: usize, below: usize) -> Line<'static> {
        let keys = if self.keys { "q ends" } else { "" };
        let text = match (above, below, self.keys) {
            (0, 0, _) => keys.to_string(),
            (_, _, true) => format!("{keys}   arrows scroll: {above} lines above, {below} below"),
            _ => String::new(),
        };
        Line::from(self.span(Tone::Pale, text))
    }

    /// Returns everything between the first line and the last.
    fn lines(&self, width: u16) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        let now = self.history.now();
        if let Some(note) = self.note {
            lines.push(Line::default());
            let parts = textwrap::wrap(note, usize::from(width).max(1));
            let parts = parts.into_iter();
            lines.extend(parts.map(|part| Line::from(self.span(Tone::Warn, part.into_owned()))));
        }
        if !now.pools.is_empty() {
            lines.push(Line::default());
            lines.push(self.pool_head(width));
            lines.extend(now.pools.iter().map(|pool| self.pool(pool, width)));
        }
        for device in &now.devices {
            lines.push(Line::default());
            self.device(device, width, &mut lines);
        }
        if now.pools.is_empty() && now.devices.is_empty() {
            lines.push(Line::default());
            lines.push(Line::from("nothing is offered here: no pool, no device"));
        }
        lines
    }

    fn pool_head(&self, width: u16) -> Line<'static> {
        let bar = bar_width(width);
        let mut text = format!(
            "{:<14} {:<bar$} {:>17} {:>7} {:>7} {:>5} {:>7}",
            "POOL", "FREE", "", "TAKES/s", "GIVES/s", "HITS", "BELLS/s"
        );
        if width >= WIDE {
            text += &format!(
                "  {:>10} {:>7} {:>7} {:>7} {:<13}",
                "IN CACHES", "FILLS/s", "SHORT/s", "SHORT", "BACKEND"
            );
        }
        Line::from(self.span(Tone::Head, text))
    }

    fn pool(&self, pool: &PoolState, width: u16) -> Line<'static> {
        let rate = |total: fn(&PoolState) -> u64| number(self.history.of_pool(pool, total));
        let hits = self.history.hits(pool);
        let hits = hits.map_or(NONE.into(), |hits| {
            format!("{:.0}%", (hits * 100.0).floor())
        });
        let bells = match pool.doorbells {
            Some(_) => rate(|pool| pool.doorbells.unwrap_or(0)),
            None => NONE.into(),
        };
        let (word, tone) = match pool {
            PoolState {
                is_poisoned: true, ..
            } => ("poisoned", Tone::Bad),
            PoolState {
                is_closed: true, ..
            } => ("closed", Tone::Pale),
            PoolState { free: 0, .. } => ("empty", Tone::Warn),
            _ => ("", Tone::Good),
        };
        let name = match word {
            "" => clipped(&pool.name, 14),
            _ => format!("{} {word}", clipped(&pool.name, 13 - word.len())),
        };
        let of = format!("{} of {}", grouped(pool.free), grouped(pool.objects));
        let mut spans = vec![self.span(
            if word.is_empty() { Tone::Plain } else { tone },
            format!("{name:<14} "),
        )];
        spans.extend(self.bar(bar_width(width), pool.free, pool.objects, &[], tone));
        let mut rest = format!(
            " {of:>17} {:>7} {:>7} {hits:>5} {bells:>7}",
            rate(|pool| pool.taken),
            rate(|pool| pool.given)
        );
        if width >= WIDE {
            rest += &format!(
                "  {:>10} {:>7} {:>7} {:>7} {:<13}",
                grouped(pool.cached),
                rate(|pool| pool.refills),
                rate(|pool| pool.shortages),
                short(pool.shortages as f64),
                clipped(&pool.backend, 13)
            );
        }
        spans.push(self.span(Tone::Plain, rest));
        Line::from(spans)
    }

    fn device(&self, device: &DeviceState, width: u16, lines: &mut Vec<Line<'static>>) {
        lines.push(self.device_head(device));
        if let Some(fault) = &device.fault {
            lines.push(Line::from(
                self.span(Tone::Bad, format!("  it can't be read: {fault}")),
            ));
        }
        lines.extend(device.lists.iter().map(|list| self.list(list, width)));
        if device.lists.is_empty() && device.fault.is_none() {
            lines.push(Line::from(
                self.span(Tone::Pale, "  no list is in use".into()),
            ));
        }
        lines.extend(self.channels(device));
        lines.extend(self.errors(device));
        if let Some(traffic) = &device.traffic {
            lines.extend(self.traffic(device, traffic, width));
        }
    }

    fn device_head(&self, device: &DeviceState) -> Line<'static> {
        let kind = match device.kind.is_empty() {
            true => String::new(),
            false => format!(" ({})", device.kind),
        };
        let mut spans = vec![self.span(Tone::Head, format!("DEVICE {}{kind}", device.name))];
        let states = device.states.iter().filter(|(_, is_in)| *is_in);
        let mut facts: Vec<String> = states.map(|(state, _)| state.clone()).collect();
        let resets = device
            .resets
            .map(|resets| format!("{} resets", grouped(resets)));
        let pending = device.pending.filter(|pending| *pending > 0);
        let pending = pending.map(|pending| format!("{} interrupts wait", grouped(pending)));
        facts.extend(resets.into_iter().chain(pending));
        spans.push(self.span(Tone::Plain, format!("  {}", facts.join(", "))));
        Line::from(spans)
    }

    fn list(&self, list: &ListState, width: u16) -> Line<'static> {
        let name = format!("  list {}", list.index);
        let Some(available) = list.available else {
            let capacity = grouped(list.capacity);
            let text = format!("{name:<14} holds {capacity} at most, and does not count them");
            return Line::from(self.span(Tone::Plain, text));
        };
        let low = list.low.filter(|low| *low > 0);
        let high = list.high.filter(|high| *high > 0);
        let is_low = low.is_some_and(|low| available < low);
        let (tone, word) = match is_low {
            true => (Tone::Bad, "  LOW"),
            false => (Tone::Good, ""),
        };
        let marks: Vec<u64> = low.into_iter().chain(high).collect();
        let mut spans = vec![self.span(Tone::Plain, format!("{name:<14} "))];
        spans.extend(self.bar(bar_width(width), available, list.capacity, &marks, tone));
        let of = format!("{} of {}", grouped(available), grouped(list.capacity));
        let bound = |name: &str, value: Option<u64>| {
            value.map_or(String::new(), |value| {
                format!("  {name} {}", grouped(value))
            })
        };
        let (low, high) = (bound("low", low), bound("high", high));
        spans.push(self.span(Tone::Plain, format!(" {of:>17}{low}{high}")));
        spans.push(self.span(tone, word.into()));
        Line::from(spans)
    }

    fn channels(&self, device: &DeviceState) -> Vec<Line<'static>> {
        let line = |channel: &hwpool::metrics::ChannelState| {
            let rate = |total| number(self.history.of_channel(device, channel, total));
            let tone = match channel.state.as_str() {
                "running" => Tone::Plain,
                "halted" => Tone::Bad,
                _ => Tone::Warn,
            };
            Line::from(vec![
                self.span(
                    Tone::Plain,
                    format!("  {:<12} ", clipped(&channel.name, 12)),
                ),
                self.span(tone, format!("{:<9}", channel.state)),
                self.span(
                    Tone::Plain,
                    format!(
                        "list {:<3} in {:>7}/s  out {:>7}/s",
                        channel.list,
                        rate(|channel| channel.given),
                        rate(|channel| channel.taken)
                    ),
                ),
            ])
        };
        device.channels.iter().map(line).collect()
    }

    /// Names what went wrong, or says that nothing did.
    fn errors(&self, device: &DeviceState) -> Option<Line<'static>> {
        if device.error_counts.is_empty() && device.error_flags.is_empty() {
            return None;
        }
        let counts = device.error_counts.iter().filter(|(_, count)| *count > 0);
        let counts = counts.map(|(kind, count)| format!("{kind} {}", grouped(*count)));
        let flags = device.error_flags.iter().filter(|(_, is_set)| *is_set);
        let flags = flags.map(|(kind, _)| kind.clone());
        let told: Vec<String> = counts.chain(flags).collect();
        let is_new = self.history.new_errors(device).is_some_and(|new| new > 0);
        let (tone, text) = match told.is_empty() {
            true => (Tone::Pale, "none".into()),
            false if is_new => (Tone::Bad, format!("{}  MORE", told.join(", "))),
            false => (Tone::Bad, told.join(", ")),
        };
        Some(Line::from(vec![
            self.span(Tone::Plain, format!("  {:<12} ", "errors")),
            self.span(tone, text),
        ]))
    }

    /// What crossed the bus of a model.
    fn traffic(&self, device: &DeviceState, traffic: &Traffic, width: u16) -> [Line<'static>; 2] {
        let rate = |total| number(self.history.of_traffic(device, total));
        let sent: u64 = traffic.interrupts.iter().sum();
        let row = |name: &str, parts: [(&str, String); 3]| {
            let parts = parts.map(|(what, figure)| format!("{what} {figure:>7}/s"));
            let text = format!("  {name:<12} {}", parts.join("  "));
            Line::from(self.span(Tone::Plain, text))
        };
        let mut registers = row(
            "registers",
            [
                ("reads", rate(|traffic| traffic.reads)),
                ("writes", rate(|traffic| traffic.writes)),
                ("doorbells", rate(|traffic| traffic.doorbells)),
            ],
        );
        let mut bus = row(
            "bus",
            [
                ("DMA read", rate(|traffic| traffic.dma_read_bytes) + "B"),
                ("written", rate(|traffic| traffic.dma_write_bytes) + "B"),
                (
                    "interrupts",
                    rate(|traffic| traffic.interrupts.iter().sum()),
                ),
            ],
        );
        if width >= WIDE {
            let rung = format!("  {} rung", grouped(traffic.doorbells));
            registers.push_span(self.span(Tone::Pale, rung));
            bus.push_span(self.span(Tone::Pale, format!("  {} sent", grouped(sent))));
        }
        [registers, bus]
    }

    /// Draws how much of `most` there is, with marks at thresholds.
    fn bar(
        &self,
        width: usize,
        value: u64,
        most: u64,
        marks: &[u64],
        tone: Tone,
    ) -> [Span<'static>; 2] {
        let cell = |value: u64| {
            let share = value.min(most) as f64 / most.max(1) as f64;
            (share * width as f64).round() as usize
        };
        // Something is never drawn as nothing, and a gap never as none.
        let full = match (value, cell(value)) {
            (0, _) => 0,
            (value, full) if value < most => full.clamp(1, width - 1),
            _ => width,
        };
        let mark = |at: usize| marks.iter().any(|mark| cell(*mark).min(width - 1) == at);
        let part = |range: std::ops::Range<usize>, sign: char| -> String {
            range.map(|at| if mark(at) { '│' } else { sign }).collect()
        };
        [
            self.span(tone, part(0..full, '█')),
            self.span(Tone::Pale, part(full..width, '·')),
        ]
    }

    fn span(&self, tone: Tone, text: String) -> Span<'static> {
        let style = Style::default();
        let style = match (tone, self.colour) {
            (Tone::Head, _) => style.add_modifier(Modifier::BOLD),
            (Tone::Bad, true) => style.fg(Color::Red).add_modifier(Modifier::BOLD),
            (Tone::Warn, true) => style.fg(Color::Yellow),
            (Tone::Good, true) => style.fg(Color::Green),
            (Tone::Pale, true) => style.add_modifier(Modifier::DIM),
            (Tone::Bad | Tone::Warn, false) => style.add_modifier(Modifier::BOLD),
            _ => style,
        };
        Span::styled(text, style)
    }
}

/// Returns how wide a bar is on a screen.
fn bar_width(width: u16) -> usize {
    match width {
        ..WIDE => 12,
        _ => usize::from(width - WIDE + 24).min(60),
    }
}

/// Writes a rate, where there is one.
fn number(rate: Option<f64>) -> String {
    rate.map_or(NONE.into(), short)
}

/// Cuts a text to so many characters; what is cut shows.
fn clipped(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        false => text.into(),
        true => text
            .chars()
            .take(most.saturating_sub(1))
            .chain(['…'])
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use hwpool::metrics::{ChannelState, Snapshot};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::buffer::Buffer;

    use super::*;
    use crate::cli::top::history::Reading;

    /// A pool that is nearly empty, one that is poisoned, and a device that runs low and has halted.
    fn history() -> History {
        let pool = |name: &str, free, taken| PoolState {
            name: name.into(),
            backend: "bmu".into(),
            objects: 16_384,
            free,
            cached: 96,
            cache: 512,
            taken,
            given: taken - 12,
            backend_takes: taken / 100,
            shortages: 3,
            doorbells: Some(taken / 50),
            ..PoolState::default()
        };
        let device = |given| DeviceState {
            name: "vfio:0000:01:00.0".into(),
            kind: "bmu".into(),
            states: vec![("READY".into(), true), ("QUIESCED".into(), false)],
            resets: Some(12_345),
            pending: Some(2),
            error_counts: vec![("RANGE".into(), given / 1000), ("ALIGN".into(), 0)],
            lists: vec![ListState {
                index: 7,
                capacity: 16_384,
                available: Some(400),
                low: Some(1024),
                high: Some(8192),
            }],
            channels: vec![ChannelState {
                name: "portal 3".into(),
                list: 7,
                state: "halted".into(),
                given,
                taken: given,
            }],
            traffic: Some(Traffic {
                doorbells: given,
                interrupts: vec![1, 2],
                ..Traffic::default()
            }),
            ..DeviceState::default()
        };
        let snapshot = |taken| Snapshot {
            pools: vec![
                pool("rx", 500, taken),
                PoolState {
                    is_poisoned: true,
                    ..pool("a-pool-of-a-very-long-name", 0, taken)
                },
            ],
            devices: vec![device(taken)],
        };
        let start = Instant::now();
        let reading = |at, taken| Reading {
            at,
            snapshot: snapshot(taken),
        };
        let mut history = History::new(reading(start, 1_000_000));
        history.add(reading(start + Duration::from_secs(2), 2_500_000));
        history
    }

    fn view(history: &History, colour: bool) -> View<'_> {
        View {
            source: "unix:rx.sock",
            history,
            note: None,
            colour,
            scrolled: 0,
            keys: true,
        }
    }

    fn drawn(view: &View<'_>, width: u16, height: u16) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| view.draw(frame)).expect("drawn");
        terminal.backend().buffer().clone()
    }

    fn text(buffer: &Buffer) -> Vec<String> {
        let rows = buffer.content().chunks(buffer.area.width.into());
        let rows = rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>());
        rows.map(|row| row.trim_end().to_string()).collect()
    }

    #[test]
    fn a_small_screen_has_it_all() {
        let history = history();
        let lines = text(&drawn(&view(&history, true), 80, 24));
        let expected = [
            "hwpool top  unix:rx.sock                                                 0:00:02",
            "",
            "POOL           FREE                           TAKES/s GIVES/s  HITS BELLS/s",
            "rx             █···········     500 of 16,384    750k    750k   99%   15.0k",
            "a-po… poisoned ············       0 of 16,384    750k    750k   99%   15.0k",
            "",
            "DEVICE vfio:0000:01:00.0 (bmu)  READY, 12,345 resets, 2 interrupts wait",
            "  list 7       █│····│·····     400 of 16,384  low 1,024  high 8,192  LOW",
            "  portal 3     halted   list 7   in    750k/s  out    750k/s",
            "  errors       RANGE 2,500  MORE",
            "  registers    reads       0/s  writes       0/s  doorbells    750k/s",
            "  bus          DMA read      0B/s  written      0B/s  interrupts       0/s",
        ];
        assert_eq!(lines[..expected.len()], expected, "{lines:#?}");
        assert!(lines[12..23].iter().all(String::is_empty));
        assert_eq!(lines[23], "q ends");
    }

    #[test]
    fn a_large_screen_has_more_columns_and_longer_bars() {
        let history = history();
        let lines = text(&drawn(&view(&history, true), 200, 60));
        for part in ["IN CACHES", "SHORT", "BACKEND"] {
            assert!(lines[2].contains(part), "{}", lines[2]);
        }
        assert_eq!(lines[3].matches('·').count(), 58, "{}", lines[3]);
        assert!(
            lines[3].ends_with("      96       0       0       3 bmu"),
            "{}",
            lines[3]
        );
        assert!(lines[10].ends_with("2,500,000 rung"), "{}", lines[10]);
        assert!(lines[11].ends_with("3 sent"), "{}", lines[11]);
    }

    #[test]
    fn without_colours_words_say_it() {
        let history = history();
        for (colour, wanted) in [(false, false), (true, true)] {
            let buffer = drawn(&view(&history, colour), 80, 24);
            let is_coloured =
                |cell: &ratatui::buffer::Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
            assert_eq!(buffer.content().iter().any(is_coloured), wanted);
            let lines = text(&buffer).join("\n");
            for word in ["poisoned", "LOW", "halted", "MORE"] {
                assert!(lines.contains(word), "{word}: {lines}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_scrolled_to_and_no_size_is_too_small() {
        let history = history();
        let mut view = view(&history, true);
        let lines = text(&drawn(&view, 80, 8));
        assert_eq!(lines[7], "q ends   arrows scroll: 0 lines above, 5 below");
        view.scrolled = 500;
        let lines = text(&drawn(&view, 80, 8));
        assert!(lines[6].starts_with("  bus "), "{lines:#?}");
        assert_eq!(lines[7], "q ends   arrows scroll: 5 lines above, 0 below");
        (view.note, view.scrolled) = (
            Some("tried again: the server is busy with another client"),
            0,
        );
        let lines = text(&drawn(&view, 40, 8));
        let note = [
            "",
            "tried again: the server is busy with",
            "another client",
            "",
        ];
        assert_eq!(lines[1..5], note, "{lines:#?}");
        assert!(lines[7].starts_with("q ends"), "{lines:#?}");
        for (width, height) in [(1, 1), (2, 2), (1, 60), (200, 1), (11, 3), (40, 24)] {
            drawn(&view, width, height);
        }
    }

    #[test]
    fn the_first_frame_has_no_rates() {
        let one = History::new(Reading {
            at: Instant::now(),
            snapshot: history().now().clone(),
        });
        let lines = text(&drawn(&view(&one, true), 80, 24));
        assert_eq!(
            lines[3],
            "rx             █···········     500 of 16,384       -       -     -       -"
        );
        assert_eq!(lines[9], "  errors       RANGE 2,500");
    }
}
