//! A device: opened, asked, reset, closed.

use std::sync::{Arc, PoisonError, RwLock};

use hwpool::devices::family::Limits;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pythonize::pythonize;
use serde_json::{Value, json};

use crate::failure::{Failure, Status};
use crate::link::{self, Link};
use crate::list::FreeList;
use crate::registers::{self, Registers};

/// A device that was opened by its address.
#[pyclass(frozen, module = "hwpool")]
pub(crate) struct Device {
    name: String,
    /// `None` after it was closed.
    link: RwLock<Option<Arc<dyn Link>>>,
}

impl Device {
    pub(crate) fn link(&self) -> Result<Arc<dyn Link>, Failure> {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        let closed = || Failure::new(Status::Closed, format!("{} was closed", self.name));
        link.clone().ok_or_else(closed)
    }
}

#[pymethods]
impl Device {
    /// Opens the device at `address`: recognised and, unless `enable` is false, reset, verified and enabled.
    #[new]
    #[pyo3(signature = (address, *, enable = true))]
    fn new(py: Python<'_>, address: &str, enable: bool) -> PyResult<Device> {
        let link = py.detach(|| link::open(address, enable))?;
        Ok(Device {
            name: link.name().to_owned(),
            link: RwLock::new(Some(link)),
        })
    }

    /// The address that it was opened by, as people may see it: a VF token is hidden.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// Its kind, by the name of its driver: `bmu`.
    #[getter]
    fn kind(&self) -> PyResult<String> {
        Ok(self.link()?.about()?.name.to_owned())
    }

    /// One line for people on what it is.
    #[getter]
    fn description(&self) -> PyResult<String> {
        Ok(self.link()?.about()?.doc.to_owned())
    }

    /// What it can do: a dictionary with the names of `hwpool_device_info` in C.
    #[getter]
    fn limits<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let link = self.link()?;
        Ok(pythonize(py, &limits(&link.identity()?.limits))?)
    }

    /// All that it says of itself, by the names of its specification.
    #[getter]
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let link = self.link()?;
        Ok(pythonize(py, &link::facts(link.identity()?))?)
    }

    /// What PCI says of it: ids, link, BARs, resets, vectors. Reads configuration space.
    fn pci<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let link = self.link()?;
        let document = py.detach(|| link.pci())?;
        Ok(pythonize(py, &document)?)
    }

    /// Its registers, by name.
    #[getter]
    fn registers(this: Py<Self>) -> Registers {
        Registers::new(this)
    }

    /// Reads a register by its name, with one access.
    fn __getitem__(&self, py: Python<'_>, name: &str) -> PyResult<u64> {
        registers::read(py, self, name)
    }

    /// Writes a register by its name, with one access.
    fn __setitem__(&self, py: Python<'_>, name: &str, value: u64) -> PyResult<()> {
        registers::write(py, self, name, value)
    }

    /// Reads `width` bits of a BAR with one access, whatever that does.
    #[pyo3(signature = (bar, offset, width = 32))]
    fn read(&self, py: Python<'_>, bar: u8, offset: u64, width: u32) -> PyResult<u64> {
        let link = self.link()?;
        Ok(py.detach(|| link.peek(bar, offset, width))?)
    }

    /// Writes `width` bits of a BAR with one access.
    #[pyo3(signature = (bar, offset, value, width = 32))]
    fn write(&self, py: Python<'_>, bar: u8, offset: u64, value: u64, width: u32) -> PyResult<()> {
        let link = self.link()?;
        Ok(py.detach(|| link.poke(bar, offset, value, width))?)
    }

    /// Reads 32 bits of configuration space, at a multiple of 4.
    fn config(&self, py: Python<'_>, offset: u16) -> PyResult<u32> {
        let link = self.link()?;
        Ok(py.detach(|| link.config(offset))?)
    }

    /// Takes a free list of the device into use: `objects` of `size` bytes each, in memory that is made for them.
    #[pyo3(signature = (objects = 1024, size = 2048, *, way = None))]
    fn list(
        &self,
        py: Python<'_>,
        objects: u32,
        size: u64,
        way: Option<String>,
    ) -> PyResult<FreeList> {
        let link = self.link()?;
        let list = py.detach(|| link.open_list(objects, size, way.as_deref()))?;
        Ok(FreeList::new(list))
    }

    /// Resets it; one that was enabled is verified and enabled again. Refused while lists are in use.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        let link = self.link()?;
        Ok(py.detach(|| link.reset())?)
    }

    /// Stops and resets it, and lets go of it. Refused while lists are in use; a second time does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let place = || self.link.write().unwrap_or_else(PoisonError::into_inner);
        let Some(link) = place().take() else {
            return Ok(());
        };
        let closed = py.detach(|| link.close());
        if closed.is_err() {
            *place() = Some(link);
        }
        Ok(closed?)
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        format!("<device {}>", self.name)
    }
}

fn limits(limits: &Limits) -> Value {
    json!({
        "lists": limits.lists,
        "capacity": limits.objects,
        "stride_min": limits.stride.start(),
        "stride_max": limits.stride.end(),
        "power_of_two": limits.power_of_two,
        "address_width": limits.address_width,
        "timeout_ms": u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX),
        "vectors": limits.vectors,
        "ways": limits.ways,
    })
}
