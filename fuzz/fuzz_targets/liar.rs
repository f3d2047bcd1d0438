//! A model that lies: what its registers and its configuration space read is the truth or what the input says, and so is
//! what lies in the memory that it may write.

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hwpool::devices::bus::{Bar, BusError, DmaError, DmaLimits, DmaSource, Iova, Transport};
use hwpool::sim::{InProcess, SimBar, SimConfig, SimDoorbell, SimIrq};

/// Where the lies come from, and the memory that the device may write.
pub struct Lies {
    input: Vec<u8>,
    at: usize,
    /// Reads that are true before the first that may be a lie.
    truths: u16,
    memory: Vec<(File, u64, u64)>,
    /// A place that reads the same for ever: waits for it end by their deadlines alone.
    stuck: Option<(u64, u64)>,
    /// How far the driver's clock is ahead of the model's: waits may last a minute by what the device said of itself, and a
    /// stepped model's clock takes small steps.
    ahead: Duration,
    /// Something was no truth.
    told: bool,
}

impl Lies {
    pub fn new(input: &[u8], truths: u8) -> Lies {
        Lies {
            input: input.to_vec(),
            at: 0,
            truths: truths.into(),
            memory: Vec::new(),
            stuck: None,
            ahead: Duration::ZERO,
            told: false,
        }
    }

    /// Takes the next byte of the input, for whoever needs one.
    pub fn byte(&mut self) -> Option<u8> {
        let byte = self.input.get(self.at).copied();
        self.at += 1;
        byte
    }

    /// Tells whether the device has lied.
    #[allow(dead_code, reason = "not every driver is held to what is true")]
    pub fn told(&self) -> bool {
        self.told
    }

    fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte().unwrap_or(0)))
    }

    /// Makes something of what a place reads; `None` is a bus error.
    fn instead(&mut self, truth: u64, place: u64) -> Option<u64> {
        if self.truths > 0 {
            self.truths -= 1;
            return Some(truth);
        }
        let stuck = self.stuck.filter(|(at, _)| *at == place);
        let answer = match self.byte().unwrap_or(0) % 16 {
            _ if stuck.is_some() => stuck.map(|(_, value)| value),
            9 => {
                let value = match self.byte().unwrap_or(0) {
                    0 => truth,
                    other => other.into(),
                };
                self.stuck = Some((place, value));
                Some(value)
            }
            10 => Some(self.byte().unwrap_or(0).into()),
            11 => None,
            12 => Some(u64::MAX),
            13 => Some(truth ^ 1 << (self.byte().unwrap_or(0) % 64)),
            14 => Some(self.word()),
            15 => {
                self.scribble();
                Some(truth)
            }
            _ => Some(truth),
        };
        self.told |= answer != Some(truth);
        answer
    }

    /// Writes a word somewhere into the driver's memory.
    fn scribble(&mut self) {
        let (which, place) = (self.word(), self.word());
        let value = self.word();
        let Some((file, offset, len)) = self.memory.get(which as usize % self.memory.len().max(1))
        else {
            return;
        };
        self.told = true;
        let at = (offset + place % len) as i64 & !7;
        let _ = nix::sys::uio::pwrite(file, &value.to_le_bytes(), at);
    }
}

/// Where configuration space lies, among the places that are read.
const CONFIG: u64 = 1 << 63;

/// The model, with lies about what it says.
#[derive(Clone)]
pub struct Liar {
    pub model: InProcess,
    lies: Arc<Mutex<Lies>>,
}

impl Liar {
    pub fn open(config: SimConfig, lies: Lies) -> Liar {
        let name = config.name().to_owned();
        Liar {
            model: InProcess::open(&name, "fuzz", config).expect("a model"),
            lies: Arc::new(Mutex::new(lies)),
        }
    }

    pub fn lies(&self) -> MutexGuard<'_, Lies> {
        self.lies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a read of a register, or of configuration space, whose places follow those of all BARs.
    fn instead(&self, truth: u64, offset: u64, width: u8) -> Result<u64, BusError> {
        let failed = || BusError::Failed {
            offset,
            width,
            cause: "the input says so".into(),
        };
        self.lies().instead(truth, offset).ok_or_else(failed)
    }
}

#[derive(Clone)]
pub struct LiarBar {
    bar: SimBar,
    liar: Liar,
}

impl Bar for LiarBar {
    type Doorbell = SimDoorbell;

    fn size(&self) -> u64 {
        self.bar.size()
    }
    fn read32(&self, offset: u64) -> Result<u32, BusError> {
        let truth = self.bar.read32(offset)?.into();
        self.liar
            .instead(truth, offset, 4)
            .map(|value| value as u32)
    }
    fn read64(&self, offset: u64) -> Result<u64, BusError> {
        let truth = self.bar.read64(offset)?;
        self.liar.instead(truth, offset, 8)
    }
    fn write32(&self, offset: u64, value: u32) -> Result<(), BusError> {
        self.bar.write32(offset, value)
    }
    fn write64(&self, offset: u64, value: u64) -> Result<(), BusError> {
        self.bar.write64(offset, value)
    }
    fn doorbell(&self, offset: u64) -> Result<SimDoorbell, BusError> {
        self.bar.doorbell(offset)
    }
}

impl Transport for Liar {
    type Bar = LiarBar;
    type Irq = SimIrq;

    fn name(&self) -> &str {
        "fuzz"
    }
    fn bar(&self, index: u8) -> Result<LiarBar, BusError> {
        let (bar, liar) = (self.model.bar(index)?, self.clone());
        Ok(LiarBar { bar, liar })
    }
    fn config_read32(&self, offset: u16) -> Result<u32, BusError> {
        let truth = self.model.config_read32(offset)?.into();
        self.instead(truth, CONFIG | u64::from(offset), 4)
            .map(|value| value as u32)
    }
    fn config_write32(&self, offset: u16, value: u32) -> Result<(), BusError> {
        self.model.config_write32(offset, value)
    }
    fn config_write16(&self, offset: u16, value: u16) -> Result<(), BusError> {
        self.model.config_write16(offset, value)
    }
    fn irq_count(&self) -> Result<u16, BusError> {
        self.model.irq_count()
    }
    fn irq(&self, vector: u16) -> Result<SimIrq, BusError> {
        self.model.irq(vector)
    }
    fn reset(&self) -> Result<(), BusError> {
        self.model.reset()
    }
    fn dma_limits(&self) -> Result<DmaLimits, DmaError> {
        self.model.dma_limits()
    }
    fn dma_map(&self, iova: Iova, source: DmaSource<'_>) -> Result<(), DmaError> {
        self.model.dma_map(iova, source)?;
        if let Ok(file) = source.file.try_clone_to_owned() {
            self.lies()
                .memory
                .push((file.into(), source.offset, source.len));
        }
        Ok(())
    }
    fn dma_unmap(&self, iova: Iova, len: u64) -> Result<(), DmaError> {
        self.model.dma_unmap(iova, len)
    }
    fn now(&self) -> Duration {
        self.model.now() + self.lies().ahead
    }
    fn relax(&self) {
        self.model.relax();
        let mut lies = self.lies();
        if lies.stuck.is_some() {
            lies.ahead += Duration::from_millis(1);
        }
    }
}
