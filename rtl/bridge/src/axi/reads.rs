//! What answers the reads of an AXI4 master of the design's.

use std::collections::VecDeque;

use super::burst::{Burst, Request};
use super::channel::{Beat, Channel, Signal};
use super::pace::Pace;
use super::{Breach, Patience, Response, Whose, late, next_of};
use crate::dma::Dma;
use crate::model::{Model, Pin};

/// The request channel of a master: AR or AW. What is not there has the value that AXI gives it.
#[derive(Debug, Clone)]
pub(crate) struct RequestPins {
    pub(crate) addr: Signal,
    pub(crate) len: Option<Signal>,
    pub(crate) size: Option<Signal>,
    pub(crate) burst: Option<Signal>,
    pub(crate) id: Option<Signal>,
    /// What must stay as it is and does not matter else: LOCK, CACHE, PROT, QOS, REGION, USER.
    pub(crate) others: Vec<Signal>,
    pub(crate) valid: Signal,
    pub(crate) ready: Signal,
}

impl RequestPins {
    /// Makes what watches the channel.
    pub(crate) fn channel(&self) -> Channel {
        let known = [&self.len, &self.size, &self.burst, &self.id]
            .into_iter()
            .flatten();
        let payload = std::iter::once(&self.addr).chain(known).chain(&self.others);
        Channel::new(
            self.valid.clone(),
            self.ready.clone(),
            payload.cloned().collect(),
        )
    }

    /// Takes the request that is there.
    pub(crate) fn take(&self, model: &Model, bus: u64) -> Result<(u64, Burst), Breach> {
        let value = |signal: &Option<Signal>, absent| {
            signal
                .as_ref()
                .map_or(absent, |signal| model.get(signal.pin))
        };
        let request = Request {
            address: model.get(self.addr.pin),
            len: value(&self.len, 0),
            size: value(&self.size, bus.trailing_zeros().into()),
            burst: value(&self.burst, 1),
        };
        let named = |name: &str| {
            let signal = match name {
                "len" => self.len.as_ref(),
                "size" => self.size.as_ref(),
                "burst" => self.burst.as_ref(),
                _ => None,
            };
            signal.unwrap_or(&self.addr).name.clone()
        };
        Ok((value(&self.id, 0), Burst::of(request, bus, named)?))
    }
}

/// The pins of the read side.
#[derive(Debug, Clone)]
pub(crate) struct ReadPins {
    pub(crate) request: RequestPins,
    pub(crate) id: Option<Pin>,
    pub(crate) data: Pin,
    pub(crate) resp: Pin,
    pub(crate) last: Option<Pin>,
    pub(crate) valid: Signal,
    pub(crate) ready: Signal,
    /// Bytes of the bus.
    pub(crate) bus: u64,
}

/// Answers reads: those of one ID in order, those of several as the pace has it, beat by beat.
#[derive(Debug)]
pub(crate) struct Reads {
    pins: ReadPins,
    requests: Channel,
    pace: Pace,
    most: usize,
    limit: u64,
    outside: Response,
    queue: VecDeque<Read>,
    /// The beat that is offered: of which read.
    offered: Option<usize>,
    patience: Patience,
}

#[derive(Debug)]
struct Read {
    id: u64,
    burst: Burst,
    next: u64,
    delay: u32,
    /// What memory held, from the moment on when the first beat is offered.
    data: Option<Vec<u8>>,
    response: Response,
}

impl Reads {
    pub(crate) fn new(
        pins: ReadPins,
        pace: Pace,
        most: usize,
        limit: u64,
        outside: Response,
    ) -> Reads {
        Reads {
            requests: pins.request.channel(),
            pins,
            pace,
            most,
            limit,
            outside,
            queue: VecDeque::new(),
            offered: None,
            patience: Patience::default(),
        }
    }

    /// Tells whether a read is under way, or the design asks for one.
    pub(crate) fn is_busy(&self, model: &Model) -> bool {
        !self.queue.is_empty() || self.requests.is_valid(model)
    }

    pub(crate) fn look(&mut self, model: &Model) -> Result<(), Breach> {
        if self.requests.look(model)? == Beat::Taken {
            let (id, burst) = self.pins.request.take(model, self.pins.bus)?;
            self.queue.push_back(Read {
                id,
                burst,
                next: 0,
                delay: self.pace.delay(),
                data: None,
                response: Response::Okay,
            });
        }
        let taken = self.offered.is_some() && model.get(self.pins.ready.pin) != 0;
        let whose = match self.offered {
            Some(_) if !taken => Whose::Designs,
            _ => Whose::Nobodys,
        };
        if self.patience.is_out(whose, self.limit) {
            return Err(late(&self.pins.ready.name, self.limit));
        }
        if let Some(at) = self.offered.filter(|_| taken) {
            self.offered = None;
            self.queue[at].next += 1;
            if self.queue[at].next == self.queue[at].burst.beats() {
                self.queue.remove(at);
            }
        }
        Ok(())
    }

    pub(crate) fn drive(&mut self, model: &mut Model, dma: &mut Dma) {
        for read in &mut self.queue {
            read.delay = read.delay.saturating_sub(1);
        }
        if self.offered.is_none() {
            self.offered = next_of(&self.queue, &mut self.pace, |read| (read.id, read.delay));
            match self.offered {
                Some(at) => self.offer(at, model, dma),
                None => model.set(self.pins.valid.pin, 0),
            }
        }
        let ready = self.queue.len() < self.most && self.pace.is_early();
        self.requests.set_ready(model, ready);
    }

    fn offer(&mut self, at: usize, model: &mut Model, dma: &mut Dma) {
        let read = &mut self.queue[at];
        if read.data.is_none() {
            let (address, len) = read.burst.span();
            let mut data = vec![0; len];
            if !dma.read(address, &mut data) {
                // What a refused read brings is nothing of the host's.
                data.fill(0);
                read.response = self.outside;
            }
            read.data = Some(data);
        }
        let (lanes, from) = read.burst.beat(read.next);
        let mut beat = [0; 128];
        if let Some(data) = &read.data {
            let len = lanes.len();
            beat[lanes].copy_from_slice(&data[from..from + len]);
        }
        let last = read.next + 1 == read.burst.beats();
        model.set_bytes(self.pins.data, &beat[..self.pins.bus as usize]);
        model.set(self.pins.resp, read.response as u64);
        self.pins
            .id
            .into_iter()
            .for_each(|id| model.set(id, read.id));
        self.pins
            .last
            .into_iter()
            .for_each(|pin| model.set(pin, last.into()));
        model.set(self.pins.valid.pin, 1);
    }

    /// Is in reset with the design: what was under way is forgotten.
    pub(crate) fn reset(&mut self, model: &mut Model) {
        self.queue.clear();
        self.offered = None;
        self.requests.forget();
        self.requests.set_ready(model, false);
        model.set(self.pins.valid.pin, 0);
    }

    /// Returns the signal of a VALID that is 1 in reset.
    pub(crate) fn loud_in_reset(&self, model: &Model) -> Option<&str> {
        self.requests.is_valid(model).then(|| self.requests.valid())
    }
}
