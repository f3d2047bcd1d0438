//! What a description says, in sentences.

use hwpool::devices::description::{
    Bits, Clear, Depth, Description, Empty, Fill, Interrupt, Meaning, Order, Passage, Pop, Port,
    Room, Set, Sharing, Test, When, Write,
};
use hwpool::devices::reg::{Access, Field};

/// Returns what a description says, each with what it is about, in the order in which somebody asks.
pub(super) fn sentences(description: &Description) -> Vec<(&'static str, String)> {
    let words = Words(description);
    let mut said = vec![
        ("pop", words.pop()),
        ("empty", words.empty()),
        ("push", words.push()),
        ("full", words.full()),
        ("value", words.value()),
        ("depth", words.depth()),
        ("fill", words.fill()),
        ("order", words.order().into()),
        ("reset", words.reset()),
        ("interrupt", words.interrupt()),
        ("identity", words.identity()),
        ("never", words.never()),
    ];
    let others = [
        ("enable", words.enable()),
        ("copies", words.copies()),
        ("scratch", words.scratch()),
    ];
    said.extend(
        others
            .into_iter()
            .filter_map(|(about, text)| Some((about, text?))),
    );
    said
}

/// Returns what a rung looks at on such a device, where that is known of it; an error says why the rung is left out.
pub(super) fn checked(
    description: &Description,
    rung: &str,
) -> Result<Option<String>, &'static str> {
    let words = Words(description);
    match rung {
        "regs.identity" => Ok(Some(words.identity())),
        "regs.scratch" => match description.scratch {
            None => Err("the device has no scratch register"),
            Some(register) => Ok(Some(format!(
                "{} keeps each pattern that is written.",
                words.name(register)
            ))),
        },
        "reset.verified" => Ok(Some(words.reset())),
        "lists.stale" => Ok(Some(words.fresh())),
        "lists.single" => Ok(Some(format!("{} {}", words.push(), words.pop()))),
        "lists.capacity" => Ok(Some(words.capacity())),
        "irq.vectors" => match &description.interrupt {
            Some(Interrupt {
                raise: Some(bits),
                vector,
                ..
            }) => Ok(Some(format!(
                "A 1 in {} raises vector {vector}.",
                words.bits(*bits)
            ))),
            _ => Err("the device can't be told to interrupt"),
        },
        "lists.exhaustion" => match (&description.interrupt, description.depth) {
            (None, _) => Err("the device has no interrupt"),
            (_, Depth::Fixed(..4)) => Err("the list has no room for a threshold"),
            _ => Ok(Some(words.interrupt())),
        },
        _ => Ok(None),
    }
}

struct Words<'d>(&'d Description);

impl Words<'_> {
    fn name(&self, register: usize) -> &str {
        &self.0.row(register).name
    }

    /// Names bits as a description does: the register, a field of it, or a run.
    fn bits(&self, bits: Bits) -> String {
        let row = self.0.row(bits.register);
        let is_it = |field: &&Field| (field.low, field.high) == (bits.low, bits.high);
        match row.fields.iter().find(is_it) {
            _ if bits.mask() == row.bits => row.name.to_string(),
            Some(field) => format!("{}.{}", row.name, field.name),
            None if bits.low == bits.high => format!("{}.{}", row.name, bits.low),
            None => format!("{}.{}:{}", row.name, bits.high, bits.low),
        }
    }

    fn test(&self, test: Test) -> String {
        format!("{} is {}", self.bits(test.bits), number(test.is))
    }

    fn set(&self, set: &Set) -> String {
        format!("{} = {}", self.bits(set.bits), number(set.to))
    }

    fn written(&self, write: &Write) -> String {
        format!("{} to {}", number(write.value), self.name(write.register))
    }

    fn port(&self, port: Port) -> String {
        let Port::Halves { low, high } = port else {
            let mut registers = port.registers();
            return registers.next().map_or("", |at| self.name(at)).into();
        };
        let (first, last) = match self.0.passage {
            Passage::HighFirst => (high, low),
            Passage::LowFirst | Passage::Whole => (low, high),
        };
        format!("{} and then {}", self.name(first), self.name(last))
    }

    fn pop(&self) -> String {
        match &self.0.pop {
            Pop::Read { from } => format!("A read of {} takes a value.", self.port(*from)),
            Pop::Acknowledge { from, then } => format!(
                "A read of {} only looks at the next value; a write of {} takes it.",
                self.port(*from),
                self.written(then)
            ),
            Pop::LengthFirst {
                length,
                expect,
                from,
            } => format!(
                "{} is read first and must be {}; then a read of {} takes a value.",
                self.bits(*length),
                number(*expect),
                self.port(*from)
            ),
        }
    }

    fn push(&self) -> String {
        let to = self.port(self.0.push.to);
        match &self.0.push.then {
            None => format!("A write to {to} gives a value."),
            Some(then) => format!(
                "A write to {to} and then one of {} give a value.",
                self.written(then)
            ),
        }
    }

    fn empty(&self) -> String {
        let shown = match self.0.empty {
            Empty::Value(value) => format!("when a pop reads {}", number(value)),
            Empty::Mark(test) => format!("when {} in what was popped", self.test(test)),
            Empty::Flag(test) => {
                format!("while {}, which is read before each pop", self.test(test))
            }
            Empty::Level => format!("while {} is 0, which is read before each pop", self.level()),
            Empty::BusError => {
                "when a pop is answered with a bus error, which may reach the host as all ones"
                    .into()
            }
        };
        format!("There is no value {shown}.")
    }

    fn full(&self) -> String {
        let full = &self.0.full;
        let shown = match full.shown {
            Room::Counted => {
                "Nothing shows that no more fits: the driver counts up to the depth.".into()
            }
            Room::Flag(test) => format!("No more fits while {}.", self.test(test)),
            Room::Vacancy(bits) => format!("No more fits while {} is 0.", self.bits(bits)),
            Room::Level => {
                format!("No more fits while {} is {}.", self.level(), self.most())
            }
        };
        let harm = match (full.look, full.sticky) {
            (true, _) => {
                "A push into a full list does harm: the driver looks before each one.".into()
            }
            (false, None) => "A push into a full list is dropped silently.".into(),
            (false, Some(test)) => format!(
                "A push into a full list is dropped, and {} until a 1 is written there.",
                self.test(test)
            ),
        };
        format!("{shown} {harm}")
    }

    fn level(&self) -> String {
        self.0
            .level
            .map_or("the level".into(), |bits| self.bits(bits))
    }

    /// Says how many values a list holds, within a sentence.
    fn most(&self) -> String {
        match self.0.depth {
            Depth::Fixed(depth) => depth.to_string(),
            Depth::Register(bits) => format!("what {} says", self.bits(bits)),
        }
    }

    fn value(&self) -> String {
        let value = self.0.value;
        let bits = match (value.low, value.high) {
            (0, high) if high + 1 == self.0.width() => "all bits".into(),
            (low, high) if low == high => format!("bit {low}"),
            (low, high) => format!("bits {high}:{low}"),
        };
        match (value.is, self.0.depth) {
            (Meaning::Index { first }, Depth::Fixed(depth)) => format!(
                "A value is the number of an object, {first} to {}, in {bits} of what is popped.",
                u64::from(first) + u64::from(depth) - 1
            ),
            (Meaning::Index { first }, Depth::Register(_)) => format!(
                "A value is the number of an object, from {first} on, in {bits} of what is popped."
            ),
            (Meaning::Address { shift: 0 }, _) => {
                format!("A value is the address of an object, in {bits} of what is popped.")
            }
            (Meaning::Address { shift }, _) => format!(
                "A value is the address of an object without its {shift} low bits, in {bits} of what is popped."
            ),
        }
    }

    fn depth(&self) -> String {
        let level = match self.0.level {
            Some(bits) => format!("{} counts those in it.", self.bits(bits)),
            None => "The device does not tell how many are in it.".into(),
        };
        match self.0.depth {
            Depth::Fixed(depth) => format!("A list holds {depth} values. {level}"),
            Depth::Register(bits) => {
                format!(
                    "{} says how many values a list holds. {level}",
                    self.bits(bits)
                )
            }
        }
    }

    fn fill(&self) -> String {
        match self.0.fill {
            Fill::Software if self.0.reset.keeps_entries => {
                "Software puts the values in; a reset leaves those that are there.".into()
            }
            Fill::Software => {
                "After a reset the list is empty: software puts the values in.".into()
            }
            Fill::Reset => "A reset fills the list: each number is in it, once.".into(),
        }
    }

    fn order(&self) -> &'static str {
        match self.0.order {
            Order::Fifo => "The oldest value leaves first.",
            Order::Lifo => "The newest value leaves first.",
            Order::Any => "Values leave in any order.",
        }
    }

    fn reset(&self) -> String {
        let reset = &self.0.reset;
        let writes: Vec<String> = reset
            .writes
            .iter()
            .map(|write| self.written(write))
            .collect();
        let does = match (writes.is_empty(), reset.flr) {
            (true, false) => {
                return "Nothing resets the device: the driver pops what is left in a list.".into();
            }
            (true, true) => "A function level reset resets the device".into(),
            (false, flr) => format!(
                "A write of {} resets the device{}",
                writes.join(", and of "),
                if flr {
                    ", a function level reset too"
                } else {
                    ""
                }
            ),
        };
        let over = match reset.until {
            None => "it is over at once".to_string(),
            Some(test) => format!(
                "it is over when {}, within {} ms",
                self.test(test),
                reset.within.as_millis()
            ),
        };
        let kept = match reset.keeps_entries {
            true => " The values outlive it: the driver pops what is left.",
            false => "",
        };
        let counted = (reset.count).map_or(String::new(), |bits| {
            format!(" {} counts resets.", self.bits(bits))
        });
        format!("{does}; {over}.{kept}{counted}")
    }

    fn interrupt(&self) -> String {
        let Some(irq) = &self.0.interrupt else {
            return "There is none: nobody waits for one.".into();
        };
        let threshold = irq.threshold.map_or(String::new(), |bits| self.bits(bits));
        let when = match irq.when {
            When::Below => format!("the level falls below {threshold}"),
            When::Above => format!("the level rises above {threshold}"),
            When::Filled => "the list had no value and gets one".into(),
            When::Emptied => "the last value is taken".into(),
        };
        let enabled =
            (irq.enable.as_ref()).map_or(String::new(), |set| format!(", with {}", self.set(set)));
        format!(
            "Vector {} comes when {when}{enabled}.{}",
            irq.vector,
            self.pending(irq)
        )
    }

    fn pending(&self, irq: &Interrupt) -> String {
        let Some(bits) = irq.pending else {
            return String::new();
        };
        let cleared = match irq.clear {
            Clear::WriteOne => "a write of ones clears it",
            Clear::WriteZero => "a write of zeros clears it",
            Clear::Read => "a read clears it",
            Clear::Itself => "it clears by itself",
        };
        format!(" {} says so; {cleared}.", self.bits(bits))
    }

    fn identity(&self) -> String {
        let alive = self.name(self.0.alive);
        match self.0.identity {
            Some((register, value)) => {
                format!("{} always reads {value:#x}.", self.name(register))
            }
            None => format!(
                "Nothing identifies the device: it is named by ?driver=. {alive} never reads all ones while it is there."
            ),
        }
    }

    fn never(&self) -> String {
        let never: Vec<&str> = self.0.never.iter().map(|at| self.name(*at)).collect();
        let takes = (self.0.registers.iter()).filter(|row| row.access.reads_take());
        let takes: Vec<&str> = takes.map(|row| &*row.name).collect();
        let writes = |access| matches!(access, Access::WriteOnly);
        let written = (self.0.registers.iter()).filter(|row| writes(row.access));
        let written: Vec<&str> = written.map(|row| &*row.name).collect();
        let mut said = match never.is_empty() {
            true => "No register is left alone but for what it does.".to_string(),
            false => format!(
                "Nothing but what is said here touches {}.",
                never.join(", ")
            ),
        };
        if !takes.is_empty() {
            said += &format!(
                " No dump reads {}, whose reads take something.",
                takes.join(", ")
            );
        }
        if !written.is_empty() {
            said += &format!(
                " None reads {}, which can only be written.",
                written.join(", ")
            );
        }
        said
    }

    fn enable(&self) -> Option<String> {
        let sets: Vec<String> = self.0.enable.iter().map(|set| self.set(set)).collect();
        (!sets.is_empty())
            .then(|| format!("After each reset {} lets it work.", sets.join(", then ")))
    }

    fn copies(&self) -> Option<String> {
        match self.0.sharing {
            Sharing::One => None,
            Sharing::Lists(count) => Some(format!(
                "There are {count} lists, each with registers of its own."
            )),
            Sharing::Windows(count) => Some(format!(
                "There are {count} windows onto one list; the driver uses the first."
            )),
        }
    }

    fn scratch(&self) -> Option<String> {
        let scratch = self.0.scratch?;
        let name = self.name(scratch);
        Some(format!("{name} keeps what is written and has no effect."))
    }

    /// Says what a list shows after a reset, before anything was given.
    fn fresh(&self) -> String {
        match self.0.fill {
            Fill::Reset => format!("A reset leaves each number once, {} of them.", self.most()),
            Fill::Software => format!("The list is empty then. {}", self.empty()),
        }
    }

    fn capacity(&self) -> String {
        let more = match (self.0.full.look, self.0.full.sticky) {
            (true, _) => "one more is not tried, since it does harm".into(),
            (false, None) => "one more is dropped".into(),
            (false, Some(test)) => format!("one more is dropped, and {}", self.test(test)),
        };
        let fits = match self.0.depth {
            Depth::Fixed(depth) => format!("{depth} values fit"),
            Depth::Register(bits) => format!("As many values fit as {} says", self.bits(bits)),
        };
        format!("{fits}; {more}. {}", self.order())
    }
}

/// Writes small numbers as they are counted, others as they stand in registers.
fn number(value: u64) -> String {
    match value {
        0..=9 => value.to_string(),
        _ => format!("{value:#x}"),
    }
}
