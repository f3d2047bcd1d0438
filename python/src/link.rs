//! [`Link`]: a device over whatever transport its address names. Everything behind it is generic over the transport, and the
//! one `match` is in [`open`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hwpool::device::{AnyTransport, Attached, Session, recognition};
use hwpool::devices::bus::{Bar, BusError, Transport};
use hwpool::devices::family::{
    About, Choice, Fact, FreeList, Identity, ListConfig, Module, OpenReset, Recognition,
};
use hwpool::devices::pci;
use hwpool::devices::reg::Register;
use hwpool::dma::{Memory, MemoryRequest, Placement, Slice};
use serde_json::{Value, json};

use crate::failure::{Failure, Status};

/// A device. Every call may be made from any thread, and waits at most as long as the device may take.
pub(crate) trait Link: Send + Sync {
    /// Returns its address, as people may see it.
    fn name(&self) -> &str;
    /// Returns what is known of its kind.
    fn about(&self) -> Result<&About, Failure>;
    /// Returns what it is and can do.
    fn identity(&self) -> Result<&Identity, Failure>;
    /// Tells what PCI says of it.
    fn pci(&self) -> Result<Value, Failure>;
    /// Reads register `index` of a row with one access, whatever that does.
    fn read(&self, row: &Register, index: u16) -> Result<u64, Failure>;
    /// Writes it with one access.
    fn write(&self, row: &Register, index: u16, value: u64) -> Result<(), Failure>;
    /// Reads `width` bits at a place of a BAR.
    fn peek(&self, bar: u8, offset: u64, width: u32) -> Result<u64, Failure>;
    /// Writes `width` bits at a place of a BAR.
    fn poke(&self, bar: u8, offset: u64, value: u64, width: u32) -> Result<(), Failure>;
    /// Reads 32 bits of configuration space.
    fn config(&self, offset: u16) -> Result<u32, Failure>;
    /// Resets it, and enables it again where it was.
    fn reset(&self) -> Result<(), Failure>;
    /// Takes a free list into use.
    fn open_list(&self, objects: u32, stride: u64, way: Option<&str>) -> Result<List, Failure>;
    /// Stops and resets it, where it was enabled.
    fn close(&self) -> Result<(), Failure>;
}

/// A free list, and what has to outlive it.
pub(crate) struct List {
    pub(crate) list: Box<dyn FreeList>,
    pub(crate) config: ListConfig,
    /// The mapping of its objects.
    _objects: Box<dyn Send>,
}

/// Opens the device at `address`: recognised and, where it is to be enabled, reset, verified and enabled.
pub(crate) fn open(address: &str, enable: bool) -> Result<Arc<dyn Link>, Failure> {
    let Attached { transport, choice } = Attached::open(address)?;
    Ok(match transport {
        AnyTransport::Sim(transport) => Arc::new(On::new(transport, &choice, enable)?),
        AnyTransport::Vfio(transport) => Arc::new(On::new(transport, &choice, enable)?),
        AnyTransport::User(transport) => Arc::new(On::new(transport, &choice, enable)?),
    })
}

/// A device over the transport `T`.
struct On<T: Transport> {
    transport: Arc<T>,
    /// Its kind and what it is, or why that is not known.
    known: Result<Known<T>, Failure>,
    /// There where it was enabled and not closed.
    session: Mutex<Option<Arc<Session<T>>>>,
}

struct Known<T: Transport> {
    module: Arc<dyn Module<T, Slice<T>>>,
    identity: Identity,
}

impl<T: Transport> On<T> {
    fn new(transport: Arc<T>, choice: &Choice, enable: bool) -> Result<On<T>, Failure> {
        let session = match enable {
            true => Some(Arc::new(Session::open(transport.clone(), choice)?)),
            false => None,
        };
        Ok(On {
            known: Known::of(&transport, choice),
            transport,
            session: Mutex::new(session),
        })
    }

    fn session(&self) -> MutexGuard<'_, Option<Arc<Session<T>>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enabled(&self) -> Result<Arc<Session<T>>, Failure> {
        self.session().clone().ok_or_else(|| {
            let name = self.name();
            Failure::new(
                Status::Argument,
                format!("{name} was attached to, and not enabled: hwpool.open() enables it"),
            )
        })
    }

    /// Says of a failure that does not, as those of the bus, which device it is of.
    fn of(&self, error: impl Into<Failure>) -> Failure {
        error.into().within(self.name().to_owned())
    }

    fn of_register(&self, error: BusError, row: &Register, index: u16) -> Failure {
        let text = format!("{}: {}", self.name(), row.place(index));
        Failure::from(error).within(text)
    }

    fn known(&self) -> Result<&Known<T>, Failure> {
        self.known.as_ref().map_err(Clone::clone)
    }
}

impl<T: Transport> Known<T> {
    fn of(transport: &T, choice: &Choice) -> Result<Known<T>, Failure> {
        match recognition(transport, choice)? {
            Recognition::Known(module) => {
                let identity = module.identify(transport)?;
                Ok(Known { module, identity })
            }
            Recognition::Unknown(rejected) => {
                let reasons: String = rejected.iter().map(|no| format!("; {no}")).collect();
                let text = format!(
                    "{}: hwpool does not know this device{reasons}: name the driver, ?driver=NAME, or read places of its BARs",
                    transport.name()
                );
                Err(Failure::new(Status::Device, text))
            }
        }
    }
}

impl<T: Transport> Link for On<T> {
    fn name(&self) -> &str {
        self.transport.name()
    }

    fn about(&self) -> Result<&About, Failure> {
        Ok(self.known()?.module.about())
    }

    fn identity(&self) -> Result<&Identity, Failure> {
        Ok(&self.known()?.identity)
    }

    fn pci(&self) -> Result<Value, Failure> {
        let transport = &*self.transport;
        let identity = pci::identity(transport)?;
        let link = pci::link(transport)?;
        let msix = pci::msix(transport)?;
        let bars = (0..6).filter_map(|n| bar_size(transport, n).transpose());
        let bars = bars.collect::<Result<Vec<Value>, Failure>>()?;
        Ok(json!({
            "vendor": identity.vendor, "device": identity.device, "class": identity.class,
            "revision": identity.revision, "flr": pci::has_flr(transport)?,
            "link": link.map(|link| json!({ "generation": link.generation, "lanes": link.lanes })),
            "msix_vectors": msix.map(|msix| msix.vectors),
            "bars": bars,
        }))
    }

    fn read(&self, row: &Register, index: u16) -> Result<u64, Failure> {
        let bar = self.known()?.identity.bar(&*self.transport, row.bar());
        let read = bar.and_then(|bar| row.read_raw(&bar, index));
        read.map_err(|error| self.of_register(error, row, index))
    }

    fn write(&self, row: &Register, index: u16, value: u64) -> Result<(), Failure> {
        let bar = self.known()?.identity.bar(&*self.transport, row.bar());
        let written = bar.and_then(|bar| row.poke(&bar, index, value));
        written.map_err(|error| self.of_register(error, row, index))
    }

    fn peek(&self, bar: u8, offset: u64, width: u32) -> Result<u64, Failure> {
        check_width(width)?;
        let read = self.transport.bar(bar).and_then(|bar| match width {
            8 => bar.read8(offset).map(u64::from),
            16 => bar.read16(offset).map(u64::from),
            32 => bar.read32(offset).map(u64::from),
            _ => bar.read64(offset),
        });
        read.map_err(|error| self.of(error))
    }

    fn poke(&self, bar: u8, offset: u64, value: u64, width: u32) -> Result<(), Failure> {
        check_width(width)?;
        if value > u64::MAX >> (64 - width) {
            let text = format!("{value:#x} is more than {width} bits");
            return Err(Failure::new(Status::Argument, text));
        }
        let written = self.transport.bar(bar).and_then(|bar| match width {
            8 => bar.write8(offset, value as u8),
            16 => bar.write16(offset, value as u16),
            32 => bar.write32(offset, value as u32),
            _ => bar.write64(offset, value),
        });
        written.map_err(|error| self.of(error))
    }

    fn config(&self, offset: u16) -> Result<u32, Failure> {
        let read = self.transport.config_read32(offset);
        read.map_err(|error| self.of(error))
    }

    fn reset(&self) -> Result<(), Failure> {
        let Some(session) = self.session().clone() else {
            return self.transport.reset().map_err(|error| self.of(error));
        };
        let reset = session.driver.reset(OpenReset::Best);
        reset.map_err(|error| self.of(error))?;
        session.driver.start().map_err(|error| self.of(error))
    }

    fn open_list(&self, objects: u32, stride: u64, way: Option<&str>) -> Result<List, Failure> {
        let session = self.enabled()?;
        let limits = &session.driver.identity().limits;
        limits.check(objects, stride)?;
        let best = limits.ways.first().copied();
        let way = way.or(best);
        let way = way.ok_or_else(|| Failure::new(Status::Limit, "the device moves no objects"))?;
        let size = usize::try_from(u64::from(objects) * stride).unwrap_or(usize::MAX);
        let wanted = MemoryRequest::new(size)
            .pages(session.domain.pages())
            .label("hwpool-python");
        let memory = Arc::new(Memory::allocate(&wanted)?);
        let placement = Placement::Anywhere { align: stride };
        let mapping = session.domain.map(memory, placement)?;
        let config = ListConfig {
            base: mapping.iova(),
            stride,
            objects,
            capacity: objects,
        };
        Ok(List {
            list: session.open_list(&config, way, None)?,
            config,
            _objects: Box::new((mapping, session)),
        })
    }

    fn close(&self) -> Result<(), Failure> {
        let mut session = self.session();
        if let Some(open) = &*session {
            open.driver.close().map_err(|error| self.of(error))?;
        }
        *session = None;
        Ok(())
    }
}

fn check_width(width: u32) -> Result<(), Failure> {
    match width {
        8 | 16 | 32 | 64 => Ok(()),
        _ => Err(Failure::new(
            Status::Argument,
            format!("an access of {width} bits: 8, 16, 32 and 64 there are"),
        )),
    }
}

/// Tells how large a BAR is; `None` where there is none of this number.
fn bar_size<T: Transport>(transport: &T, number: u8) -> Result<Option<Value>, Failure> {
    match transport.bar(number) {
        Ok(bar) => Ok(Some(json!({ "bar": number, "bytes": bar.size() }))),
        Err(BusError::NoBar { .. }) => Ok(None),
        Err(error) => Ok(Some(json!({ "bar": number, "error": error.to_string() }))),
    }
}

/// Tells all that a device says of itself, as data.
pub(crate) fn facts(identity: &Identity) -> Value {
    let value = |fact: &Fact| match fact {
        Fact::Number(number) => json!(number),
        Fact::Range(low, high) => json!([low, high]),
        Fact::Flag(flag) => json!(flag),
        Fact::Text(text) => json!(text),
    };
    let facts = identity.facts.iter();
    facts
        .map(|(name, fact)| ((*name).to_owned(), value(fact)))
        .collect()
}
