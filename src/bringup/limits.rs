//! What a board has to reach, held against what rungs saw.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::symptom::{Blame, Symptom, ensure};
use super::{Evidence, Failure, Item};

/// What a board has to reach: limits by rung and by name of its evidence. `seconds` is what the rung took.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Limits(BTreeMap<String, BTreeMap<String, Limit>>);

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    min: Option<f64>,
    max: Option<f64>,
    is: Option<Expected>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Expected {
    Number(u64),
    Text(String),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Number(n) => write!(f, "{n} ({n:#x})"),
            Expected::Text(text) => f.write_str(text),
        }
    }
}

impl Limits {
    /// Returns the names of the rungs that have limits.
    pub(super) fn rungs(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Finds a limit that nothing could fail: its rung, and the name of its evidence.
    pub(super) fn idle(&self) -> Option<(&str, &str)> {
        let is_idle = |limit: &Limit| limit.min.or(limit.max).is_none() && limit.is.is_none();
        let all = (self.0.iter()).flat_map(|(rung, limits)| limits.iter().map(move |l| (rung, l)));
        let mut idle = all.filter(|(_, (_, limit))| is_idle(limit));
        idle.next()
            .map(|(rung, (name, _))| (rung.as_str(), name.as_str()))
    }

    /// Holds what a rung saw against its limits.
    pub(super) fn judge(
        &self,
        rung: &str,
        evidence: &Evidence,
        elapsed: Duration,
    ) -> Result<(), Failure> {
        for (name, limit) in self.0.get(rung).into_iter().flatten() {
            match (evidence.get(name), name.as_str()) {
                (Some(item), _) => limit.judge(name, item)?,
                (None, "seconds") => limit.number(name, elapsed.as_secs_f64())?,
                (None, _) => {
                    let names = evidence.items.iter().map(|seen| seen.name.to_string());
                    let (name, seen) = (name.clone(), names.collect());
                    return Err(PlanSymptom::NotSeen { name, seen }.into());
                }
            }
        }
        Ok(())
    }
}

impl Limit {
    fn judge(&self, name: &str, item: &Item) -> Result<(), Failure> {
        if let Some(expected) = &self.is {
            let same = match (expected, item) {
                (Expected::Number(n), Item::Count(seen) | Item::Hex(seen)) => n == seen,
                (Expected::Text(text), item) => *text == item.to_string(),
                (Expected::Number(_), Item::Number(_) | Item::Text(_)) => false,
            };
            let (name, seen, expected) = (name.into(), item.clone(), expected.clone());
            ensure!(
                same,
                PlanSymptom::Other {
                    name,
                    seen,
                    expected
                }
            );
        }
        match item {
            Item::Count(n) | Item::Hex(n) => self.number(name, *n as f64),
            Item::Number(n) => self.number(name, *n),
            Item::Text(text) => {
                let bounded = self.min.is_some() || self.max.is_some();
                let (name, text) = (name.into(), text.clone());
                ensure!(!bounded, PlanSymptom::NoNumber { name, text });
                Ok(())
            }
        }
    }

    fn number(&self, name: &str, value: f64) -> Result<(), Failure> {
        let min = self.min.unwrap_or(f64::NEG_INFINITY);
        let max = self.max.unwrap_or(f64::INFINITY);
        let (is_enough, is_within) = (value >= min, value <= max);
        let name = name.to_string();
        ensure!(is_enough, PlanSymptom::TooLow { name, value, min });
        ensure!(is_within, PlanSymptom::TooHigh { name, value, max });
        Ok(())
    }
}

/// How a board differs from its plan.
#[derive(Debug, thiserror::Error)]
enum PlanSymptom {
    #[error("the plan limits `{name}`, which the rung did not see; it saw: {}", seen.join(", "))]
    NotSeen { name: String, seen: Vec<String> },
    #[error("{name} is {seen}, and {expected} by the plan")]
    Other {
        name: String,
        seen: Item,
        expected: Expected,
    },
    #[error("{name} is {text}, which is no number as the plan says")]
    NoNumber { name: String, text: String },
    #[error("{name} is {value}, and at least {min} by the plan")]
    TooLow { name: String, value: f64, min: f64 },
    #[error("{name} is {value}, and at most {max} by the plan")]
    TooHigh { name: String, value: f64, max: f64 },
}

impl Symptom for PlanSymptom {
    fn blame(&self) -> Blame {
        match self {
            PlanSymptom::NotSeen { .. } | PlanSymptom::NoNumber { .. } => Blame::Machine(&[
                "the plan is for another board, or for another version of this program: it limits what is not there",
            ]),
            PlanSymptom::Other { .. }
            | PlanSymptom::TooLow { .. }
            | PlanSymptom::TooHigh { .. } => Blame::Device(&[
                "the board is not as its plan says: another slot, firmware or setting",
                "the machine is busy with something else, where the limit is one of time",
            ]),
        }
    }
}
