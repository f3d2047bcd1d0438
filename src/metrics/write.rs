//! Writes a snapshot as OpenMetrics 1.0 text.

use std::fmt::Write;

use super::families::{self, Family, Head, Kind, PREFIX, own};
use super::snapshot::{ChannelState, DeviceState, PoolState, Snapshot};

/// The media type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Snapshot {
    /// Returns the snapshot as OpenMetrics text. Where pools or devices have the same name, the second is `NAME#2`, for no
    /// two samples may have the same labels.
    pub fn openmetrics(&self) -> String {
        let Snapshot { pools, devices } = self.clone().distinct();
        let mut text = Text(String::new());
        text.pools(&pools);
        text.devices(&devices);
        text.0 += "# EOF\n";
        text.0
    }
}

/// The text as far as it is written.
struct Text(String);

impl Text {
    fn pools(&mut self, pools: &[PoolState]) {
        let labels = |pool: &PoolState| owned([("pool", &pool.name), ("backend", &pool.backend)]);
        let rows: Vec<_> = pools.iter().map(|pool| (labels(pool), pool)).collect();
        self.families(families::POOL, &rows);
        if !self.begin(&own::POOL_STATE, !pools.is_empty()) {
            return;
        }
        for (labels, pool) in &rows {
            let is_open = !pool.is_closed && !pool.is_poisoned;
            for (state, is_in) in [
                ("open", is_open),
                ("closed", pool.is_closed),
                ("poisoned", pool.is_poisoned),
            ] {
                self.state(&own::POOL_STATE, labels, state, is_in);
            }
        }
    }

    fn devices(&mut self, devices: &[DeviceState]) {
        let of = |device: &DeviceState| owned([("device", &device.name)]);
        let rows: Vec<_> = devices.iter().map(|device| (of(device), device)).collect();
        self.about(&rows);
        self.families(families::DEVICE, &rows);
        self.errors(&rows);
        let lists = rows.iter().flat_map(|(labels, device)| {
            let list = |index: u64| with(labels, "list", &index.to_string());
            (device.lists.iter()).map(move |state| (list(state.index), state))
        });
        self.families(families::LIST, &lists.collect::<Vec<_>>());
        let channels = rows.iter().flat_map(|(labels, device)| {
            let of = |channel: &ChannelState| {
                let named = with(labels, "channel", &channel.name);
                with(&named, "list", &channel.list.to_string())
            };
            (device.channels.iter()).map(move |channel| (of(channel), channel))
        });
        let channels: Vec<_> = channels.collect();
        self.families(families::CHANNEL, &channels);
        self.begin(&own::CHANNEL_STATE, !channels.is_empty());
        for (labels, channel) in &channels {
            self.state(&own::CHANNEL_STATE, labels, &channel.state, true);
        }
        self.traffic(&rows);
    }

    /// Says what devices are, and in which state.
    fn about(&mut self, rows: &[(Labels, &DeviceState)]) {
        self.begin(&own::DEVICE, !rows.is_empty());
        for (labels, device) in rows {
            self.sample(&own::DEVICE, &with(labels, "kind", &device.kind), 1);
        }
        let is_any = rows.iter().any(|(_, device)| device.fault.is_some());
        self.begin(&own::FAULT, is_any);
        for (labels, device) in rows {
            if let Some(fault) = &device.fault {
                self.sample(&own::FAULT, &with(labels, "fault", fault), 1);
            }
        }
        self.states(&own::DEVICE_STATE, rows, |device| &device.states);
    }

    fn errors(&mut self, rows: &[(Labels, &DeviceState)]) {
        let is_any = rows
            .iter()
            .any(|(_, device)| !device.error_counts.is_empty());
        self.begin(&own::ERRORS, is_any);
        for (labels, device) in rows {
            for (kind, count) in &device.error_counts {
                self.sample(&own::ERRORS, &with(labels, "kind", kind), *count);
            }
        }
        self.states(&own::ERROR_FLAG, rows, |device| &device.error_flags);
    }

    fn traffic(&mut self, rows: &[(Labels, &DeviceState)]) {
        let rows = rows.iter();
        let models =
            rows.filter_map(|(labels, device)| Some((labels.clone(), device.traffic.as_ref()?)));
        let models: Vec<_> = models.collect();
        self.families(families::TRAFFIC, &models);
        let is_any = models
            .iter()
            .any(|(_, traffic)| !traffic.interrupts.is_empty());
        self.begin(&own::INTERRUPTS, is_any);
        for (labels, traffic) in &models {
            for (vector, count) in traffic.interrupts.iter().enumerate() {
                self.sample(
                    &own::INTERRUPTS,
                    &with(labels, "vector", &vector.to_string()),
                    *count,
                );
            }
        }
    }

    /// Writes the families of a table, each with the samples of all; none where nobody has the number.
    fn families<S>(&mut self, table: &[Family<S>], rows: &[(Labels, &S)]) {
        for family in table {
            let samples = rows.iter();
            let samples = samples.filter_map(|(labels, of)| Some((labels, (family.get)(of)?)));
            let samples: Vec<_> = samples.collect();
            self.begin(&family.head, !samples.is_empty());
            for (labels, value) in samples {
                self.sample(&family.head, labels, value);
            }
        }
    }

    fn states(
        &mut self,
        head: &Head,
        rows: &[(Labels, &DeviceState)],
        states: impl Fn(&DeviceState) -> &[(String, bool)],
    ) {
        self.begin(
            head,
            rows.iter().any(|(_, device)| !states(device).is_empty()),
        );
        for (labels, device) in rows {
            for (state, is_in) in states(device) {
                self.state(head, labels, state, *is_in);
            }
        }
    }

    /// Writes what is said of a family, if it has samples; tells whether it has.
    fn begin(&mut self, head: &Head, has_samples: bool) -> bool {
        if has_samples {
            let (name, kind) = (head.name, head.kind.word());
            self.line(format_args!("# TYPE {PREFIX}{name} {kind}"));
            if !head.unit.is_empty() {
                self.line(format_args!("# UNIT {PREFIX}{name} {}", head.unit));
            }
            self.line(format_args!("# HELP {PREFIX}{name} {}", escaped(head.help)));
        }
        has_samples
    }

    /// Writes one state of a set: the label has the name of the family.
    fn state(&mut self, head: &Head, labels: &Labels, state: &str, is_in: bool) {
        debug_assert_eq!(head.kind, Kind::StateSet);
        let label = format!("{PREFIX}{}", head.name);
        self.sample(head, &with(labels, &label, state), is_in.into());
    }

    fn sample(&mut self, head: &Head, labels: &Labels, value: u64) {
        let pairs = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let pairs: Vec<String> = pairs.collect();
        let (name, suffix, pairs) = (head.name, head.kind.suffix(), pairs.join(","));
        self.line(format_args!("{PREFIX}{name}{suffix}{{{pairs}}} {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{line}"); // into a String: it can't fail
    }
}

/// The labels of a sample.
type Labels = Vec<(String, String)>;

fn owned<const N: usize>(labels: [(&str, &String); N]) -> Labels {
    labels
        .map(|(name, value)| (name.into(), value.clone()))
        .into()
}

fn with(labels: &Labels, name: &str, value: &str) -> Labels {
    let mut labels = labels.clone();
    labels.push((name.into(), value.into()));
    labels
}

/// Escapes what stands between quotes (OpenMetrics 1.0, "Escaping").
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
