//! [`Failure`]: why a call did not do what it was asked for, and how Python sees it.

use std::error::Error;
use std::iter;

use hwpool::DeviceError;
use hwpool::device::ListError;
use hwpool::devices::bus::BusError;
use hwpool::devices::family::{OpenError, PathError, ResetError, SetupError};
use hwpool::dma::{MapError, MemoryError};
use pyo3::prelude::*;

/// What is wrong, by the numbers of `hwpool.h`: a test holds `hwpool.Status` against that.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Status {
    Argument = -1,
    Closed = -3,
    Device = -6,
    Memory = -7,
    Limit = -9,
    NotOut = -11,
    Poisoned = -12,
    Refused = -13,
}

/// Why a call did not do what it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    status: Status,
    /// What failed, why, why that.
    causes: Vec<String>,
    /// The function of `_errors.py` that makes Python's error of it.
    maker: &'static str,
}

impl Failure {
    pub(crate) fn new(status: Status, text: impl Into<String>) -> Failure {
        let causes = vec![text.into()];
        Failure {
            status,
            causes,
            maker: OF_STATUS,
        }
    }

    /// Says that a device is known, and has no register of that name: Python calls that a `KeyError`.
    pub(crate) fn of_name(self) -> Failure {
        match self.status {
            Status::Argument => Failure {
                maker: "of_register",
                ..self
            },
            _ => self,
        }
    }

    /// Puts before it what failed because of it.
    pub(crate) fn within(mut self, text: String) -> Failure {
        self.causes.insert(0, text);
        self
    }

    /// Makes it of an error and its sources.
    pub(crate) fn of(status: Status, error: &dyn Error) -> Failure {
        let chain = iter::successors(Some(error), |error| (*error).source());
        let causes = chain.map(ToString::to_string).collect();
        Failure {
            status,
            causes,
            maker: OF_STATUS,
        }
    }
}

const OF_STATUS: &str = "of_status";

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        Python::attach(|py| {
            let error = py.import("hwpool._errors").and_then(|errors| {
                errors.call_method1(failure.maker, (failure.status as i32, failure.causes))
            });
            error.map_or_else(|error| error, PyErr::from_value)
        })
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Failure {
        let status = match error.is_usage() {
            true => Status::Argument,
            false => Status::Device,
        };
        Failure::of(status, &error)
    }
}

impl From<BusError> for Failure {
    fn from(error: BusError) -> Failure {
        Failure::of(Status::Device, &error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        Failure::of(Status::Device, &error)
    }
}

impl From<ResetError> for Failure {
    fn from(error: ResetError) -> Failure {
        Failure::of(Status::Device, &error)
    }
}

impl From<MemoryError> for Failure {
    fn from(error: MemoryError) -> Failure {
        Failure::of(Status::Memory, &error)
    }
}

impl From<MapError> for Failure {
    fn from(error: MapError) -> Failure {
        Failure::of(Status::Memory, &error)
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Failure {
        let status = match error {
            SetupError::Invalid { .. } => Status::Argument,
            _ => Status::Limit,
        };
        Failure::of(status, &error)
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Failure {
        let status = match &error {
            ListError::Setup(SetupError::Invalid { .. }) => Status::Argument,
            ListError::Setup(_) => Status::Limit,
            _ => Status::Memory,
        };
        Failure::of(status, &error)
    }
}

impl From<PathError> for Failure {
    fn from(error: PathError) -> Failure {
        let status = match error {
            PathError::Refused { .. } => Status::NotOut,
            PathError::Poisoned { .. } => Status::Poisoned,
            _ => Status::Refused,
        };
        Failure::of(status, &error)
    }
}
