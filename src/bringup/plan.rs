//! A bring-up as a file: which rungs, how long, and what this board has to reach.

use std::time::Duration;

use serde::Deserialize;

use super::limits::Limits;
use super::{Choice, Class, NoRung, Options, ids};

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
    /// See [`Options::within`].
    pub within_seconds: Option<f64>,
    /// What the board has to reach.
    pub limits: Limits,
}

/// Why a text is no plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// It is no TOML, or has a key that no plan has.
    #[error(transparent)]
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
        if let Some(name) = plan.limits.rungs().find(|name| !ids().contains(name)) {
            return Err(PlanError::Limits { name: name.into() });
        }
        if let Some((rung, evidence)) = plan.limits.idle() {
            let (rung, evidence) = (rung.into(), evidence.into());
            return Err(PlanError::Nothing { rung, evidence });
        }
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
        in_range(
            "within-seconds",
            plan.within_seconds,
            "0.01 to 604800",
            0.01..=604_800.0,
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
        let within = self.within_seconds.map(Duration::from_secs_f64);
        options.within = within.or(options.within);
        options.limits = self.limits.clone();
    }

    fn choice(&self, before: Choice) -> Choice {
        Choice {
            class: self.class.or(before.class),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bringup::{Evidence, Failure};

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
