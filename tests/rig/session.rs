//! A BMU, opened by its own driver.

use std::sync::Arc;

use hwpool::devices::bmu::Bmu;
use hwpool::devices::bus::Transport;
use hwpool::devices::family::{OpenError, OpenReset};
use hwpool::dma::Domain;

/// A BMU that was opened, as its driver, with the domain of its memory.
pub(crate) struct Session<T: Transport> {
    pub(crate) bmu: Arc<Bmu<T>>,
    pub(crate) domain: Arc<Domain<T>>,
}

impl<T: Transport> Session<T> {
    pub(crate) fn open(transport: Arc<T>) -> Result<Session<T>, OpenError> {
        let bmu = Bmu::open(transport.clone(), OpenReset::Best)?;
        let width = bmu.capabilities().address_width;
        let domain = Domain::new(transport, width).expect("the IOMMU tells what it maps");
        let bmu = Arc::new(bmu);
        Ok(Session { bmu, domain })
    }
}
