//! VFIO_USER_DEVICE_GET_IRQ_INFO and SET_IRQS.

use vfio_bindings::bindings::vfio;

use super::{CodecError, Fields, Put};

/// VFIO_USER_DEVICE_GET_IRQ_INFO: one kind of interrupt. In the command only the index counts.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub struct IrqInfo {
    /// VFIO_IRQ_INFO flags.
    pub flags: u32,
    /// Which kind, as VFIO_PCI_MSIX_IRQ_INDEX.
    pub index: u32,
    /// Interrupts of that kind.
    pub count: u32,
}

impl IrqInfo {
    const SIZE: usize = 16;

    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// Too few bytes, there or counted by argsz.
    pub fn decode(payload: &[u8]) -> Result<IrqInfo, CodecError> {
        let mut fields = Fields::new("VFIO_USER_DEVICE_GET_IRQ_INFO", payload, IrqInfo::SIZE)?;
        fields.argsz(IrqInfo::SIZE)?;
        Ok(IrqInfo {
            flags: fields.u32()?,
            index: fields.u32()?,
            count: fields.u32()?,
        })
    }

    /// Appends the payload.
    pub fn encode(&self, message: &mut Vec<u8>) {
        message.put32(IrqInfo::SIZE as u32);
        message.put32(self.flags);
        message.put32(self.index);
        message.put32(self.count);
    }
}

/// What VFIO_USER_DEVICE_SET_IRQS does to the interrupts that it names.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum IrqAction {
    /// No more events until unmasked.
    Mask,
    /// Events again, and those that were held back.
    Unmask,
    /// With eventfds: assigns them. Else: fires.
    Trigger,
}

/// Which of the interrupts in the range are meant.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum IrqData<'a> {
    /// All.
    None,
    /// Those whose byte is not 0.
    Bool(&'a [u8]),
    /// All, with the descriptors that come along: one each, or none at all to take them back.
    Eventfd,
}

/// VFIO_USER_DEVICE_SET_IRQS. The reply is empty.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct SetIrqs<'a> {
    /// What is done.
    pub action: IrqAction,
    /// To which of them.
    pub data: IrqData<'a>,
    /// Which kind, as VFIO_PCI_MSIX_IRQ_INDEX.
    pub index: u32,
    /// First interrupt.
    pub start: u32,
    /// How many.
    pub count: u32,
}

impl<'a> SetIrqs<'a> {
    const SIZE: usize = 20;

    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// Too few bytes, there or counted by argsz, also for the booleans that are counted; not exactly one action and one kind of data.
    pub fn decode(payload: &'a [u8]) -> Result<SetIrqs<'a>, CodecError> {
        let mut fields = Fields::new("VFIO_USER_DEVICE_SET_IRQS", payload, SetIrqs::SIZE)?;
        fields.argsz(SetIrqs::SIZE)?;
        let flags = fields.u32()?;
        let (index, start, count) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let refused = CodecError::Value {
            what: "the flags of VFIO_USER_DEVICE_SET_IRQS",
            value: flags.into(),
        };
        let action = match flags & vfio::VFIO_IRQ_SET_ACTION_TYPE_MASK {
            vfio::VFIO_IRQ_SET_ACTION_MASK => IrqAction::Mask,
            vfio::VFIO_IRQ_SET_ACTION_UNMASK => IrqAction::Unmask,
            vfio::VFIO_IRQ_SET_ACTION_TRIGGER => IrqAction::Trigger,
            _ => return Err(refused),
        };
        let data = match flags & vfio::VFIO_IRQ_SET_DATA_TYPE_MASK {
            vfio::VFIO_IRQ_SET_DATA_NONE => IrqData::None,
            vfio::VFIO_IRQ_SET_DATA_BOOL => IrqData::Bool(fields.bytes(count.into())?),
            vfio::VFIO_IRQ_SET_DATA_EVENTFD => IrqData::Eventfd,
            _ => return Err(refused),
        };
        Ok(SetIrqs {
            action,
            data,
            index,
            start,
            count,
        })
    }

    /// Appends the payload.
    pub fn encode(&self, message: &mut Vec<u8>) {
        let action = match self.action {
            IrqAction::Mask => vfio::VFIO_IRQ_SET_ACTION_MASK,
            IrqAction::Unmask => vfio::VFIO_IRQ_SET_ACTION_UNMASK,
            IrqAction::Trigger => vfio::VFIO_IRQ_SET_ACTION_TRIGGER,
        };
        let (kind, bools) = match self.data {
            IrqData::None => (vfio::VFIO_IRQ_SET_DATA_NONE, &[][..]),
            IrqData::Bool(bools) => (vfio::VFIO_IRQ_SET_DATA_BOOL, bools),
            IrqData::Eventfd => (vfio::VFIO_IRQ_SET_DATA_EVENTFD, &[][..]),
        };
        message.put32((SetIrqs::SIZE + bools.len()) as u32);
        message.put32(action | kind);
        message.put32(self.index);
        message.put32(self.start);
        message.put32(self.count);
        message.put(bools);
    }
}
