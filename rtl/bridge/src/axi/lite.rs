//! What drives an AXI4-Lite slave of the design's: one access at a time, as a host's accesses come.

use super::channel::{Beat, Channel, Signal};
use super::pace::Pace;
use super::{Breach, Patience, Response, Rule, Turn, Whose, late};
use crate::model::{Model, Pin};

/// The pins of an AXI4-Lite slave.
#[derive(Debug, Clone)]
pub(crate) struct LitePins {
    pub(crate) awaddr: Pin,
    pub(crate) awvalid: Pin,
    pub(crate) awready: Signal,
    pub(crate) wdata: Pin,
    pub(crate) wstrb: Pin,
    pub(crate) wvalid: Pin,
    pub(crate) wready: Signal,
    pub(crate) bresp: Signal,
    pub(crate) bvalid: Signal,
    pub(crate) bready: Signal,
    pub(crate) araddr: Pin,
    pub(crate) arvalid: Pin,
    pub(crate) arready: Signal,
    pub(crate) rdata: Signal,
    pub(crate) rresp: Signal,
    pub(crate) rvalid: Signal,
    pub(crate) rready: Signal,
    /// Bytes of data, 4 or 8.
    pub(crate) bytes: u8,
}

/// Drives an AXI4-Lite slave.
#[derive(Debug)]
pub(crate) struct Lite {
    pins: LitePins,
    b: Channel,
    r: Channel,
    pace: Pace,
    limit: u64,
    address: Turn,
    data: Turn,
    answer: Turn,
    under_way: Option<Direction>,
    patience: Patience,
    done: Option<Answer>,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

/// How the design answered.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// RDATA; 0 after a write.
    pub(crate) data: u64,
    pub(crate) response: Response,
}

impl Lite {
    pub(crate) fn new(pins: LitePins, pace: Pace, limit: u64) -> Lite {
        Lite {
            b: Channel::new(
                pins.bvalid.clone(),
                pins.bready.clone(),
                vec![pins.bresp.clone()],
            ),
            r: Channel::new(
                pins.rvalid.clone(),
                pins.rready.clone(),
                vec![pins.rdata.clone(), pins.rresp.clone()],
            ),
            pins,
            pace,
            limit,
            address: Turn::default(),
            data: Turn::default(),
            answer: Turn::default(),
            under_way: None,
            patience: Patience::default(),
            done: None,
        }
    }

    /// Returns the bytes of its data.
    pub(crate) fn bytes(&self) -> u8 {
        self.pins.bytes
    }

    /// Begins a read of the word that holds `address`.
    pub(crate) fn begin_read(&mut self, model: &mut Model, address: u64) {
        model.set(self.pins.araddr, address);
        self.begin(model, Direction::Read);
    }

    /// Begins a write.
    pub(crate) fn begin_write(&mut self, model: &mut Model, address: u64, data: u64, strobes: u8) {
        model.set(self.pins.awaddr, address);
        model.set(self.pins.wdata, data);
        model.set(self.pins.wstrb, strobes.into());
        self.begin(model, Direction::Write);
    }

    fn begin(&mut self, model: &mut Model, direction: Direction) {
        self.under_way = Some(direction);
        self.done = None;
        self.patience = Patience::default();
        self.address = Turn::after(self.pace.delay());
        self.data = match direction {
            Direction::Read => Turn::default(),
            Direction::Write => Turn::after(self.pace.delay()),
        };
        self.answer = Turn::after(self.pace.delay());
        self.drive(model);
    }

    /// Takes the answer, once it is there.
    pub(crate) fn take_answer(&mut self) -> Option<Answer> {
        self.done.take()
    }

    /// Tells whether an access is under way, or the design asks for something.
    pub(crate) fn is_busy(&self, model: &Model) -> bool {
        self.under_way.is_some() || self.b.is_valid(model) || self.r.is_valid(model)
    }

    pub(crate) fn look(&mut self, model: &Model) -> Result<(), Breach> {
        let (b, r) = (self.b.look(model)?, self.r.look(model)?);
        self.expects(b, Direction::Write)?;
        self.expects(r, Direction::Read)?;
        let Some(direction) = self.under_way else {
            return Ok(());
        };
        self.requests(model, direction);
        let (beat, response) = match direction {
            Direction::Read => (r, &self.pins.rresp),
            Direction::Write => (b, &self.pins.bresp),
        };
        if beat == Beat::Taken {
            self.done = Some(Answer {
                data: if direction == Direction::Read {
                    model.get(self.pins.rdata.pin)
                } else {
                    0
                },
                response: lite_response(model.get(response.pin), &response.name)?,
            });
            self.under_way = None;
            self.answer.done();
            return Ok(());
        }
        let (_, ours) = self.awaited(direction);
        let whose = if ours { Whose::Ours } else { Whose::Designs };
        match self.patience.is_out(whose, self.limit) {
            false => Ok(()),
            true => Err(late(self.awaited(direction).0, self.limit)),
        }
    }

    /// Refuses an answer that comes before its request has been taken.
    fn expects(&self, beat: Beat, direction: Direction) -> Result<(), Breach> {
        let asked =
            self.under_way == Some(direction) && !self.address.is_left() && !self.data.is_left();
        if beat == Beat::None || asked {
            return Ok(());
        }
        let (channel, request) = match direction {
            Direction::Read => (&self.r, "a read"),
            Direction::Write => (&self.b, "a write with its data"),
        };
        let seen = format!("it is 1 although {request} has not been taken in an earlier cycle");
        Err(Breach::new(Rule::AnswerAfterRequest, channel.valid(), seen))
    }

    /// Notes which of our requests the design takes at the end of this cycle.
    fn requests(&mut self, model: &Model, direction: Direction) {
        let pins = &self.pins;
        let (valid, ready) = match direction {
            Direction::Read => (pins.arvalid, pins.arready.pin),
            Direction::Write => (pins.awvalid, pins.awready.pin),
        };
        let taken = |valid, ready| model.get(valid) != 0 && model.get(ready) != 0;
        if taken(valid, ready) {
            self.address.done();
        }
        if direction == Direction::Write && taken(pins.wvalid, pins.wready.pin) {
            self.data.done();
        }
    }

    /// Returns the design's signal that comes next, and whether it waits for one of ours.
    fn awaited(&self, direction: Direction) -> (&str, bool) {
        let held_back = |turn: Turn| turn.delay > 0;
        match direction {
            Direction::Read if self.address.is_left() => {
                (&self.pins.arready.name, held_back(self.address))
            }
            Direction::Write if self.address.is_left() => {
                (&self.pins.awready.name, held_back(self.address))
            }
            Direction::Write if self.data.is_left() => {
                (&self.pins.wready.name, held_back(self.data))
            }
            Direction::Read => (self.r.valid(), held_back(self.answer)),
            Direction::Write => (self.b.valid(), held_back(self.answer)),
        }
    }

    pub(crate) fn drive(&mut self, model: &mut Model) {
        let Some(direction) = self.under_way else {
            return self.quiet(model);
        };
        let (address, data, answer) = (self.address.step(), self.data.step(), self.answer.step());
        match direction {
            Direction::Read => {
                model.set(self.pins.arvalid, address.into());
                self.r.set_ready(model, answer);
            }
            Direction::Write => {
                model.set(self.pins.awvalid, address.into());
                model.set(self.pins.wvalid, data.into());
                self.b.set_ready(model, answer);
            }
        }
    }

    /// Asks for nothing, and takes nothing.
    fn quiet(&self, model: &mut Model) {
        for pin in [
            self.pins.awvalid,
            self.pins.wvalid,
            self.pins.arvalid,
            self.pins.bready.pin,
            self.pins.rready.pin,
        ] {
            model.set(pin, 0);
        }
    }

    /// Is in reset with the design.
    pub(crate) fn reset(&mut self, model: &mut Model) {
        self.under_way = None;
        self.done = None;
        self.b.forget();
        self.r.forget();
        self.quiet(model);
    }

    /// Returns the signal of a VALID that is 1 in reset.
    pub(crate) fn loud_in_reset(&self, model: &Model) -> Option<&str> {
        [&self.b, &self.r]
            .into_iter()
            .find(|channel| channel.is_valid(model))
            .map(Channel::valid)
    }
}

fn lite_response(value: u64, name: &str) -> Result<Response, Breach> {
    match value {
        0 => Ok(Response::Okay),
        2 => Ok(Response::Slave),
        3 => Ok(Response::Decode),
        _ => Err(Breach::new(Rule::LiteResponse, name, "it is EXOKAY")),
    }
}
