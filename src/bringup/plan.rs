//! A bring-up as a file: which rungs, how long, and what this board has to reach.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::symptom::{Blame, Symptom, ensure};
use super::{Choice, Class, Evidence, Failure, Item, NoRung, Options, ids};

/// A plan: what may be given by options, and limits. Each field may be left out.
///
/// ```
/// use hwpool::bringup::{Options, Plan};
///
/// let plan = Plan::parse(r#"
///     device = "vfio:0000:01:00.0"
///     skip = ["owner.killed"]
///     soak-seconds = 60
///
///     [limits."pci.function"]
///     link = { is = "Gen3 x8" }
///     [limits."soak.traffic"]
///     "pairs per second" = { min = 5_000_000 }
///     "p99 ns" = { max = 20_000 }
///     seconds = { max = 70 }
/// "#)?;
/// let mut options = Options::default();
/// plan.apply(&mut options);
/// assert_eq!(options.soak.as_secs(), 60);
/// # Ok::<(), hwpool::bringup::PlanError>(())
/// ```
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Plan {
    /// What the board is called in reports; the file's name where it is left out.
    pub name: Option<String>,
    /// Address of the device.
    pub device: Option<String>,
    /// The sharpest class of rungs that are run.
    pub class: Option<Class>,
    /// Rungs that are run, by id or number, with those that they need; all of the class where it is empty.
    pub only: Vec<String>,
    /// Rungs that are not run.
    pub skip: Vec<String>,
    /// See [`Options::buffers`].
    pub buffers: Option<u32>,
    /// See [`Options::laps`].
    pub laps: Option<u32>,
    /// See [`Options::soak`].
    pub soak_seconds: Option<f64>,
    /// What the board has to reach.
    pub limits: Limits,
}

/// Why a text is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It is no TOML, or has a key that no plan has.
    #[error("{0}")]
    Text(#[from] toml::de::Error),
    /// A rung is named that there is not.
    #[error(transparent)]
    Rung(#[from] NoRung),
    /// Limits of a rung that there is not.
    #[error("limits.\"{name}\": no rung has this id; there are {}", ids().join(", "))]
    Limits {
        /// The name.
        name: String,
    },
    /// A limit that nothing could fail.
    #[error("limits.\"{rung}\".\"{evidence}\": give min, max or is")]
    Nothing {
        /// The rung.
        rung: String,
        /// The evidence.
        evidence: String,
    },
    /// A number out of its range.
    #[error("{key} = {value} is out of its range, {range}")]
    Range {
        /// The key.
        key: &'static str,
        /// The value.
        value: f64,
        /// The range.
        range: &'static str,
    },
}

impl Plan {
    /// Reads a plan from TOML.
    ///
    /// # Errors
    ///
    /// With line and column where it is no TOML or has an unknown key; with the known names where a rung is unknown.
    pub fn parse(text: &str) -> Result<Plan, PlanError> {
        let plan: Plan = toml::from_str(text)?;
        plan.choice(Choice::default()).validate()?;
        plan.limits.validate()?;
        in_range(
            "buffers",
            plan.buffers,
            "64 to 16777216",
            64.0..=16_777_216.0,
        )?;
        in_range("laps", plan.laps, "1 to 1000", 1.0..=1000.0)?;
        in_range(
            "soak-seconds",
            plan.soak_seconds,
            "0.01 to 86400",
            0.01..=86_400.0,
        )?;
        Ok(plan)
    }

    /// Puts what the plan says over what there is.
    pub fn apply(&self, options: &mut Options) {
        options.choice = self.choice(options.choice.clone());
        options.buffers = self.buffers.unwrap_or(options.buffers);
        options.laps = self.laps.unwrap_or(options.laps);
        options.soak = self
            .soak_seconds
            .map_or(options.soak, Duration::from_secs_f64);
        options.limits = self.limits.clone();
    }

    fn choice(&self, before: Choice) -> Choice {
        Choice {
            class: self.class.unwrap_or(before.class),
            only: self.only.clone(),
            skip: self.skip.clone(),
        }
    }
}

fn in_range(
    key: &'static str,
    value: Option<impl Into<f64>>,
    range: &'static str,
    bounds: std::ops::RangeInclusive<f64>,
) -> Result<(), PlanError> {
    let value = value.map(Into::into);
    match value.filter(|value| !bounds.contains(value)) {
        None => Ok(()),
        Some(value) => Err(PlanError::Range { key, value, range }),
    }
}

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
    fn validate(&self) -> Result<(), PlanError> {
        for (rung, limits) in &self.0 {
            if !ids().contains(&rung.as_str()) {
                return Err(PlanError::Limits { name: rung.clone() });
            }
            let idle =
                |limit: &Limit| limit.min.is_none() && limit.max.is_none() && limit.is.is_none();
            if let Some((evidence, _)) = limits.iter().find(|(_, limit)| idle(limit)) {
                return Err(PlanError::Nothing {
                    rung: rung.clone(),
                    evidence: evidence.clone(),
                });
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Plan::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let text = refused("class = \"disruptive\"\nskips = []\n");
        assert!(text.contains("line 2") && text.contains("skips"), "{text}");
        assert!(refused("class = \"wild\"").contains("opt-in"));
        assert!(refused("only = [\"portal.uniq\"]").contains("`portal.uniq`"));
        assert!(refused("laps = 0").contains("1 to 1000"));
        assert!(refused("soak-seconds = nan").contains("soak-seconds"));
        assert!(refused("[limits.\"pci.bus\"]\nids = { is = \"x\" }").contains("pci.bus"));
        assert!(refused("[limits.\"pci.function\"]\nids = {}").contains("min, max or is"));
        assert!(refused("[limits.\"pci.function\"]\nids = { most = 1 }").contains("most"));
    }

    #[test]
    fn limits_hold_and_fail() {
        let mut evidence = Evidence::default();
        evidence.count("pairs", 100u32);
        evidence.hex("class", 0x058000u32);
        evidence.text("link", "Gen3 x8");
        let judge = |limit: &str| {
            let plan = Plan::parse(&format!("[limits.\"pci.function\"]\n{limit}"));
            let limits = plan.expect("a plan").limits;
            limits.judge("pci.function", &evidence, Duration::from_millis(1500))
        };
        for good in [
            "pairs = { min = 100, max = 100 }",
            "pairs = { is = 100 }",
            "class = { is = 0x058000 }",
            "class = { is = \"0x58000\" }",
            "link = { is = \"Gen3 x8\" }",
            "seconds = { max = 1.6 }",
        ] {
            assert!(judge(good).is_ok(), "{good}");
        }
        for (bad, says) in [
            ("pairs = { min = 101 }", "at least 101"),
            ("pairs = { max = 99 }", "at most 99"),
            ("link = { is = \"Gen4 x8\" }", "Gen4 x8 by the plan"),
            ("link = { min = 3 }", "no number"),
            ("lanes = { min = 3 }", "it saw: pairs, class, link"),
            ("seconds = { max = 1.4 }", "at most 1.4"),
        ] {
            let Err(Failure::Fail(symptom)) = judge(bad) else {
                panic!("{bad} fails");
            };
            assert!(symptom.to_string().contains(says), "{symptom}");
        }
    }
}
