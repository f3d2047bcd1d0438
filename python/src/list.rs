//! A free list in a device.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::failure::{Failure, Status};
use crate::link::List;

/// A free list in a device. Objects are numbers from 0; it is empty until some are given.
#[pyclass(frozen, module = "hwpool")]
pub(crate) struct FreeList {
    name: String,
    /// `None` after it was closed.
    list: Mutex<Option<List>>,
}

impl FreeList {
    pub(crate) fn new(list: List) -> FreeList {
        FreeList {
            name: list.list.name(),
            list: Mutex::new(Some(list)),
        }
    }

    /// Does something with the list, detached from the interpreter.
    fn with<R: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut List) -> Result<R, Failure> + Send,
    ) -> PyResult<R> {
        let done = py.detach(|| match &mut *self.lock() {
            Some(list) => act(list),
            None => Err(Failure::new(
                Status::Closed,
                format!("{} was closed", self.name),
            )),
        });
        Ok(done?)
    }

    fn lock(&self) -> MutexGuard<'_, Option<List>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl FreeList {
    /// The list's name, as the device's specification calls it: `pool 3`.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// How many objects there are.
    #[getter]
    fn capacity(&self, py: Python<'_>) -> PyResult<u32> {
        self.with(py, |list| Ok(list.config.objects))
    }

    /// Bytes from one object to the next.
    #[getter]
    fn stride(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |list| Ok(list.config.stride))
    }

    /// How many objects the device has by the driver's own books.
    #[getter]
    fn held(&self, py: Python<'_>) -> PyResult<u32> {
        self.with(py, |list| Ok(list.list.ledger().held()))
    }

    /// Returns where the device finds an object.
    fn iova(&self, py: Python<'_>, object: u32) -> PyResult<u64> {
        self.with(py, |list| match object < list.config.objects {
            true => Ok(list.config.base.0 + u64::from(object) * list.config.stride),
            false => {
                let last = list.config.objects - 1;
                let text = format!("object {object}: there are 0 to {last}");
                Err(Failure::new(Status::Argument, text))
            }
        })
    }

    /// Gives objects to the device, all of them or none.
    fn give(&self, py: Python<'_>, objects: Vec<u32>) -> PyResult<()> {
        self.with(py, |list| Ok(list.list.give(&objects)?))
    }

    /// Takes `count` objects from the device, all of them or none: an empty list where it has not as many.
    #[pyo3(signature = (count = 1))]
    fn take(&self, py: Python<'_>, count: u32) -> PyResult<Vec<u32>> {
        self.with(py, |list| {
            if count > list.config.objects {
                return Ok(Vec::new());
            }
            let mut objects = vec![0; count as usize];
            Ok(match list.list.take(&mut objects)? {
                true => objects,
                false => Vec::new(),
            })
        })
    }

    /// Tells the device what was given and taken and was not told yet.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |list| Ok(list.list.flush()?))
    }

    /// Asks the device how many objects are in its list; None where it does not count.
    fn available(&self, py: Python<'_>) -> PyResult<Option<u32>> {
        self.with(py, |list| Ok(list.list.available()?))
    }

    /// Takes all objects that the device has, and stops what moves them.
    fn drain(&self, py: Python<'_>) -> PyResult<Vec<u32>> {
        self.with(py, |list| Ok(list.list.drain()?))
    }

    /// Gives the list back to the device. A second time does nothing.
    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.lock().take()));
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, pyo3::types::PyTuple>) {
        self.close(py);
    }

    fn __repr__(&self) -> String {
        format!("<free list {}>", self.name)
    }
}
