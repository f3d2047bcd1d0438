//! VFIO_USER_VERSION: what both sides can do.

use serde_json::{Map, Value, json};

use super::{CodecError, Fields, Put};

/// Version and capabilities, in a command as in its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Changes when peers stop understanding each other.
    pub major: u16,
    /// Changes when something is added.
    pub minor: u16,
    /// What the sender can take.
    pub capabilities: Capabilities,
}

/// What the sender of a [`Version`] can take. Absent ones have the protocol's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Descriptors in one message.
    pub max_msg_fds: u64,
    /// Bytes of data in one read or write.
    pub max_data_xfer_size: u64,
    /// DMA mappings at a time.
    pub max_dma_maps: u64,
    /// Page sizes of DMA mappings: bit *n* stands for 2ⁿ bytes.
    pub pgsizes: u64,
    /// VFIO_USER_REGION_WRITE_MULTI is understood.
    pub write_multiple: bool,
    /// Commands of the server go over a second socket, whose descriptor comes with the server's answer.
    ///
    /// Neither side of this crate says so: both take such commands on the one socket. A server may only use what its
    /// client proposed, so the client refuses one that says so all the same.
    pub twin_socket: bool,
}

impl Default for Capabilities {
    fn default() -> Capabilities {
        Capabilities {
            max_msg_fds: 1,
            max_data_xfer_size: 1 << 20,
            max_dma_maps: 65535,
            pgsizes: 4096,
            write_multiple: false,
            twin_socket: false,
        }
    }
}

impl Version {
    /// Reads the payload. The text may be absent, and may lack its terminating zero.
    ///
    /// # Errors
    ///
    /// Too few bytes, text that is no JSON, or a capability of another kind than the protocol says.
    pub fn decode(payload: &[u8]) -> Result<Version, CodecError> {
        let mut fields = Fields::new("VFIO_USER_VERSION", payload, 4)?;
        let (major, minor) = (fields.u16()?, fields.u16()?);
        let text = match fields.rest.iter().position(|byte| *byte == 0) {
            Some(end) => &fields.rest[..end],
            None => fields.rest,
        };
        let capabilities = match text.is_empty() {
            true => Capabilities::default(),
            false => Capabilities::parse(text)?,
        };
        Ok(Version {
            major,
            minor,
            capabilities,
        })
    }

    /// Appends the payload.
    pub fn encode(&self, message: &mut Vec<u8>) {
        message.put16(self.major);
        message.put16(self.minor);
        message.put(self.capabilities.text().as_bytes());
        message.push(0);
    }
}

impl Capabilities {
    /// Returns the smallest page in bytes: what addresses and sizes of DMA mappings are multiples of.
    pub fn smallest_page(&self) -> u64 {
        match self.pgsizes {
            0 => Capabilities::default().smallest_page(),
            sizes => 1 << sizes.trailing_zeros(),
        }
    }

    fn parse(text: &[u8]) -> Result<Capabilities, CodecError> {
        let document: Value = serde_json::from_slice(text).map_err(|error| CodecError::Json {
            why: error.to_string(),
        })?;
        let Value::Object(document) = &document else {
            return Err(wrong("the document", "an object"));
        };
        let mut found = Capabilities::default();
        let Some(named) = document.get("capabilities") else {
            return Ok(found);
        };
        let Value::Object(named) = named else {
            return Err(wrong("capabilities", "an object"));
        };
        number(named, "max_msg_fds", &mut found.max_msg_fds)?;
        number(named, "max_data_xfer_size", &mut found.max_data_xfer_size)?;
        number(named, "max_dma_maps", &mut found.max_dma_maps)?;
        number(named, "pgsizes", &mut found.pgsizes)?;
        boolean(named, "write_multiple", &mut found.write_multiple)?;
        if let Some(value) = named.get("twin_socket") {
            let twin = value.as_object();
            let twin = twin.ok_or_else(|| wrong("twin_socket", "an object"))?;
            boolean(twin, "supported", &mut found.twin_socket)?;
        }
        Ok(found)
    }

    fn text(&self) -> String {
        let mut capabilities = json!({
            "max_msg_fds": self.max_msg_fds,
            "max_data_xfer_size": self.max_data_xfer_size,
            "max_dma_maps": self.max_dma_maps,
            "pgsizes": self.pgsizes,
            "write_multiple": self.write_multiple,
        });
        if self.twin_socket {
            capabilities["twin_socket"] = json!({ "supported": true });
        }
        json!({ "capabilities": capabilities }).to_string()
    }
}

fn number(
    named: &Map<String, Value>,
    name: &'static str,
    place: &mut u64,
) -> Result<(), CodecError> {
    if let Some(value) = named.get(name) {
        let value = value.as_u64();
        *place = value.ok_or_else(|| wrong(name, "a number that is not negative"))?;
    }
    Ok(())
}

fn boolean(
    named: &Map<String, Value>,
    name: &'static str,
    place: &mut bool,
) -> Result<(), CodecError> {
    if let Some(value) = named.get(name) {
        let value = value.as_bool();
        *place = value.ok_or_else(|| wrong(name, "true or false"))?;
    }
    Ok(())
}

fn wrong(what: &str, expected: &str) -> CodecError {
    CodecError::Json {
        why: format!("{what} is not {expected}"),
    }
}
