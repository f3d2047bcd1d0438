//! What takes the writes of an AXI4 master of the design's.

use std::collections::VecDeque;

use super::burst::Burst;
use super::channel::{Beat, Channel, Signal};
use super::pace::Pace;
use super::reads::RequestPins;
use super::{Breach, Patience, Response, Rule, Whose, late, next_of};
use crate::dma::Dma;
use crate::model::{Model, Pin};

/// The pins of the write side.
#[derive(Debug, Clone)]
pub(crate) struct WritePins {
    pub(crate) request: RequestPins,
    pub(crate) data: Signal,
    pub(crate) strobes: Option<Signal>,
    pub(crate) last: Option<Signal>,
    pub(crate) valid: Signal,
    pub(crate) ready: Signal,
    pub(crate) answer_id: Option<Pin>,
    pub(crate) answer: Pin,
    pub(crate) answer_valid: Signal,
    pub(crate) answer_ready: Signal,
    /// Bytes of the bus.
    pub(crate) bus: u64,
}

/// Beats of data that are taken before the request that they belong to: AXI lets data come first.
const AHEAD: usize = 16;

/// Takes writes: into memory when a burst is whole, answered in order by ID.
#[derive(Debug)]
pub(crate) struct Writes {
    pins: WritePins,
    requests: Channel,
    data: Channel,
    pace: Pace,
    most: usize,
    limit: u64,
    outside: Response,
    /// Requests whose data are not complete, oldest first.
    queue: VecDeque<Write>,
    /// Beats that came before their request.
    ahead: VecDeque<DataBeat>,
    answers: VecDeque<WriteAnswer>,
    /// The answer that is offered.
    offered: Option<usize>,
    for_data: Patience,
    for_request: Patience,
    for_ready: Patience,
}

#[derive(Debug)]
struct Write {
    id: u64,
    burst: Burst,
    next: u64,
    data: Vec<u8>,
    mask: Vec<bool>,
}

#[derive(Debug, Clone, Copy)]
struct DataBeat {
    data: [u8; 128],
    strobes: u128,
    last: Option<bool>,
}

#[derive(Debug)]
struct WriteAnswer {
    id: u64,
    delay: u32,
    response: Response,
}

impl Writes {
    pub(crate) fn new(
        pins: WritePins,
        pace: Pace,
        most: usize,
        limit: u64,
        outside: Response,
    ) -> Writes {
        let payload = [Some(&pins.data), pins.strobes.as_ref(), pins.last.as_ref()];
        let payload = payload.into_iter().flatten().cloned().collect();
        Writes {
            requests: pins.request.channel(),
            data: Channel::new(pins.valid.clone(), pins.ready.clone(), payload),
            pins,
            pace,
            most,
            limit,
            outside,
            queue: VecDeque::new(),
            ahead: VecDeque::new(),
            answers: VecDeque::new(),
            offered: None,
            for_data: Patience::default(),
            for_request: Patience::default(),
            for_ready: Patience::default(),
        }
    }

    /// Tells whether a write is under way, or the design asks for one.
    pub(crate) fn is_busy(&self, model: &Model) -> bool {
        let empty = self.queue.is_empty() && self.ahead.is_empty() && self.answers.is_empty();
        !empty || self.requests.is_valid(model) || self.data.is_valid(model)
    }

    /// Looks, and writes each burst to memory that is whole: before the design can see its answer, or ask for an interrupt.
    pub(crate) fn look(&mut self, model: &Model, dma: &mut Dma) -> Result<(), Breach> {
        if self.requests.look(model)? == Beat::Taken {
            let (id, burst) = self.pins.request.take(model, self.pins.bus)?;
            let len = burst.span().1;
            self.queue.push_back(Write {
                id,
                burst,
                next: 0,
                data: vec![0; len],
                mask: vec![false; len],
            });
        }
        let could = model.get(self.pins.ready.pin) != 0;
        let taken = self.data.look(model)? == Beat::Taken;
        if taken {
            self.ahead.push_back(self.beat(model));
        }
        while let (Some(_), Some(beat)) = (self.queue.front(), self.ahead.front().copied()) {
            self.ahead.pop_front();
            self.fill(&beat, dma)?;
        }
        let whose = match (taken || self.queue.is_empty(), could) {
            (true, _) => Whose::Nobodys,
            (false, true) => Whose::Designs,
            (false, false) => Whose::Ours,
        };
        if self.for_data.is_out(whose, self.limit) {
            return Err(late(&self.pins.valid.name, self.limit));
        }
        let whose = match !self.ahead.is_empty() && self.queue.is_empty() {
            true => Whose::Designs,
            false => Whose::Nobodys,
        };
        if self.for_request.is_out(whose, self.limit) {
            return Err(late(&self.pins.request.valid.name, self.limit));
        }
        self.look_at_answers(model)
    }

    fn look_at_answers(&mut self, model: &Model) -> Result<(), Breach> {
        let taken = self.offered.is_some() && model.get(self.pins.answer_ready.pin) != 0;
        let whose = match self.offered {
            Some(_) if !taken => Whose::Designs,
            _ => Whose::Nobodys,
        };
        if self.for_ready.is_out(whose, self.limit) {
            return Err(late(&self.pins.answer_ready.name, self.limit));
        }
        if let Some(at) = self.offered.filter(|_| taken) {
            self.offered = None;
            self.answers.remove(at);
        }
        Ok(())
    }

    fn beat(&self, model: &Model) -> DataBeat {
        let mut data = [0; 128];
        model.get_bytes(self.pins.data.pin, &mut data);
        let mut strobes = [0xff; 16];
        if let Some(signal) = &self.pins.strobes {
            model.get_bytes(signal.pin, &mut strobes);
        }
        DataBeat {
            data,
            strobes: u128::from_le_bytes(strobes),
            last: self
                .pins
                .last
                .as_ref()
                .map(|signal| model.get(signal.pin) != 0),
        }
    }

    /// Puts a beat into the oldest burst, and the burst into memory where that was the last.
    fn fill(&mut self, beat: &DataBeat, dma: &mut Dma) -> Result<(), Breach> {
        let Some(write) = self.queue.front_mut() else {
            return Ok(());
        };
        let (number, beats) = (write.next + 1, write.burst.beats());
        let is_last = number == beats;
        if let (Some(last), Some(signal)) = (beat.last, &self.pins.last)
            && last != is_last
        {
            let seen = format!("it is {} at beat {number} of {beats}", u8::from(last));
            return Err(Breach::new(Rule::LastBeat, &signal.name, seen));
        }
        let (lanes, at) = write.burst.beat(write.next);
        if let Some(signal) = &self.pins.strobes
            && (0..self.pins.bus as usize)
                .any(|lane| beat.strobes >> lane & 1 != 0 && !lanes.contains(&lane))
        {
            let seen = format!(
                "it is {:#x} at beat {number}, whose bytes are {} to {}",
                beat.strobes,
                lanes.start,
                lanes.end - 1
            );
            return Err(Breach::new(Rule::StrobesInBeat, &signal.name, seen));
        }
        for (offset, lane) in lanes
            .enumerate()
            .filter(|(_, lane)| beat.strobes >> lane & 1 != 0)
        {
            write.data[at + offset] = beat.data[lane];
            write.mask[at + offset] = true;
        }
        write.next = number;
        if is_last && let Some(write) = self.queue.pop_front() {
            let response = match dma.write(write.burst.span().0, &write.data, &write.mask) {
                true => Response::Okay,
                false => self.outside,
            };
            let delay = self.pace.delay();
            self.answers.push_back(WriteAnswer {
                id: write.id,
                delay,
                response,
            });
        }
        Ok(())
    }

    pub(crate) fn drive(&mut self, model: &mut Model) {
        for answer in &mut self.answers {
            answer.delay = answer.delay.saturating_sub(1);
        }
        if self.offered.is_none() {
            self.offered = next_of(&self.answers, &mut self.pace, |answer| {
                (answer.id, answer.delay)
            });
            if let Some(at) = self.offered {
                let answer = &self.answers[at];
                model.set(self.pins.answer, answer.response as u64);
                self.pins
                    .answer_id
                    .into_iter()
                    .for_each(|id| model.set(id, answer.id));
            }
            model.set(self.pins.answer_valid.pin, self.offered.is_some().into());
        }
        let room = self.queue.len() + self.answers.len() < self.most;
        self.requests.set_ready(model, room && self.pace.is_early());
        let room = !self.queue.is_empty() || self.ahead.len() < AHEAD;
        self.data.set_ready(model, room && self.pace.is_early());
    }

    /// Is in reset with the design: what was under way is forgotten.
    pub(crate) fn reset(&mut self, model: &mut Model) {
        self.queue.clear();
        self.ahead.clear();
        self.answers.clear();
        self.offered = None;
        self.requests.forget();
        self.data.forget();
        self.requests.set_ready(model, false);
        self.data.set_ready(model, false);
        model.set(self.pins.answer_valid.pin, 0);
    }

    /// Returns the signal of a VALID that is 1 in reset.
    pub(crate) fn loud_in_reset(&self, model: &Model) -> Option<&str> {
        [&self.requests, &self.data]
            .into_iter()
            .find(|channel| channel.is_valid(model))
            .map(Channel::valid)
    }
}
