//! What the description uses each register for.

use hwpool_devices::description::{
    Depth, Description, Empty, Passage, Pop, Port, Room, Test, Write,
};

/// For each register, by its place in the table.
#[derive(Debug)]
pub(super) struct Roles(Vec<Role>);

/// What the description uses one register for.
#[derive(Debug, Clone, Default)]
pub(super) struct Role {
    /// It is read to take a value, or to look at one.
    pub(super) pops: bool,
    /// It is written to give a value.
    pub(super) pushes: bool,
    /// A write of it is part of a reset.
    pub(super) resets: bool,
    /// One value takes what was read or commits what was written.
    pub(super) commands: bool,
    /// What is written to it means something beside all that.
    pub(super) has_bits: bool,
    /// It shows something that is read.
    pub(super) shows: bool,
    /// It is never touched but for what it is used for.
    pub(super) never: bool,
}

impl Role {
    /// Tells whether the host may read it, or write it, where it is one that is never touched.
    pub(super) fn is_used(&self, by_write: bool) -> bool {
        match by_write {
            true => self.pushes || self.resets || self.commands || self.has_bits,
            false => self.pops || self.shows,
        }
    }
}

impl Roles {
    pub(super) fn new(description: &Description) -> Roles {
        let mut roles = Roles(vec![Role::default(); description.registers.len()]);
        roles.ports(description);
        roles.shown(description);
        roles.written(description);
        for &register in &description.never {
            roles.0[register].never = true;
        }
        roles
    }

    pub(super) fn of(&self, place: usize) -> &Role {
        &self.0[place]
    }

    fn ports(&mut self, description: &Description) {
        for register in description.pop.from().registers() {
            self.0[register].pops = true;
        }
        for register in description.push.to.registers() {
            self.0[register].pushes = true;
        }
        for Write { register, .. } in commands(description) {
            self.0[*register].commands = true;
        }
        for Write { register, .. } in &description.reset.writes {
            self.0[*register].resets = true;
        }
    }

    fn shown(&mut self, description: &Description) {
        let test = |test: Test| test.bits;
        let full = match description.full.shown {
            Room::Flag(flag) => Some(flag.bits),
            Room::Vacancy(bits) => Some(bits),
            Room::Counted | Room::Level => None,
        };
        let empty = match description.empty {
            Empty::Flag(flag) => Some(flag.bits),
            _ => None,
        };
        let length = match description.pop {
            Pop::LengthFirst { length, .. } => Some(length),
            _ => None,
        };
        let depth = match description.depth {
            Depth::Register(bits) => Some(bits),
            Depth::Fixed(_) => None,
        };
        let reset = &description.reset;
        let bits = [full, empty, length, depth, description.level, reset.count]
            .into_iter()
            .chain([description.full.sticky.map(test), reset.until.map(test)])
            .flatten();
        let whole = [
            Some(description.alive),
            description.identity.map(|(at, _)| at),
        ];
        for register in bits
            .map(|bits| bits.register)
            .chain(whole.into_iter().flatten())
        {
            self.0[register].shows = true;
        }
    }

    /// What is written and read back.
    fn written(&mut self, description: &Description) {
        let irq = description.interrupt.as_ref();
        let of_irq = irq.map(|irq| {
            [
                irq.enable.map(|set| set.bits),
                irq.pending,
                irq.raise,
                irq.threshold,
            ]
        });
        let sets = description.enable.iter().map(|set| set.bits);
        let bits = (of_irq.into_iter().flatten().flatten())
            .chain(sets)
            .chain(description.full.sticky.map(|test| test.bits));
        for register in bits.map(|bits| bits.register).chain(description.scratch) {
            self.0[register].has_bits = true;
            self.0[register].shows = true;
        }
    }
}

/// Returns the writes that act by their one value, those of a reset left out.
fn commands(description: &Description) -> impl Iterator<Item = &Write> {
    let taken = match &description.pop {
        Pop::Acknowledge { then, .. } => Some(then),
        Pop::Read { .. } | Pop::LengthFirst { .. } => None,
    };
    taken.into_iter().chain(&description.push.then)
}

/// One access of a port.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The value.
    Whole,
    /// The half that is accessed first, and whether it is the low one.
    First { is_low: bool },
    /// The other one.
    Last { is_low: bool },
}

/// Returns which part of a port a register is.
pub(super) fn part(description: &Description, port: Port, register: usize) -> Part {
    let Port::Halves { low, .. } = port else {
        return Part::Whole;
    };
    let is_low = low == register;
    let low_first = description.passage != Passage::HighFirst;
    match is_low == low_first {
        true => Part::First { is_low },
        false => Part::Last { is_low },
    }
}
