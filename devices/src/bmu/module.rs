//! The BMU as a member of the family of devices.

use std::any::Any;
use std::sync::Arc;

use crate::bmu::about::{ABOUT, PORTAL, REGISTER};
use crate::bmu::device::Bmu;
use crate::bmu::identity::identify;
use crate::bmu::list::List;
use crate::bmu::parts::absent;
use crate::bmu::portal::PortalConfig;
use crate::bmu::regs;
use crate::bus::{BusError, DmaBuffer, Transport};
use crate::family;
use crate::family::{
    About, Complaint, Driver, FreeList, Identity, Kind, ListConfig, OpenError, OpenReset,
    ResetError, SetupError,
};
use crate::reg::{Field, Register};

/// The module of the BMU.
#[derive(Debug, Copy, Clone)]
pub struct Module;

impl Kind for Module {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn harmless(&self, row: &Register, identity: &Identity) -> u64 {
        // Turning these on with nothing configured is an error, rightly; LIVENESS answers with the complement.
        let acts = [
            regs::POOL_CONTROL.row(),
            regs::PORTAL_CONTROL.row(),
            regs::LIVENESS.row(),
        ];
        let addresses = [
            regs::POOL_BASE.row(),
            regs::POOL_END.row(),
            regs::PORTAL_RELEASE_BASE.row(),
            regs::PORTAL_ACQUIRE_BASE.row(),
            regs::PORTAL_STATUS_BASE.row(),
        ];
        let is_one_of = |rows: &[&Register]| rows.iter().any(|known| known.name == row.name);
        if is_one_of(&acts) {
            return 0;
        }
        if is_one_of(&addresses) {
            let width = identity.limits.address_width.clamp(1, 64);
            return u64::MAX >> (64 - width) & !0x3f;
        }
        row.bits
    }

    fn is_optional(&self, row: &Register) -> bool {
        absent(0).contains(&&*row.name)
    }

    fn causes(&self, complaint: &Complaint) -> &'static [&'static str] {
        halts(complaint)
    }
}

/// What halts a portal that complains of `errors`.
fn halts(errors: &Complaint) -> &'static [&'static str] {
    let has = |kind: Field| kind.of(errors.bits) != 0;
    if has(regs::error::DMA_FAULT) {
        &[
            "the IOMMU refused the access: dmesg (DMAR, AMD-Vi) has the address and the requester id",
            "the address lost its high bits on the way to the bus",
            "bus mastering is off",
        ]
    } else if has(regs::error::BAD_DOORBELL) {
        &["the doorbell's value was split or cut off on its way to the device"]
    } else if has(regs::error::STALE_ENTRY) {
        &[
            "the doorbell overtook the entries that it announces, or the device read them before it",
            "the phase bit is that of another lap: the ring's size is taken wrong",
        ]
    } else if errors.bits == 0 {
        &[
            "PORTAL_STATUS or PORTAL_ERROR is a constant, or the error is not latched when a portal halts",
        ]
    } else {
        &[
            "the device takes a correct entry or configuration for a wrong one: its error bit says why",
        ]
    }
}

impl<T: Transport, D: DmaBuffer> family::Module<T, D> for Module {
    fn identify(&self, transport: &T) -> Result<Identity, OpenError> {
        identify(transport).map(|capabilities| capabilities.identity())
    }

    fn open(
        &self,
        transport: Arc<T>,
        reset: OpenReset,
    ) -> Result<Arc<dyn Driver<T, D>>, OpenError> {
        Ok(Arc::new(Bmu::open(transport, reset)?))
    }
}

impl<T: Transport, D: DmaBuffer> Driver<T, D> for Bmu<T> {
    fn about(&self) -> &About {
        &ABOUT
    }

    fn identity(&self) -> &Identity {
        Bmu::identity(self)
    }

    fn transport(&self) -> &Arc<T> {
        Bmu::transport(self)
    }

    fn ring_bytes(&self, config: &ListConfig, way: &str) -> usize {
        match way {
            way if way == PORTAL.name => portal_config(self, config).layout.size(),
            _ => 0,
        }
    }

    fn open_list(
        self: Arc<Self>,
        config: &ListConfig,
        way: &str,
        rings: Option<D>,
    ) -> Result<Box<dyn FreeList>, SetupError> {
        let portal = match way {
            way if way == PORTAL.name => Some(portal_config(&self, config)),
            way if way == REGISTER.name && self.capabilities().register_path => None,
            _ => {
                return Err(SetupError::NoWay {
                    way: way.into(),
                    known: Bmu::identity(&self).limits.ways.clone(),
                });
            }
        };
        let mut list = List::open(&self, config)?;
        if let Some(portal) = portal {
            let rings = rings.filter(|rings| rings.size() >= portal.layout.size());
            let rings = rings.ok_or_else(|| SetupError::Invalid {
                what: "memory for the rings in bytes",
                value: 0,
                allowed: format!("at least {}", portal.layout.size()),
            })?;
            list.open_portal(rings, &portal)?;
        }
        Ok(Box::new(list))
    }

    fn reset(&self, reset: OpenReset) -> Result<(), ResetError> {
        Bmu::reset(self, reset)
    }

    fn start(&self) -> Result<(), BusError> {
        Bmu::start(self)
    }

    fn close(&self) -> Result<(), ResetError> {
        Bmu::close(self)
    }

    fn vectors(&self) -> Result<u16, BusError> {
        Bmu::vectors(self)
    }

    fn interrupt(&self, vector: u16) -> Result<T::Irq, BusError> {
        Bmu::interrupt(self, vector)
    }

    fn trigger(&self, vector: u16) -> Result<bool, BusError> {
        Bmu::trigger(self, vector).map(|()| true)
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

fn portal_config<T: Transport>(bmu: &Bmu<T>, config: &ListConfig) -> PortalConfig {
    PortalConfig::for_pool(config.objects, bmu.capabilities().ring_log2)
}
