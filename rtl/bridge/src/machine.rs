//! The design with everything at its pins, from clock cycle to clock cycle.

use std::sync::Arc;

use hwpool::user::server::Lines;
use hwpool_describe::Wrong;
use vfio_bindings::bindings::vfio::VFIO_PCI_MSIX_IRQ_INDEX;

use crate::axi::lite::{Answer, Lite};
use crate::axi::pace::Pace;
use crate::axi::reads::Reads;
use crate::axi::writes::Writes;
use crate::axi::{Breach, Response, Rule, Violation};
use crate::design::{self, Design, DmaPort, Outside};
use crate::dma::Dma;
use crate::irq::Line;
use crate::model::{Ended, Model, Pin};
use crate::pins::{Finder, Way};

/// What ends a design.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It broke a rule of AXI.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// It ended itself, or did not settle.
    #[error("the design ended at cycle {cycle}: {why}")]
    Ended {
        /// The clock cycle.
        cycle: u64,
        /// What it said.
        why: Ended,
    },
    /// An interrupt request line floods.
    #[error(
        "the design asks for interrupts without end: {port} was never 0 over {messages} messages, at cycle {cycle} (`limit`): \
         it is stuck at 1, or does not look at its acknowledgement"
    )]
    Floods {
        /// The clock cycle.
        cycle: u64,
        /// The line.
        port: String,
        /// The messages.
        messages: u64,
    },
}

/// An access as waveforms show it.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Shown {
    None = 0,
    Read = 1,
    Write = 2,
    Reset = 3,
}

/// A design and what is at its pins.
#[derive(Debug)]
pub(crate) struct Machine {
    model: Model,
    clock: Pin,
    reset: Reset,
    /// What an FLR does instead.
    flr: Option<Reset>,
    busy: Option<Pin>,
    idle_after: u64,
    /// Messages that a line may ask for in a row.
    limit: u64,
    /// One for each BAR of the design's, with its number.
    slaves: Vec<(u8, Port<Lite>)>,
    masters: Vec<Port<Master>>,
    irqs: Vec<Line>,
    pub(crate) dma: Dma,
    lines: Arc<Lines>,
    /// Vectors that may be sent now, a bit each.
    open: u128,
    cycle: u64,
    /// Cycles since something last happened.
    quiet: u64,
    /// Cycles since the host last asked for something.
    alone: u64,
    fault: Option<Fault>,
}

/// A reset input.
#[derive(Debug, Copy, Clone)]
struct Reset {
    pin: Pin,
    active: bool,
    cycles: u64,
}

/// What is at a port, with the name that the design's file gives it.
#[derive(Debug)]
struct Port<T> {
    name: String,
    it: T,
}

/// The two sides of an AXI4 master's.
#[derive(Debug)]
struct Master {
    reads: Option<Reads>,
    writes: Option<Writes>,
}

impl Machine {
    /// Connects everything to a design and resets it.
    pub(crate) fn new(
        design: &Design,
        mut model: Model,
        lines: Arc<Lines>,
        mut pace: Pace,
    ) -> Result<Machine, NewError> {
        let finder = Finder {
            design,
            model: &model,
        };
        let clock = finder.port(&design.clock, Way::In, Some(1))?;
        let reset_of = |reset: &design::Reset| {
            Ok::<_, Wrong>(Reset {
                pin: finder.port(&reset.port, Way::In, Some(1))?,
                active: reset.active,
                cycles: reset.cycles,
            })
        };
        let reset = reset_of(&design.reset)?;
        let flr = design.flr.as_ref().map(reset_of).transpose()?;
        let busy = design
            .busy
            .as_ref()
            .map(|busy| finder.port(busy, Way::Out, Some(1)))
            .transpose()?;
        let slaves = design.bars.iter().map(|bar| {
            let lite = Lite::new(finder.lite(bar)?, pace.fork(), design.limit);
            Ok((
                bar.bar,
                Port {
                    name: bar.port.name.clone(),
                    it: lite,
                },
            ))
        });
        let slaves = slaves.collect::<Result<Vec<_>, Wrong>>()?;
        let masters = design
            .dma
            .iter()
            .map(|dma| master(finder, dma, design.limit, &mut pace));
        let masters = masters.collect::<Result<Vec<_>, Wrong>>()?;
        let irqs = design.interrupts.iter().map(|line| {
            let (pin, bit) = finder.interrupt(line)?;
            let told = line
                .acknowledge
                .as_ref()
                .map(|name| finder.acknowledge(name, bit))
                .transpose()?;
            let name = line.port.name.clone();
            Ok(Line::new(name, pin, bit, line.is, line.vector, told))
        });
        let irqs = irqs.collect::<Result<Vec<_>, Wrong>>()?;
        let ties = design
            .ties
            .iter()
            .map(|(name, value)| Ok((finder.port(name, Way::In, None)?, *value)));
        let ties = ties.collect::<Result<Vec<_>, Wrong>>()?;
        for (pin, value) in ties {
            model.set(pin, value);
        }
        irqs.iter().for_each(|line| line.start(&mut model));
        let mut machine = Machine {
            model,
            clock,
            reset,
            flr,
            busy,
            idle_after: design.idle_after,
            limit: design.limit,
            slaves,
            masters,
            irqs,
            dma: Dma::default(),
            lines,
            open: 0,
            cycle: 0,
            quiet: 0,
            alone: 0,
            fault: None,
        };
        machine.reset()?;
        Ok(machine)
    }

    /// Returns what ended the design.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Returns the clock cycles since the start.
    pub(crate) fn cycles(&self) -> u64 {
        self.cycle
    }

    /// Returns the cycles since the host last asked for something.
    pub(crate) fn alone(&self) -> u64 {
        self.alone
    }

    /// Tells whether the clock has to go on.
    pub(crate) fn is_active(&self) -> bool {
        self.fault.is_none() && (self.idle_after == 0 || self.quiet < self.idle_after)
    }

    /// Returns the bytes of data of a BAR's port.
    pub(crate) fn port_bytes(&self, bar: u8) -> Option<u8> {
        self.slaves
            .iter()
            .find(|(number, _)| *number == bar)
            .map(|(_, port)| port.it.bytes())
    }

    /// Returns the pending bits of the vectors.
    pub(crate) fn pending(&self) -> u128 {
        let pending = self.irqs.iter().filter(|line| line.is_pending());
        pending.fold(0, |bits, line| bits | 1 << line.vector())
    }

    /// Says which vectors may be sent from now on, and sends what waited for that.
    pub(crate) fn set_open(&mut self, open: u128) {
        self.open = open;
        self.send();
        self.quiet = 0;
    }

    /// Reads the word of a BAR's port that holds `address`.
    pub(crate) fn read(&mut self, bar: u8, address: u64) -> Result<Answer, Fault> {
        self.access(bar, Shown::Read, address, 0, |lite, model| {
            lite.begin_read(model, address)
        })
    }

    /// Writes a word, of which `strobes` names the bytes.
    pub(crate) fn write(
        &mut self,
        bar: u8,
        address: u64,
        data: u64,
        strobes: u8,
    ) -> Result<Answer, Fault> {
        self.access(bar, Shown::Write, address, data, |lite, model| {
            lite.begin_write(model, address, data, strobes);
        })
    }

    /// Begins an access and runs the clock until it is answered: the port's limit is the deadline.
    fn access(
        &mut self,
        bar: u8,
        shown: Shown,
        address: u64,
        data: u64,
        begin: impl FnOnce(&mut Lite, &mut Model),
    ) -> Result<Answer, Fault> {
        self.alive()?;
        let slot = self.slaves.iter().position(|(number, _)| *number == bar);
        let slot = slot.unwrap_or(0);
        self.alone = 0;
        self.model.show(shown as u8, bar, address, data);
        begin(&mut self.slaves[slot].1.it, &mut self.model);
        loop {
            self.cycle()?;
            let Some(answer) = self.slaves[slot].1.it.take_answer() else {
                continue;
            };
            let data = if shown == Shown::Read {
                answer.data
            } else {
                data
            };
            self.model.show(Shown::None as u8, bar, address, data);
            return Ok(answer);
        }
    }

    /// Resets the function: by its own input where it has one, through which the ports go on, for nothing has reset the
    /// bus; else as at the start.
    pub(crate) fn flr(&mut self) -> Result<(), Fault> {
        let Some(flr) = self.flr else {
            return self.reset();
        };
        self.alive()?;
        self.model.show(Shown::Reset as u8, 0, 0, 0);
        self.model.set(flr.pin, flr.active.into());
        for _ in 0..flr.cycles {
            self.cycle()?;
        }
        self.model.set(flr.pin, (!flr.active).into());
        self.model.show(Shown::None as u8, 0, 0, 0);
        (self.quiet, self.alone) = (0, 0);
        Ok(())
    }

    /// Resets the design and everything at its pins.
    fn reset(&mut self) -> Result<(), Fault> {
        self.alive()?;
        self.model.show(Shown::Reset as u8, 0, 0, 0);
        let Reset {
            pin,
            active,
            cycles,
        } = self.reset;
        self.model.set(pin, active.into());
        if let Some(flr) = self.flr {
            self.model.set(flr.pin, (!flr.active).into());
        }
        for (_, port) in &mut self.slaves {
            port.it.reset(&mut self.model);
        }
        for port in &mut self.masters {
            port.it.reset(&mut self.model);
        }
        for line in &mut self.irqs {
            line.reset(&mut self.model);
        }
        for _ in 0..cycles {
            self.edge(|_| Ok(()))?;
        }
        self.check_quiet()?;
        self.model.set(pin, (!active).into());
        self.model.show(Shown::None as u8, 0, 0, 0);
        (self.quiet, self.alone) = (0, 0);
        Ok(())
    }

    fn check_quiet(&mut self) -> Result<(), Fault> {
        let model = &self.model;
        let slaves = self
            .slaves
            .iter()
            .map(|(_, port)| (&port.name, port.it.loud_in_reset(model)));
        let masters = self
            .masters
            .iter()
            .map(|port| (&port.name, port.it.loud_in_reset(model)));
        let loud = slaves
            .chain(masters)
            .find_map(|(name, signal)| Some((name, signal?)));
        let Some((name, signal)) = loud else {
            return Ok(());
        };
        let seen = format!("it is 1 after {} cycles of reset", self.reset.cycles);
        let violation = Breach::new(Rule::QuietInReset, signal, seen).at(name, self.cycle);
        self.end(violation.into())
    }

    /// Runs one clock cycle.
    #[inline]
    pub(crate) fn cycle(&mut self) -> Result<(), Fault> {
        self.edge(Machine::look)?;
        self.drive();
        self.alone += 1;
        Ok(())
    }

    /// Settles the design with its inputs, has somebody look, and gives it a rising edge.
    #[inline]
    fn edge(&mut self, look: impl FnOnce(&mut Machine) -> Result<(), Fault>) -> Result<(), Fault> {
        self.model.set(self.clock, 0);
        self.settle()?;
        if let Err(fault) = look(self) {
            return self.end(fault);
        }
        self.model.set(self.clock, 1);
        self.settle()?;
        self.cycle += 1;
        Ok(())
    }

    #[inline]
    fn settle(&mut self) -> Result<(), Fault> {
        match self.model.eval() {
            Ok(()) => Ok(()),
            Err(why) => self.end(Fault::Ended {
                cycle: self.cycle,
                why,
            }),
        }
    }

    /// Looks at every pin before a rising edge.
    fn look(&mut self) -> Result<(), Fault> {
        let Machine { model, cycle, .. } = self;
        let mut busy = self.busy.is_some_and(|pin| model.get(pin) != 0);
        for (_, port) in &mut self.slaves {
            port.it
                .look(model)
                .map_err(|breach| breach.at(&port.name, *cycle))?;
            busy |= port.it.is_busy(model);
        }
        for port in &mut self.masters {
            port.it
                .look(model, &mut self.dma)
                .map_err(|breach| breach.at(&port.name, *cycle))?;
            busy |= port.it.is_busy(model);
        }
        let mut asks = false;
        for line in &mut self.irqs {
            busy |= line.look(model) | line.is_busy();
            asks |= line.is_pending();
        }
        if asks {
            self.send();
        }
        self.floods()?;
        self.quiet = if busy { 0 } else { self.quiet + 1 };
        Ok(())
    }

    /// Sets every pin for the next cycle.
    fn drive(&mut self) {
        for (_, port) in &mut self.slaves {
            port.it.drive(&mut self.model);
        }
        for port in &mut self.masters {
            port.it.drive(&mut self.model, &mut self.dma);
        }
        for line in &mut self.irqs {
            line.drive(&mut self.model);
        }
    }

    /// Sends the messages that may be sent.
    fn send(&mut self) {
        for line in &mut self.irqs {
            if line.is_pending() && self.open >> line.vector() & 1 != 0 {
                self.lines
                    .fire(VFIO_PCI_MSIX_IRQ_INDEX, line.vector().into());
                line.sent();
            }
        }
    }

    /// Fails where a line asks for message after message: the clock would never stop, nor the host ever get a word in.
    fn floods(&self) -> Result<(), Fault> {
        let mut lines = self.irqs.iter();
        match lines.find(|line| line.in_a_row() > self.limit) {
            None => Ok(()),
            Some(line) => Err(Fault::Floods {
                cycle: self.cycle,
                port: line.name().into(),
                messages: line.in_a_row(),
            }),
        }
    }

    fn alive(&self) -> Result<(), Fault> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Notes what ended the design.
    #[cold]
    fn end(&mut self, fault: Fault) -> Result<(), Fault> {
        self.fault = Some(fault.clone());
        Err(fault)
    }
}

/// Why a design can't be connected.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// A port is not as the file says.
    #[error(transparent)]
    Wrong(#[from] Wrong),
    /// The design does not survive its reset.
    #[error(transparent)]
    Fault(#[from] Fault),
}

fn master(
    finder: Finder<'_>,
    dma: &DmaPort,
    limit: u64,
    pace: &mut Pace,
) -> Result<Port<Master>, Wrong> {
    let (reads, writes) = finder.dma(dma)?;
    let (most, outside) = (
        dma.outstanding,
        match dma.outside {
            Outside::Decode => Response::Decode,
            Outside::Slave => Response::Slave,
        },
    );
    Ok(Port {
        name: dma.port.name.clone(),
        it: Master {
            reads: reads.map(|pins| Reads::new(pins, pace.fork(), most, limit, outside)),
            writes: writes.map(|pins| Writes::new(pins, pace.fork(), most, limit, outside)),
        },
    })
}

impl Master {
    fn look(&mut self, model: &Model, dma: &mut Dma) -> Result<(), Breach> {
        if let Some(writes) = &mut self.writes {
            writes.look(model, dma)?;
        }
        self.reads
            .as_mut()
            .map_or(Ok(()), |reads| reads.look(model))
    }

    fn drive(&mut self, model: &mut Model, dma: &mut Dma) {
        if let Some(reads) = &mut self.reads {
            reads.drive(model, dma);
        }
        if let Some(writes) = &mut self.writes {
            writes.drive(model);
        }
    }

    fn is_busy(&self, model: &Model) -> bool {
        self.reads
            .as_ref()
            .is_some_and(|reads| reads.is_busy(model))
            || self
                .writes
                .as_ref()
                .is_some_and(|writes| writes.is_busy(model))
    }

    fn reset(&mut self, model: &mut Model) {
        if let Some(reads) = &mut self.reads {
            reads.reset(model);
        }
        if let Some(writes) = &mut self.writes {
            writes.reset(model);
        }
    }

    fn loud_in_reset(&self, model: &Model) -> Option<&str> {
        let reads = self
            .reads
            .as_ref()
            .and_then(|reads| reads.loud_in_reset(model));
        reads.or_else(|| {
            self.writes
                .as_ref()
                .and_then(|writes| writes.loud_in_reset(model))
        })
    }
}
