//! Slices: a side of a case works for a fraction of a millisecond, then the next side; who is compared runs next to
//! each other, so that whatever else the machine does hits both.

use std::time::{Duration, Instant};

/// How long a slice takes: much longer than reading a clock, much shorter than what a scheduler grants.
const SLICE: Duration = Duration::from_micros(200);

/// What one slice gave.
#[derive(Copy, Clone)]
pub(crate) struct Slice {
    /// In the unit of the case, over all rounds.
    pub(crate) amount: f64,
    /// The scheduler took the processor away meanwhile.
    pub(crate) disturbed: bool,
}

/// Runs so many rounds.
pub(crate) type Run = Box<dyn FnMut(u64) -> Slice>;

/// One contender of a case.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    run: Run,
}

/// What is compared: the last side is ours.
pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    /// The side that ours is compared with, by name.
    pub(crate) against: &'static str,
    /// The largest ratio to it that is good.
    pub(crate) at_most: Option<f64>,
    /// Things that one round moves or makes.
    per_round: u64,
    sides: Vec<Side>,
    /// Slices a side, where it is not the usual number, and then of one round each.
    slices: Option<usize>,
}

impl Case {
    /// Begins a case whose slices are a fraction of a millisecond.
    pub(crate) fn new(id: &'static str, what: &'static str, per_round: u64) -> Case {
        Case {
            id,
            what,
            unit: "ns",
            against: "",
            at_most: None,
            per_round,
            sides: Vec::new(),
            slices: None,
        }
    }

    pub(crate) fn against(self, side: &'static str, at_most: impl Into<Option<f64>>) -> Case {
        let at_most = at_most.into();
        Case {
            against: side,
            at_most,
            ..self
        }
    }

    /// Makes it a case of a few slices of one round, measured in `unit`.
    pub(crate) fn single_rounds(self, unit: &'static str, slices: usize) -> Case {
        let slices = Some(slices);
        Case {
            unit,
            slices,
            ..self
        }
    }

    /// Adds a side that is a loop on this thread.
    pub(crate) fn side(self, name: &'static str, rounds: impl FnMut(u64) + 'static) -> Case {
        self.run(name, timed(rounds))
    }

    pub(crate) fn run(mut self, name: &'static str, run: Run) -> Case {
        self.sides.push(Side { name, run });
        self
    }

    /// Measures all sides, `slices` times each.
    pub(crate) fn measure(mut self, slices: usize) -> Measured {
        let rounds: Vec<u64> = self
            .sides
            .iter_mut()
            .map(|side| self.slices.map_or_else(|| calibrate(side), |_| 1))
            .collect();
        let per_round = self.per_round as f64;
        let mut amounts = vec![Vec::new(); self.sides.len()];
        for turn in 0..self.slices.unwrap_or(slices) {
            let mut order: Vec<usize> = (0..self.sides.len()).collect();
            if turn % 2 == 1 {
                order.reverse();
            }
            for at in order {
                let slice = (self.sides[at].run)(rounds[at]);
                let amount = slice.amount / rounds[at] as f64 / per_round;
                amounts[at].push((!slice.disturbed).then_some(amount));
            }
        }
        Measured::new(self, amounts)
    }
}

/// Finds how many rounds fill a slice; warms caches and predictors on the way. The most of three attempts, because a
/// disturbance makes rounds look long.
fn calibrate(side: &mut Side) -> u64 {
    let wanted = SLICE.as_nanos() as f64;
    let mut attempt = || {
        let mut rounds = 1;
        loop {
            let amount = (side.run)(rounds).amount;
            if amount > wanted / 4.0 {
                return ((rounds as f64 * wanted / amount) as u64).max(1);
            }
            rounds *= 2;
        }
    };
    (0..3).map(|_| attempt()).max().expect("three attempts")
}

/// Makes a slice of a loop: nanoseconds.
pub(crate) fn timed(mut rounds: impl FnMut(u64) + 'static) -> Run {
    Box::new(move |n| time(&mut rounds, n))
}

/// As [`timed`], after `idle` rounds that don't count: they wake a thread that served nobody meanwhile.
pub(crate) fn woken(idle: u64, mut rounds: impl FnMut(u64) + 'static) -> Run {
    Box::new(move |n| {
        rounds(idle);
        time(&mut rounds, n)
    })
}

fn time(rounds: &mut impl FnMut(u64), n: u64) -> Slice {
    let before = disturbances();
    let started = Instant::now();
    rounds(n);
    let amount = started.elapsed().as_nanos() as f64;
    Slice {
        amount,
        disturbed: disturbances() != before,
    }
}

/// Counts how often the scheduler took the processor away from this thread.
pub(crate) fn disturbances() -> i64 {
    // SAFETY: zeros are a valid rusage, which the call overwrites.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage.ru_nivcsw
    }
}

/// Binds this thread to one processor, as DPDK binds its threads.
pub(crate) fn pin(processor: usize) {
    bind([processor]);
}

/// Lets this thread run on any processor.
pub(crate) fn unpin() {
    bind(0..libc::CPU_SETSIZE as usize);
}

fn bind(processors: impl IntoIterator<Item = usize>) {
    // SAFETY: zeros are an empty set, and the set is as large as the call is told. Where it fails, threads move: slower.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        processors
            .into_iter()
            .for_each(|processor| libc::CPU_SET(processor, &mut set));
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// A case with what its sides took.
pub(crate) struct Measured {
    pub(crate) id: &'static str,
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) against: &'static str,
    pub(crate) at_most: Option<f64>,
    /// Ours last. Undisturbed slices only.
    pub(crate) sides: Vec<Summary>,
}

/// One side: what an object took.
pub(crate) struct Summary {
    pub(crate) name: &'static str,
    pub(crate) median: f64,
    pub p10: f64,
    pub(crate) slices: usize,
    /// To the side that is compared with; `None` where that is missing.
    pub(crate) ratio: Option<Ratio>,
}

/// Quantiles of the ratios of slices that ran next to each other.
#[derive(Copy, Clone)]
pub(crate) struct Ratio {
    pub p10: f64,
    pub(crate) median: f64,
    pub p90: f64,
}

impl Measured {
    fn new(case: Case, amounts: Vec<Vec<Option<f64>>>) -> Measured {
        let reference = case.sides.iter().position(|side| side.name == case.against);
        let summary = |(side, own): (&Side, &Vec<Option<f64>>)| {
            let amounts_of_side = sorted(own.iter().flatten().copied());
            let ratios = reference.map(|at| {
                let both = own.iter().zip(&amounts[at]);
                sorted(both.filter_map(|(own, other)| Some(own.as_ref()? / other.as_ref()?)))
            });
            Summary {
                name: side.name,
                median: quantile(&amounts_of_side, 0.5),
                p10: quantile(&amounts_of_side, 0.1),
                slices: amounts_of_side.len(),
                ratio: ratios
                    .filter(|ratios| !ratios.is_empty())
                    .map(|ratios| Ratio {
                        p10: quantile(&ratios, 0.1),
                        median: quantile(&ratios, 0.5),
                        p90: quantile(&ratios, 0.9),
                    }),
            }
        };
        let sides = case.sides.iter().zip(&amounts).map(summary).collect();
        Measured {
            id: case.id,
            what: case.what,
            unit: case.unit,
            against: case.against,
            at_most: case.at_most,
            sides,
        }
    }

    pub(crate) fn ours(&self) -> &Summary {
        self.sides.last().expect("a case has sides")
    }

    /// Tells whether the target is reached, where there is one and a peer to compare with.
    pub(crate) fn is_ok(&self) -> Option<bool> {
        Some(self.ours().ratio?.median <= self.at_most?)
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = (sorted.len().saturating_sub(1) as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}
