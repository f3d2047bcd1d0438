//! Registers by name, with their fields.

use std::sync::Arc;

use hwpool::devices::reg::{Access, Field, Register as Row};
use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList};

use crate::device::Device;
use crate::failure::{Failure, Status};
use crate::link::Link;

/// The registers that a device has, by name. An array has a register for each index: `POOL_BASE[3]`.
#[pyclass(frozen, module = "hwpool")]
pub(crate) struct Registers {
    device: Py<Device>,
}

/// One register of a device. Its fields are its attributes.
#[pyclass(frozen, module = "hwpool")]
pub(crate) struct Register {
    device: Py<Device>,
    row: &'static Row,
    index: u16,
}

impl Registers {
    pub(crate) fn new(device: Py<Device>) -> Registers {
        Registers { device }
    }
}

/// Returns the names of all registers that a device has.
fn names(link: &dyn Link) -> Result<Vec<String>, Failure> {
    let (about, identity) = (link.about()?, link.identity()?);
    let rows = about.registers.iter();
    Ok(rows
        .flat_map(|row| (0..identity.registers(row)).map(|index| row.place(index)))
        .collect())
}

/// Finds `NAME` or `NAME[INDEX]`, in any case, among what the device has.
fn find(link: &dyn Link, text: &str) -> Result<(&'static Row, u16), Failure> {
    let refused = |text: String| Failure::new(Status::Argument, text);
    let (name, index) = match text.split_once('[') {
        None => (text, None),
        Some((name, rest)) => {
            let digits = rest.strip_suffix(']').and_then(|index| index.parse().ok());
            let index: u16 = digits.ok_or_else(|| {
                refused(format!(
                    "`{text}`: an index is a number in brackets: {name}[0]"
                ))
            })?;
            (name, Some(index))
        }
    };
    let table: &'static [Row] = link.about()?.registers;
    let row = table.iter().find(|row| row.name.eq_ignore_ascii_case(name));
    let row = row.ok_or_else(|| refused(unknown(link.name(), table, name)))?;
    let there = link.identity()?.registers(row);
    let message = match (row.count(), index) {
        _ if there == 0 => format!("{} has no {}", link.name(), row.name),
        (1, None) => return Ok((row, 0)),
        (1, Some(_)) => format!("there is one {} only: leave the index out", row.name),
        (_, Some(index)) if index < there => return Ok((row, index)),
        (_, Some(index)) => format!("{} has indices 0 to {}, not {index}", row.name, there - 1),
        (_, None) => format!("there are {there} of {0}: write {0}[0]", row.name),
    };
    Err(refused(message))
}

fn unknown(device: &str, table: &[Row], name: &str) -> String {
    let wanted = name.to_ascii_uppercase();
    let similar = table.iter().filter(|row| row.name.contains(&wanted));
    let similar: Vec<&str> = similar.map(|row| &*row.name).collect();
    match similar.is_empty() || wanted.is_empty() {
        true => format!(
            "{device} has no register `{name}`: its registers name themselves, list(device.registers)"
        ),
        false => format!(
            "{device} has no register `{name}`: did you mean {}?",
            similar.join(", ")
        ),
    }
}

/// Reads a register whose read has no effect.
pub(crate) fn read(py: Python<'_>, device: &Device, name: &str) -> PyResult<u64> {
    let link = device.link()?;
    Ok(py.detach(|| {
        let (row, index) = find(&*link, name).map_err(Failure::of_name)?;
        read_pure(&*link, row, index)
    })?)
}

/// Writes a register.
pub(crate) fn write(py: Python<'_>, device: &Device, name: &str, value: u64) -> PyResult<()> {
    let link = device.link()?;
    Ok(py.detach(|| {
        let (row, index) = find(&*link, name).map_err(Failure::of_name)?;
        write_checked(&*link, row, index, value)
    })?)
}

fn read_pure(link: &dyn Link, row: &Row, index: u16) -> Result<u64, Failure> {
    let name = row.place(index);
    match row.access {
        Access::WriteOnly => Err(Failure::new(
            Status::Argument,
            format!("{name} can only be written"),
        )),
        access if !access.is_pure_read() => Err(Failure::new(
            Status::Argument,
            format!("a read of {name} takes something from the device: take() does that"),
        )),
        _ => link.read(row, index),
    }
}

fn write_checked(link: &dyn Link, row: &Row, index: u16, value: u64) -> Result<(), Failure> {
    let name = row.place(index);
    let refused = |text| Err(Failure::new(Status::Argument, text));
    if !row.access.is_writable() {
        return refused(format!("{name} can only be read"));
    }
    if value > row.all_ones() {
        return refused(format!(
            "{value:#x} is more than {name} has bits: {}",
            row.width * 8
        ));
    }
    link.write(row, index, value)
}

#[pymethods]
impl Registers {
    /// Returns a register by its name; reads nothing.
    fn __getitem__(&self, py: Python<'_>, name: &str) -> PyResult<Register> {
        let link = self.device.get().link()?;
        let (row, index) = find(&*link, name).map_err(Failure::of_name)?;
        let device = self.device.clone_ref(py);
        Ok(Register { device, row, index })
    }

    fn __contains__(&self, name: &str) -> PyResult<bool> {
        Ok(find(&*self.device.get().link()?, name).is_ok())
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(names(&*self.device.get().link()?)?.len())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let names = names(&*self.device.get().link()?)?;
        PyList::new(py, names)?.try_iter()
    }

    fn __repr__(&self) -> PyResult<String> {
        let link = self.device.get().link()?;
        Ok(format!("<registers of {}>", link.name()))
    }

    /// Reads every register whose read has no effect: a dictionary of values by name.
    fn dump<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let link = self.device.get().link()?;
        let values = py.detach(|| dump(&*link))?;
        let all = PyDict::new(py);
        for (name, value) in values {
            all.set_item(name, value)?;
        }
        Ok(all)
    }
}

fn dump(link: &dyn Link) -> Result<Vec<(String, u64)>, Failure> {
    let (about, identity) = (link.about()?, link.identity()?);
    let pure = about
        .registers
        .iter()
        .filter(|row| row.access.is_pure_read());
    pure.flat_map(|row| (0..identity.registers(row)).map(move |index| (row, index)))
        .map(|(row, index)| Ok((row.place(index), link.read(row, index)?)))
        .collect()
}

impl Register {
    fn link(&self) -> Result<Arc<dyn Link>, Failure> {
        self.device.get().link()
    }

    fn field(&self, name: &str) -> PyResult<&'static Field> {
        let mut fields = self.row.fields.iter();
        fields.find(|field| field.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.row.fields.iter().map(|field| &*field.name).collect();
            let (register, known) = (self.row.place(self.index), known.join(", "));
            PyAttributeError::new_err(format!("{register} has no field {name}: it has {known}"))
        })
    }
}

#[pymethods]
impl Register {
    /// The name, with its index where it is one of an array.
    #[getter]
    fn name(&self) -> String {
        self.row.place(self.index)
    }

    /// The BAR that holds it.
    #[getter]
    fn bar(&self) -> u8 {
        self.row.bar()
    }

    /// Byte offset in the BAR.
    #[getter]
    fn offset(&self) -> u64 {
        self.row.offset_of(self.index)
    }

    /// Bits, 32 or 64: the only width that it may be accessed with.
    #[getter]
    fn width(&self) -> u32 {
        u32::from(self.row.width) * 8
    }

    /// What reads and writes do, as the specification abbreviates it: RO, RW, W1C.
    #[getter]
    fn access(&self) -> &'static str {
        self.row.access.mnemonic()
    }

    /// The value after a reset; None where it tells of the device or of the moment.
    #[getter]
    fn reset_value(&self) -> Option<u64> {
        self.row.reset
    }

    /// One line for people.
    #[getter]
    fn description(&self) -> &str {
        &self.row.doc
    }

    /// Reads it, with one access; refused where a read takes something from the device.
    fn read(&self, py: Python<'_>) -> PyResult<u64> {
        let link = self.link()?;
        Ok(py.detach(|| read_pure(&*link, self.row, self.index))?)
    }

    /// Reads it, with one access, even where that takes something from the device.
    fn take(&self, py: Python<'_>) -> PyResult<u64> {
        let link = self.link()?;
        if self.row.access == Access::WriteOnly {
            return self.read(py);
        }
        Ok(py.detach(|| link.read(self.row, self.index))?)
    }

    /// Writes it, with one access and no read before or after.
    fn write(&self, py: Python<'_>, value: u64) -> PyResult<()> {
        let link = self.link()?;
        Ok(py.detach(|| write_checked(&*link, self.row, self.index, value))?)
    }

    /// Reads it once: a dictionary of its fields' values by name.
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let value = self.read(py)?;
        let fields = PyDict::new(py);
        for field in self.row.fields.iter() {
            fields.set_item(&*field.name, field.of(value))?;
        }
        Ok(fields)
    }

    /// Reads the register and returns one field.
    fn __getattr__(&self, py: Python<'_>, name: &str) -> PyResult<u64> {
        let field = self.field(name)?;
        Ok(field.of(self.read(py)?))
    }

    /// Reads the register, and writes it with one field replaced: two accesses. Where ones clear or set bits it writes the
    /// field's bits alone, with no read: what else is set is not this field's.
    fn __setattr__(&self, py: Python<'_>, name: &str, value: u64) -> PyResult<()> {
        let field = self.field(name)?;
        if field.of(field.mask()) < value {
            let bits = field.high - field.low + 1;
            let text = format!("{value:#x} is more than {name} has bits: {bits}");
            return Err(Failure::new(Status::Argument, text).into());
        }
        let others = match self.row.access {
            Access::WriteOneToClear | Access::WriteOneToSet => 0,
            _ => self.read(py)?,
        };
        self.write(py, field.set(others, value))
    }

    fn __dir__(&self) -> Vec<String> {
        let own = [
            "name",
            "bar",
            "offset",
            "width",
            "access",
            "reset_value",
            "description",
            "read",
            "take",
            "write",
            "fields",
        ];
        let fields = self.row.fields.iter().map(|field| field.name.to_string());
        own.into_iter().map(String::from).chain(fields).collect()
    }

    fn __repr__(&self) -> String {
        let (access, bar, offset) = (self.access(), self.bar(), self.offset());
        format!(
            "<register {}, {access}, BAR {bar} at {offset:#x}>",
            self.name()
        )
    }
}
