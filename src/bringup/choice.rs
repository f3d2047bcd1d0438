//! Which rungs are run: classes of what they do to a device, and names.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// What a rung does to a device, from the mildest up.
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It writes nothing, and reads no register whose read has an effect.
    ReadOnly,
    /// It writes to registers that are there to be written for tests.
    SafeWrite,
    /// It resets the device and forgets what was in its lists.
    #[default]
    Disruptive,
    /// It makes the device do what it should never do, so it is run only when asked for.
    OptIn,
}

impl Class {
    /// Every class, from the mildest up.
    pub const ALL: [Class; 4] = [
        Class::ReadOnly,
        Class::SafeWrite,
        Class::Disruptive,
        Class::OptIn,
    ];

    /// Returns the word that reports and options use.
    pub fn word(self) -> &'static str {
        match self {
            Class::ReadOnly => "read-only",
            Class::SafeWrite => "safe-write",
            Class::Disruptive => "disruptive",
            Class::OptIn => "opt-in",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The text is the name of no class.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no class: known are read-only, safe-write, disruptive, opt-in")]
pub struct NoClass(String);

impl FromStr for Class {
    type Err = NoClass;

    fn from_str(text: &str) -> Result<Class, NoClass> {
        let found = Class::ALL.into_iter().find(|class| class.word() == text);
        found.ok_or_else(|| NoClass(text.into()))
    }
}

/// The rungs that shall be run, by class and by name. A name is an id, such as `portal.unique`, or a rung's number.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Rungs of this class and of milder ones. `None`: those that are named, of whatever class, or where none is, those up
    /// to the default class.
    pub class: Option<Class>,
    /// These alone and those that they need; all of the class where it is empty.
    pub only: Vec<String>,
    /// None of these.
    pub skip: Vec<String>,
}

/// A name that no rung has.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` is no rung: known are {}", known.iter().map(|(number, id)| format!("{number} {id}")).collect::<Vec<_>>().join(", "))]
pub struct NoRung {
    /// The name.
    pub name: String,
    /// Number and id of each rung.
    pub known: Vec<(u8, &'static str)>,
}

/// What the choice has to know of a rung.
#[derive(Debug, Copy, Clone)]
pub(super) struct Named {
    pub(super) number: u8,
    pub(super) id: &'static str,
    pub(super) class: Class,
    pub(super) needs: &'static [&'static str],
}

impl Named {
    fn is(&self, name: &str) -> bool {
        self.id == name || self.number.to_string() == name
    }
}

impl Choice {
    /// Finds a name that none of `rungs` has.
    pub(super) fn check(&self, rungs: &[Named]) -> Result<(), NoRung> {
        let mut names = self.only.iter().chain(&self.skip);
        match names.find(|name| !rungs.iter().any(|rung| rung.is(name))) {
            None => Ok(()),
            Some(name) => Err(NoRung {
                name: name.clone(),
                known: rungs.iter().map(|rung| (rung.number, rung.id)).collect(),
            }),
        }
    }

    /// Returns why a rung is not to be run; `None` where it is.
    pub(super) fn excludes(&self, rung: &Named, rungs: &[Named]) -> Option<String> {
        let (id, class) = (rung.id, rung.class);
        if self.skip.iter().any(|name| rung.is(name)) {
            return Some(format!("not chosen: skip {id}"));
        }
        if !self.only.is_empty() {
            let is_chosen = self.chosen(rungs).contains(&id);
            if !is_chosen {
                return Some(format!(
                    "not chosen: only {}{}",
                    self.only.join(", "),
                    self.elsewhere(rungs)
                ));
            }
        }
        (class > self.sharpest()).then(|| self.too_sharp(rung))
    }

    /// Says which of the names that alone are to be run none of `rungs` has: they are those of another kind of device.
    fn elsewhere(&self, rungs: &[Named]) -> String {
        let lacks = |name: &&String| !rungs.iter().any(|rung| rung.is(name));
        let missing: Vec<_> = self.only.iter().filter(lacks).map(String::as_str).collect();
        match missing.is_empty() {
            true => String::new(),
            false => format!("; this kind of device has no rung {}", missing.join(", ")),
        }
    }

    /// Returns the sharpest class that is run.
    fn sharpest(&self) -> Class {
        let unsaid = match self.only.is_empty() {
            true => Class::default(),
            false => Class::OptIn,
        };
        self.class.unwrap_or(unsaid)
    }

    /// Says that a rung is of too sharp a class, and what would run it.
    fn too_sharp(&self, rung: &Named) -> String {
        let Named { id, class, .. } = rung;
        match self.only.is_empty() {
            true => format!("not chosen: it is {class}; --only {id} runs it"),
            false => format!("not chosen: it is {class}; --class {class} runs it"),
        }
    }

    /// Returns the ids of the named rungs and of those that they rest on.
    fn chosen(&self, rungs: &[Named]) -> Vec<&'static str> {
        let mut chosen: Vec<&'static str> = Vec::new();
        // From the top down: needs stand below.
        for rung in rungs.iter().rev() {
            if chosen.contains(&rung.id) || self.only.iter().any(|name| rung.is(name)) {
                chosen.push(rung.id);
                chosen.extend(rung.needs);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNGS: [Named; 4] = [
        named(1, "low", Class::ReadOnly, &[]),
        named(2, "middle", Class::SafeWrite, &["low"]),
        named(3, "high", Class::Disruptive, &["middle"]),
        named(4, "wild", Class::OptIn, &["high"]),
    ];

    const fn named(
        number: u8,
        id: &'static str,
        class: Class,
        needs: &'static [&'static str],
    ) -> Named {
        Named {
            number,
            id,
            class,
            needs,
        }
    }

    fn chosen(choice: &Choice) -> Vec<&'static str> {
        let is_run = |rung: &&Named| choice.excludes(rung, &RUNGS).is_none();
        RUNGS.iter().filter(is_run).map(|rung| rung.id).collect()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_class_brings_the_milder_ones() {
        assert_eq!(chosen(&Choice::default()), ["low", "middle", "high"]);
        for (class, count) in Class::ALL.into_iter().zip(1..) {
            let choice = Choice {
                class: Some(class),
                ..Choice::default()
            };
            assert_eq!(chosen(&choice).len(), count, "{class}");
            assert_eq!(class.word().parse::<Class>().unwrap(), class);
        }
        assert!("gentle".parse::<Class>().is_err());
    }

    #[test]
    fn a_name_brings_what_it_rests_on_and_needs_no_class() {
        let choice = |only: &[&str], skip: &[&str]| Choice {
            class: None,
            only: names(only),
            skip: names(skip),
        };
        assert_eq!(
            chosen(&choice(&["wild"], &[])),
            ["low", "middle", "high", "wild"]
        );
        assert_eq!(chosen(&choice(&["2"], &[])), ["low", "middle"]);
        assert_eq!(chosen(&choice(&["2"], &["1"])), ["middle"]);
        assert_eq!(chosen(&choice(&[], &["low"])), ["middle", "high"]);
    }

    #[test]
    fn a_name_and_a_class_hold_both() {
        let choice = Choice {
            class: Some(Class::SafeWrite),
            only: names(&["high"]),
            skip: Vec::new(),
        };
        assert_eq!(chosen(&choice), ["low", "middle"]);
        let why = choice.excludes(&RUNGS[2], &RUNGS);
        assert!(why.is_some_and(|why| why.contains("--class disruptive")));
    }

    #[test]
    fn a_rung_of_another_kind_is_told_as_one() {
        let choice = Choice {
            only: names(&["elsewhere"]),
            ..Choice::default()
        };
        let why = choice.excludes(&RUNGS[0], &RUNGS).expect("it is not run");
        assert_eq!(
            why,
            "not chosen: only elsewhere; this kind of device has no rung elsewhere"
        );
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let choice = Choice {
            skip: names(&["hihg"]),
            ..Choice::default()
        };
        let text = choice.check(&RUNGS).unwrap_err().to_string();
        assert!(text.contains("`hihg`") && text.contains("3 high"), "{text}");
        assert!(Choice::default().check(&RUNGS).is_ok());
    }
}
