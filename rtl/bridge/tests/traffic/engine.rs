//! The engines of traffic_engine.sv: programs them, and reads what they have logged.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use hwpool::devices::bus::{Bar, Transport};
use hwpool::user::{UserBar, UserWrite};
use hwpool_rtl::design::{Design, Outside};

use crate::axi::{Memory, Transaction};
use crate::common::Served;

/// Transactions that an engine takes at once, and beats of reads that it logs.
pub(crate) const MOST: usize = 16;
pub(crate) const MOST_BEATS: u64 = 1024;

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(60);

const COUNT: u64 = 0x100;
const GO: u64 = 0x108;
const ANSWERS: u64 = 0x200;
const BEATS: u64 = 0x2000;
const DATA: u64 = 0x1_0000;

/// Bits of the IDs, as traffic.sv has them.
const ID_BITS: [u32; 5] = [2, 4, 8, 1, 3];

/// An engine: its place, and what the design's file says of its port.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Engine {
    pub(crate) number: usize,
    /// Bytes of its bus.
    pub(crate) bus: u64,
    pub(crate) ids: u16,
    pub(crate) outstanding: usize,
    /// RESP where the memory is not there.
    refused: u8,
}

/// A transaction as registers have it, of AXI or not.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Raw {
    pub(crate) writes: bool,
    pub(crate) address: u64,
    pub(crate) len: u64,
    pub(crate) size: u64,
    pub(crate) burst: u64,
    pub(crate) id: u64,
    pub(crate) seed: u64,
    pub(crate) holes: bool,
    /// Strobes on all lanes.
    pub(crate) stray: bool,
}

/// A beat that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadBeat {
    id: u8,
    response: u8,
    last: bool,
    data: Vec<u8>,
}

/// What an engine has seen, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) beats: Vec<ReadBeat>,
    /// ID and RESP.
    pub(crate) answers: Vec<(u8, u8)>,
}

/// How often something came before what had been asked for earlier.
#[derive(Debug, Copy, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overtaken {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

impl Engine {
    pub(crate) fn all(design: &Design) -> Vec<Engine> {
        let ports = design.dma.iter().zip(ID_BITS).enumerate();
        let engine =
            |(number, (port, bits)): (usize, (&hwpool_rtl::design::DmaPort, u32))| Engine {
                number,
                bus: port.width.unwrap().0 / 8,
                ids: 1 << bits,
                outstanding: port.outstanding,
                refused: match port.outside {
                    Outside::Slave => 2,
                    Outside::Decode => 3,
                },
            };
        ports.map(engine).collect()
    }

    fn bar(&self, served: &Served) -> UserBar {
        served.client.bar(self.number as u8).unwrap()
    }

    /// Says what it shall do, and with which seed of its own pauses; 0: it makes none.
    pub(crate) fn program(&self, served: &Served, program: &[Transaction], pauses: u32) {
        assert!(program.len() <= MOST);
        let raw: Vec<Raw> = program.iter().map(Raw::from).collect();
        self.program_raw(served, &raw, pauses);
    }

    /// The same of what may be no AXI.
    pub(crate) fn program_raw(&self, served: &Served, program: &[Raw], pauses: u32) {
        let word = |offset, value| UserWrite::Bits64 { offset, value };
        let words = program.iter().enumerate().flat_map(|(n, raw)| {
            let at = 16 * n as u64;
            [word(at, raw.address), word(at + 8, raw.what())]
        });
        let count = word(COUNT, program.len() as u64 | u64::from(pauses) << 32);
        let words: Vec<UserWrite> = words.chain([count]).collect();
        self.bar(served).write_many(&words).unwrap();
    }

    /// Starts all that are programmed.
    pub(crate) fn go(&self, served: &Served) {
        self.bar(served).write64(GO, 1).unwrap();
    }

    /// Starts what no design survives: the access is answered or not.
    pub(crate) fn go_wrong(&self, served: &Served) {
        let _ = self.bar(served).write64(GO, 1);
        served.monitor.settled();
    }

    /// Waits until every transaction is answered. With a seed that is so when the first read has come back.
    pub(crate) fn finish(&self, served: &Served) {
        let bar = self.bar(served);
        let end = Instant::now() + PATIENCE;
        while bar.read64(COUNT).unwrap() & 0x1f != 0 {
            assert!(Instant::now() < end, "transactions without an answer");
        }
    }

    /// Has it count more transactions than there are, at which its assertion fails.
    pub(crate) fn overfill(&self, served: &Served) {
        let count = MOST as u64 + 1;
        self.bar(served).write64(COUNT, count).unwrap();
        self.go_wrong(served);
    }

    /// Reads all lanes of a beat that was read.
    pub(crate) fn row(&self, served: &Served, beat: u64) -> Vec<u8> {
        let bar = self.bar(served);
        let word = |at| bar.read64(DATA + 64 * beat + 8 * at).unwrap();
        bytes(0..self.bus as usize, word)
    }

    /// Reads the log: of each beat the lanes that matter.
    pub(crate) fn log(&self, served: &Served, program: &[Transaction]) -> Log {
        let bar = self.bar(served);
        let read = |offset| bar.read64(offset).unwrap();
        let state = read(COUNT);
        let answers = (0..state >> 32).map(|n| {
            let answer = read(ANSWERS + 8 * n);
            (answer as u8, (answer >> 8 & 3) as u8)
        });
        let answers = answers.collect();
        let mut queues = Queues::of(self, program, false);
        let beats = (0..state >> 16 & 0x7ff).map(|n| {
            let note = read(BEATS + 8 * n);
            let id = note as u8;
            let lanes = queues.next_lanes(id);
            ReadBeat {
                id,
                response: (note >> 8 & 3) as u8,
                last: note >> 10 & 1 != 0,
                data: bytes(lanes, |word| read(DATA + 64 * n + 8 * word)),
            }
        });
        Log {
            beats: beats.collect(),
            answers,
        }
    }

    /// Compares a log with what AXI says, and does to `memory` what was to be done; counts what came out of order.
    pub(crate) fn check(
        &self,
        program: &[Transaction],
        log: &Log,
        memory: &mut Memory,
    ) -> Overtaken {
        let overtaken = Overtaken {
            reads: self.check_reads(program, log, memory),
            writes: self.check_writes(program, log, memory),
        };
        for transaction in program.iter().filter(|transaction| transaction.writes) {
            if memory.has(&transaction.burst, self.bus) {
                memory.write(transaction, self.bus);
            }
        }
        overtaken
    }

    /// Of one ID the beats come in the order in which they were asked for, so each is the next of its ID.
    fn check_reads(&self, program: &[Transaction], log: &Log, memory: &Memory) -> u64 {
        let mut queues = Queues::of(self, program, false);
        let mut overtaken = 0;
        for (n, beat) in log.beats.iter().enumerate() {
            let (at, number) = queues.next(beat.id);
            let burst = program[at].burst;
            let is_there = memory.has(&burst, self.bus);
            let expected = ReadBeat {
                id: program[at].id,
                response: if is_there { 0 } else { self.refused },
                last: number as u64 + 1 == burst.length,
                data: match is_there {
                    true => memory.read(&burst, self.bus).swap_remove(number),
                    false => vec![0; burst.beats(self.bus)[number].lanes.len()],
                },
            };
            assert_eq!(
                *beat, expected,
                "beat {n} of the log, {number} of transaction {at}: {:x?}",
                program[at]
            );
            overtaken += u64::from(queues.oldest() < at);
            queues.took(beat.id);
        }
        assert!(queues.are_empty(), "beats are missing: {log:x?}");
        overtaken
    }

    fn check_writes(&self, program: &[Transaction], log: &Log, memory: &Memory) -> u64 {
        let mut queues = Queues::of(self, program, true);
        let mut overtaken = 0;
        for (n, (id, response)) in log.answers.iter().enumerate() {
            let (at, _) = queues.next(*id);
            let is_there = memory.has(&program[at].burst, self.bus);
            let expected = if is_there { 0 } else { self.refused };
            assert_eq!(
                *response, expected,
                "answer {n}, to transaction {at}: {:x?}",
                program[at]
            );
            overtaken += u64::from(queues.oldest() < at);
            queues.took(*id);
        }
        assert!(queues.are_empty(), "answers are missing: {log:x?}");
        overtaken
    }
}

impl From<&Transaction> for Raw {
    fn from(transaction: &Transaction) -> Raw {
        let burst = &transaction.burst;
        Raw {
            writes: transaction.writes,
            address: burst.address,
            len: burst.length - 1,
            size: burst.size.trailing_zeros().into(),
            burst: burst.kind as u64,
            id: transaction.id.into(),
            seed: transaction.seed.into(),
            holes: transaction.holes,
            stray: false,
        }
    }
}

impl Raw {
    fn what(&self) -> u64 {
        let flags = [self.writes, self.holes, self.stray];
        let flags = (13..).zip(flags).map(|(bit, flag)| u64::from(flag) << bit);
        let numbers =
            self.len | self.size << 8 | self.burst << 11 | self.id << 16 | self.seed << 24;
        flags.fold(numbers, |word, flag| word | flag)
    }
}

/// Reads bytes of a row by its words.
fn bytes(lanes: Range<usize>, word: impl Fn(u64) -> u64) -> Vec<u8> {
    let words = lanes.start / 8..lanes.end.div_ceil(8);
    let bytes = words.clone().flat_map(|at| word(at as u64).to_le_bytes());
    bytes
        .skip(lanes.start - 8 * words.start)
        .take(lanes.len())
        .collect()
}

/// Of each ID what is still to come: transactions by their place in the program, with the lanes of their beats.
struct Queues(HashMap<u8, VecDeque<Waiting>>);

struct Waiting {
    at: usize,
    /// Lanes of each beat; for a write only those of the first.
    lanes: Vec<Range<usize>>,
    next: usize,
}

impl Queues {
    fn of(engine: &Engine, program: &[Transaction], writes: bool) -> Queues {
        let mut queues: HashMap<u8, VecDeque<Waiting>> = HashMap::new();
        let asked = program.iter().enumerate();
        for (at, transaction) in asked.filter(|(_, transaction)| transaction.writes == writes) {
            let beats = transaction.burst.beats(engine.bus).into_iter();
            // A write has one answer, a read one a beat.
            let answers = if writes { 1 } else { usize::MAX };
            let lanes = beats.map(|beat| beat.lanes).take(answers).collect();
            let waiting = Waiting { at, lanes, next: 0 };
            queues.entry(transaction.id).or_default().push_back(waiting);
        }
        Queues(queues)
    }

    fn front(&self, id: u8) -> &Waiting {
        let queue = self.0.get(&id);
        let front = queue.and_then(VecDeque::front);
        front.unwrap_or_else(|| panic!("an answer to ID {id}, of which nothing is left to come"))
    }

    /// Returns which transaction comes next of an ID, and which beat of it.
    fn next(&self, id: u8) -> (usize, usize) {
        let front = self.front(id);
        (front.at, front.next)
    }

    /// Goes on by a beat; returns its lanes.
    fn next_lanes(&mut self, id: u8) -> Range<usize> {
        let front = self.front(id);
        let lanes = front.lanes[front.next].clone();
        self.took(id);
        lanes
    }

    fn took(&mut self, id: u8) {
        let Some(queue) = self.0.get_mut(&id) else {
            return;
        };
        queue[0].next += 1;
        if queue[0].next == queue[0].lanes.len() {
            queue.pop_front();
        }
    }

    /// Returns the oldest transaction that is not done.
    fn oldest(&self) -> usize {
        let fronts = self.0.values().filter_map(VecDeque::front);
        fronts.map(|front| front.at).min().unwrap_or(usize::MAX)
    }

    fn are_empty(&self) -> bool {
        self.0.values().all(VecDeque::is_empty)
    }
}
