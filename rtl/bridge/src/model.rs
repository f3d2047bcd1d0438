//! A Verilated design in this process: the only unsafe code of this crate.
//!
//! The library was made by this program from a shim of its own (`build/shim.cpp`); its calls are declared here a second
//! time, and `ABI` keeps the two from drifting apart. A port is memory of the design's, reached by its place and width.

#![expect(
    unsafe_code,
    reason = "calls into a loaded library, and memory that it owns"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libloading::{Library, Symbol};

/// What `hwpool_rtl_abi` returns; raised with every change of the calls.
const ABI: u32 = 1;

/// Most ports that a table may have before it is taken for garbage.
const MOST_PORTS: usize = 1 << 16;

/// Widest port that a design may have, in bits.
const MOST_BITS: u32 = 1 << 20;

/// Half a clock cycle, in the nanoseconds of waveforms.
const HALF_CYCLE: u64 = 5;

/// Why a design can't be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The library can't be loaded.
    #[error("the built design can't be loaded: {0}")]
    Load(#[from] libloading::Error),
    /// The library is of another version.
    #[error("the built design is no design of this version: remove its folder in the cache")]
    Foreign,
    /// The design could not be made.
    #[error("the design ended while it was made: is there memory for it?")]
    NotMade,
    /// The waveform can't be written.
    #[error("the waveform can't be written to {0}: is its folder there, and may you write?")]
    Trace(String),
}

/// The design has ended itself: why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Ended(pub String);

/// A port, by its place in the table.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Pin(u32);

/// What is known of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinInfo {
    /// Its name.
    pub name: String,
    /// Bits.
    pub bits: u32,
    /// The outside drives it.
    pub is_input: bool,
}

/// A row of the shim's table of ports.
#[repr(C)]
struct RawPort {
    name: *const c_char,
    data: *mut c_void,
    bits: u32,
    is_input: u32,
}

/// A port's memory, by its width: Verilator's CData, SData, IData, QData and WData.
#[derive(Copy, Clone)]
enum Place {
    Byte(*mut u8),
    Half(*mut u16),
    Word(*mut u32),
    Quad(*mut u64),
    /// The first of as many words as the bits need.
    Wide(*mut u32, usize),
}

type Handle = *mut c_void;

/// The shim's calls.
struct Calls {
    delete: unsafe extern "C" fn(Handle),
    eval: unsafe extern "C" fn(Handle, u64) -> c_int,
    ended: unsafe extern "C" fn(Handle) -> *const c_char,
    trace_open: unsafe extern "C" fn(Handle, *const c_char) -> c_int,
    trace_close: unsafe extern "C" fn(Handle),
    host: unsafe extern "C" fn(Handle, u8, u8, u64, u64),
}

/// What the registers hold that no reset has set.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Start {
    /// Zeros.
    Zeros,
    /// What this seed makes of them.
    Random(u64),
}

/// A design.
///
/// Invariants: `handle` is a design of the library's, and only this value has it; `places` are its ports' memory, of the
/// widths that `infos` tell, and live as long as it.
pub struct Model {
    handle: Handle,
    calls: Calls,
    places: Vec<Place>,
    infos: Vec<PinInfo>,
    /// Nanoseconds since the start, as waveforms show them.
    time: u64,
    /// Dropped last: the calls lie in it.
    _library: Library,
}

// SAFETY: a design has no thread of its own that touches its ports outside of `eval`, and no state by thread: one thread
// at a time may use it, whichever that is. `&mut self` on every call keeps it one.
unsafe impl Send for Model {}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("ports", &self.infos.len())
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Loads a built design.
    ///
    /// # Errors
    ///
    /// The library is none, or none of this version.
    pub fn load(library: &Path, start: Start, threads: u32) -> Result<Model, ModelError> {
        // SAFETY: the library was built by this program from Verilator's C++ and the shim; what it runs when it is loaded
        // are the constructors of these.
        let library = unsafe { Library::new(library) }?;
        // SAFETY: the shim defines each symbol with exactly this type (build/shim.cpp); `hwpool_rtl_abi`, whose type never
        // changes, is asked before any other is called.
        let (abi, make, ports, calls) = unsafe {
            (
                *symbol::<unsafe extern "C" fn() -> u32>(&library, "hwpool_rtl_abi")?,
                *symbol::<unsafe extern "C" fn(c_int, c_int, u32) -> Handle>(
                    &library,
                    "hwpool_rtl_new",
                )?,
                *symbol::<unsafe extern "C" fn(Handle) -> *const RawPort>(
                    &library,
                    "hwpool_rtl_ports",
                )?,
                Calls {
                    delete: *symbol(&library, "hwpool_rtl_delete")?,
                    eval: *symbol(&library, "hwpool_rtl_eval")?,
                    ended: *symbol(&library, "hwpool_rtl_ended")?,
                    trace_open: *symbol(&library, "hwpool_rtl_trace_open")?,
                    trace_close: *symbol(&library, "hwpool_rtl_trace_close")?,
                    host: *symbol(&library, "hwpool_rtl_host")?,
                },
            )
        };
        // SAFETY: it takes nothing and returns a number.
        if unsafe { abi() } != ABI {
            return Err(ModelError::Foreign);
        }
        let (reset, seed) = match start {
            Start::Zeros => (0, 0),
            // Verilator takes 31 bits, and 0 as none.
            Start::Random(seed) => (2, (seed % 0x7fff_fffe) as c_int + 1),
        };
        // SAFETY: it takes plain numbers; a design that can't be made is null.
        let handle = unsafe { make(reset, seed, threads) };
        if handle.is_null() {
            return Err(ModelError::NotMade);
        }
        let mut model = Model {
            handle,
            calls,
            places: Vec::new(),
            infos: Vec::new(),
            time: 0,
            _library: library,
        };
        // SAFETY: the handle is a design of this library's.
        model.take_ports(unsafe { ports(handle) })?;
        Ok(model)
    }

    /// Reads the table of ports, which ends with a row without a name.
    fn take_ports(&mut self, table: *const RawPort) -> Result<(), ModelError> {
        for row in 0..MOST_PORTS {
            // SAFETY: the rows up to the one without a name are there, and none is read behind it.
            let raw = unsafe { &*table.add(row) };
            if raw.name.is_null() {
                return Ok(());
            }
            if raw.data.is_null() || !(1..=MOST_BITS).contains(&raw.bits) {
                break;
            }
            // SAFETY: the name is a text constant of the library's.
            let name = unsafe { CStr::from_ptr(raw.name) };
            self.places.push(Place::of(raw.data, raw.bits));
            self.infos.push(PinInfo {
                name: name.to_string_lossy().into_owned(),
                bits: raw.bits,
                is_input: raw.is_input != 0,
            });
        }
        Err(ModelError::Foreign)
    }

    /// Returns every port.
    pub fn pins(&self) -> impl Iterator<Item = (Pin, &PinInfo)> {
        self.infos
            .iter()
            .enumerate()
            .map(|(at, info)| (Pin(at as u32), info))
    }

    /// Returns what is known of a port.
    ///
    /// # Panics
    ///
    /// The pin is of another design.
    pub fn info(&self, pin: Pin) -> &PinInfo {
        &self.infos[pin.0 as usize]
    }

    /// Reads a port; of a wide one the lowest 64 bits.
    ///
    /// # Panics
    ///
    /// The pin is of another design.
    #[inline]
    pub fn get(&self, pin: Pin) -> u64 {
        // SAFETY: by the invariant the place is memory of the design's, of this width and aligned for it; nobody writes to
        // it while `self` is borrowed.
        unsafe {
            match self.places[pin.0 as usize] {
                Place::Byte(at) => at.read().into(),
                Place::Half(at) => at.read().into(),
                Place::Word(at) => at.read().into(),
                Place::Quad(at) => at.read(),
                Place::Wide(at, _) => u64::from(at.read()) | u64::from(at.add(1).read()) << 32,
            }
        }
    }

    /// Sets a port; bits that it lacks are dropped, and of a wide one those above 64 become 0.
    ///
    /// # Panics
    ///
    /// The pin is of another design.
    #[inline]
    pub fn set(&mut self, pin: Pin, value: u64) {
        let bits = self.infos[pin.0 as usize].bits;
        let value = if bits < 64 {
            value & ((1 << bits) - 1)
        } else {
            value
        };
        // SAFETY: as for `get`, and `self` is borrowed alone.
        unsafe {
            match self.places[pin.0 as usize] {
                Place::Byte(at) => at.write(value as u8),
                Place::Half(at) => at.write(value as u16),
                Place::Word(at) => at.write(value as u32),
                Place::Quad(at) => at.write(value),
                Place::Wide(at, words) => {
                    at.write(value as u32);
                    at.add(1).write((value >> 32) as u32);
                    (2..words).for_each(|word| at.add(word).write(0));
                }
            }
        }
    }

    /// Reads a port as bytes, the lowest first; what it lacks is 0.
    ///
    /// # Panics
    ///
    /// The pin is of another design.
    pub fn get_bytes(&self, pin: Pin, bytes: &mut [u8]) {
        let Place::Wide(at, words) = self.places[pin.0 as usize] else {
            let value = self.get(pin).to_le_bytes();
            bytes.fill(0);
            bytes
                .iter_mut()
                .zip(value)
                .for_each(|(byte, value)| *byte = value);
            return;
        };
        bytes.fill(0);
        for (word, part) in bytes.chunks_mut(4).enumerate().take(words) {
            // SAFETY: as for `get`; `word` is below the number of words.
            let value = unsafe { at.add(word).read() };
            part.copy_from_slice(&value.to_le_bytes()[..part.len()]);
        }
    }

    /// Sets a port of whole bytes, the lowest first; what is not given is 0, and what it lacks is dropped.
    ///
    /// # Panics
    ///
    /// The pin is of another design.
    pub fn set_bytes(&mut self, pin: Pin, bytes: &[u8]) {
        let word_of = |part: &[u8]| {
            part.iter()
                .rev()
                .fold(0, |word: u64, byte| word << 8 | u64::from(*byte))
        };
        let Place::Wide(at, words) = self.places[pin.0 as usize] else {
            return self.set(pin, word_of(&bytes[..bytes.len().min(8)]));
        };
        let mut parts = bytes.chunks(4);
        for word in 0..words {
            let value = parts.next().map_or(0, word_of) as u32;
            // SAFETY: as for `set`; `word` is below the number of words.
            unsafe { at.add(word).write(value) };
        }
    }

    /// Settles the design, half a cycle later.
    ///
    /// # Errors
    ///
    /// The design has ended itself, or did not settle. It can't go on.
    #[inline]
    pub fn eval(&mut self) -> Result<(), Ended> {
        self.time += HALF_CYCLE;
        // SAFETY: the handle is a design, by the invariant.
        match unsafe { (self.calls.eval)(self.handle, self.time) } {
            0 => Ok(()),
            _ => Err(self.ended()),
        }
    }

    #[cold]
    fn ended(&self) -> Ended {
        // SAFETY: the text lives in the design, and nothing changes it before it was copied.
        let text = unsafe { CStr::from_ptr((self.calls.ended)(self.handle)) };
        Ended(text.to_string_lossy().into_owned())
    }

    /// Writes what happens from now on to a file, in FST; the design was built for it.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn trace_to(&mut self, path: &Path) -> Result<(), ModelError> {
        let refused = || ModelError::Trace(path.display().to_string());
        let text = CString::new(path.as_os_str().as_bytes()).map_err(|_| refused())?;
        // SAFETY: the handle is a design, and the path a text that outlives the call.
        match unsafe { (self.calls.trace_open)(self.handle, text.as_ptr()) } {
            0 => Ok(()),
            _ => Err(refused()),
        }
    }

    /// Shows an access of the host's in the waveform, from the next [`Model::eval`] on.
    pub fn show(&mut self, kind: u8, bar: u8, address: u64, data: u64) {
        // SAFETY: the handle is a design, and the rest are numbers.
        unsafe { (self.calls.host)(self.handle, kind, bar, address, data) }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: the handle is a design, and nothing uses it any more.
        unsafe {
            (self.calls.trace_close)(self.handle);
            (self.calls.delete)(self.handle);
        }
    }
}

impl Place {
    fn of(data: *mut c_void, bits: u32) -> Place {
        match bits {
            0..=8 => Place::Byte(data.cast()),
            9..=16 => Place::Half(data.cast()),
            17..=32 => Place::Word(data.cast()),
            33..=64 => Place::Quad(data.cast()),
            _ => Place::Wide(data.cast(), bits.div_ceil(32) as usize),
        }
    }
}

/// Finds a symbol.
///
/// # Safety
///
/// The library defines it with the type `T`.
unsafe fn symbol<'l, T>(library: &'l Library, name: &str) -> Result<Symbol<'l, T>, ModelError> {
    // SAFETY: the caller's promise.
    Ok(unsafe { library.get(name.as_bytes()) }?)
}
