//! What a device is and can do: magic number, version, capabilities (SPEC 4.1, 4.2), nothing believed unchecked.

use std::time::Duration;

use crate::bmu::about::{ABOUT, PORTAL, REGISTER};
use crate::bmu::parts::absent;
use crate::bmu::regs;
use crate::bus::{Bar, BusError, Transport};
use crate::family::life::read_alive;
use crate::family::{Fact, Identity, Limits, OpenError, check_identity, sized_bar};
use crate::reg::{Field, Reg, Scope, Word, access};
use crate::words::Words;

/// What a device can do (SPEC 4.1, 4.2), checked against what the specification allows.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Minor version of the specification.
    pub minor: u32,
    /// Implementer, 1 for the software model.
    pub implementer: u16,
    /// The implementer's revision.
    pub revision: u16,
    /// Pools.
    pub pools: u16,
    /// Portals.
    pub portals: u16,
    /// Interrupt vectors.
    pub vectors: u16,
    /// Smallest and largest ring, log2 of entries.
    pub ring_log2: (u32, u32),
    /// Bits of an IOVA that the device keeps.
    pub address_width: u32,
    /// Smallest and largest stride in bytes.
    pub stride: (u64, u64),
    /// Buffers that one pool can hold.
    pub buffers: u64,
    /// Longest time for a reset, a quiesce or the stop of a portal.
    pub timeout: Duration,
    /// POOL_ALLOC and POOL_FREE exist.
    pub register_path: bool,
    /// Thresholds exist.
    pub thresholds: bool,
    /// Natural alignment exists.
    pub natural_align: bool,
    /// The W1S twins act.
    pub injection: bool,
    /// 64-bit registers may be accessed as two halves.
    pub halves: bool,
    /// 64-bit registers may be accessed as two halves only: the driver does so then, and only then.
    pub halves_only: bool,
    /// Strides are powers of two only.
    pub power_of_two: bool,
    /// Longest time in which the list of a pool that was disabled is emptied; `None` where that takes none.
    pub emptying: Option<Duration>,
    /// Refused DMA writes are seen, and reported as DMA_FAULT.
    pub write_faults: bool,
    /// CAP_FEATURES as it reads: what a later minor version adds may be in it.
    pub features: u32,
}

impl Capabilities {
    /// Tells whether the device follows what 1.1 says of what 1.0 left open (SPEC 11).
    pub fn is_settled(&self) -> bool {
        self.minor >= 1
    }

    /// Returns the same in terms that every kind of device has.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            limits: Limits {
                lists: self.pools,
                vectors: self.vectors,
                objects: self.buffers,
                objects_by: "CAP_BUFFERS".into(),
                stride: self.stride.0..=self.stride.1,
                power_of_two: self.power_of_two,
                address_width: self.address_width,
                timeout: self.timeout,
                ways: self.ways(),
            },
            counts: vec![(Scope::Pool, self.pools), (Scope::Portal, self.portals)],
            absent: absent(self.features),
            halves: self.halves_only,
            facts: self.facts(),
            rows: self.rows(),
        }
    }

    fn ways(&self) -> Vec<&'static str> {
        let portal = (self.portals > 0).then_some(PORTAL.name);
        let register = self.register_path.then_some(REGISTER.name);
        portal.into_iter().chain(register).collect()
    }

    fn facts(&self) -> Vec<(&'static str, Fact)> {
        let number = |n: u64| Fact::Number(n);
        let (low, high) = self.ring_log2;
        vec![
            (
                "specification",
                Fact::Text(format!("1.{}", self.minor).into()),
            ),
            ("implementer", number(self.implementer.into())),
            ("revision", number(self.revision.into())),
            ("pools", number(self.pools.into())),
            ("portals", number(self.portals.into())),
            ("vectors", number(self.vectors.into())),
            ("buffers_per_pool", number(self.buffers)),
            ("address_width", number(self.address_width.into())),
            ("stride_bytes", Fact::Range(self.stride.0, self.stride.1)),
            ("ring_entries", Fact::Range(1 << low, 1 << high)),
            ("timeout_ms", number(self.timeout.as_millis() as u64)),
            ("register_path", Fact::Flag(self.register_path)),
            ("thresholds", Fact::Flag(self.thresholds)),
            ("natural_align", Fact::Flag(self.natural_align)),
            ("injection", Fact::Flag(self.injection)),
            ("halves", Fact::Flag(self.halves)),
            ("halves_only", Fact::Flag(self.halves_only)),
            ("power_of_two", Fact::Flag(self.power_of_two)),
            ("write_faults", Fact::Flag(self.write_faults)),
            (
                "emptying_ms",
                number(self.emptying.unwrap_or_default().as_millis() as u64),
            ),
        ]
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let maker = match self.implementer {
            1 => " (the software model)",
            _ => "",
        };
        let (low, high) = self.ring_log2;
        let (smallest, largest) = self.stride;
        vec![
            (
                "BMU",
                format!(
                    "specification 1.{}, implementer {}{maker}",
                    self.minor, self.implementer
                ),
            ),
            (
                "has",
                format!(
                    "{} pools, {} portals, {} vectors",
                    self.pools, self.portals, self.vectors
                ),
            ),
            (
                "pool",
                format!(
                    "up to {} buffers of {smallest} to {largest} bytes",
                    self.buffers
                ),
            ),
            (
                "rings",
                format!("{} to {} entries", 1u64 << low, 1u64 << high),
            ),
            ("addresses", format!("{} bits", self.address_width)),
            ("features", self.feature_names().join(", ")),
        ]
    }

    fn feature_names(&self) -> Vec<&'static str> {
        let all = [
            (self.register_path, "register path"),
            (self.portals > 0, "portals"),
            (self.thresholds, "thresholds"),
            (self.natural_align, "natural alignment"),
            (self.injection, "error injection"),
            (
                self.halves && !self.halves_only,
                "halves of 64-bit registers",
            ),
            (self.halves_only, "halves of 64-bit registers alone"),
            (self.power_of_two, "strides that are powers of two"),
            (self.emptying.is_some(), "emptying that takes time"),
            (self.write_faults, "faults of DMA writes"),
        ];
        all.iter()
            .filter(|(has, _)| *has)
            .map(|(_, name)| *name)
            .collect()
    }
}

/// Reads a control register and tells a device that is gone from one that says all ones (SPEC 4).
pub(super) fn read_at<A: access::PureRead, W: Word>(
    control: &impl Bar,
    reg: Reg<A, W>,
    index: u16,
) -> Result<W, BusError> {
    read_alive(control, reg, index, ABOUT.alive)
}

/// Reads what the device behind `transport` is and can do. Writes nothing and resets nothing.
pub fn identify<T: Transport>(transport: &T) -> Result<Capabilities, OpenError> {
    read_identity(&sized_bar(
        transport,
        regs::CONTROL_BAR,
        regs::CONTROL_BAR_SIZE,
    )?)
}

/// Checks magic number and version, and only then looks at anything else (SPEC 3.1).
pub(super) fn read_identity(control: &impl Bar) -> Result<Capabilities, OpenError> {
    check_identity(control, &ABOUT)?;
    let version = read_at(control, regs::VERSION, 0)?.into();
    let (major, minor) = (
        regs::version::MAJOR.of(version) as u32,
        regs::version::MINOR.of(version) as u32,
    );
    if major != regs::VERSION_MAJOR {
        return Err(OpenError::Version {
            major,
            minor,
            known: regs::VERSION_MAJOR,
        });
    }
    capabilities(control, minor)
}

fn capabilities(control: &impl Bar, minor: u32) -> Result<Capabilities, OpenError> {
    let implementation = read_at(control, regs::IMPLEMENTATION, 0)?.into();
    let counts = read_at(control, regs::CAP_COUNTS, 0)?.into();
    let rings = read_at(control, regs::CAP_RINGS, 0)?.into();
    let address = read_at(control, regs::CAP_ADDRESS, 0)?.into();
    let features = read_at(control, regs::CAP_FEATURES, 0)?.into();
    let timeout = read_at(control, regs::CAP_TIMEOUT, 0)?.into();
    let has = |feature: Field| feature.of(features) != 0;
    let halves_only = has(regs::cap_features::HALVES_ONLY);
    let words = Words::new(control.clone(), halves_only);
    let portals_exist = has(regs::cap_features::PORTALS);
    let capabilities = Capabilities {
        minor,
        implementer: regs::implementation::IMPLEMENTER.of(implementation) as u16,
        revision: regs::implementation::REVISION.of(implementation) as u16,
        pools: regs::cap_counts::POOLS.of(counts) as u16,
        portals: if portals_exist {
            regs::cap_counts::PORTALS.of(counts) as u16
        } else {
            0
        },
        vectors: regs::cap_counts::VECTORS.of(counts) as u16,
        ring_log2: (
            regs::cap_rings::MIN_LOG2.of(rings) as u32,
            regs::cap_rings::MAX_LOG2.of(rings) as u32,
        ),
        address_width: regs::cap_address::WIDTH.of(address) as u32,
        stride: (
            1 << regs::cap_address::MIN_STRIDE_LOG2.of(address),
            1 << regs::cap_address::MAX_STRIDE_LOG2.of(address),
        ),
        buffers: read_at(&words, regs::CAP_BUFFERS, 0)?,
        timeout: Duration::from_millis(regs::cap_timeout::MILLISECONDS.of(timeout)),
        register_path: has(regs::cap_features::REGISTER_PATH),
        thresholds: has(regs::cap_features::THRESHOLDS),
        natural_align: has(regs::cap_features::NATURAL_ALIGN),
        injection: has(regs::cap_features::INJECTION),
        halves: has(regs::cap_features::HALVES),
        halves_only,
        power_of_two: has(regs::cap_features::POWER_OF_TWO),
        write_faults: has(regs::cap_features::WRITE_FAULTS),
        emptying: match has(regs::cap_features::BUSY) {
            true => Some(emptying(control)?),
            false => None,
        },
        features: features as u32,
    };
    check_capabilities(&capabilities, counts, rings, address)?;
    check_features(&capabilities)?;
    Ok(capabilities)
}

fn emptying(control: &impl Bar) -> Result<Duration, BusError> {
    let value = read_at(control, regs::CAP_EMPTYING, 0)?.into();
    Ok(Duration::from_millis(
        regs::cap_emptying::MILLISECONDS.of(value),
    ))
}

/// Refuses capabilities outside of SPEC 4.2: everything later is computed from them.
fn check_capabilities(
    c: &Capabilities,
    counts: u64,
    rings: u64,
    address: u64,
) -> Result<(), OpenError> {
    let rule = |holds: bool, register, value, rule| {
        if holds {
            Ok(())
        } else {
            Err(OpenError::Capability {
                section: "4.2",
                register,
                value,
                rule,
            })
        }
    };
    rule(
        (1..=64).contains(&c.pools),
        "CAP_COUNTS",
        counts,
        "1 to 64 pools",
    )?;
    rule(c.portals <= 64, "CAP_COUNTS", counts, "0 to 64 portals")?;
    rule(
        (1..=32).contains(&c.vectors),
        "CAP_COUNTS",
        counts,
        "1 to 32 vectors",
    )?;
    let (min, max) = c.ring_log2;
    rule(
        3 <= min && min <= max && max <= 20,
        "CAP_RINGS",
        rings,
        "2^3 to 2^20 entries",
    )?;
    rule(
        (32..=64).contains(&c.address_width),
        "CAP_ADDRESS",
        address,
        "32 to 64 address bits",
    )?;
    let (min, max) = c.stride;
    rule(
        64 <= min && min <= max && max <= 1 << 30,
        "CAP_ADDRESS",
        address,
        "strides of 2^6 to 2^30",
    )?;
    rule(c.buffers > 0, "CAP_BUFFERS", c.buffers, "at least 1 buffer")?;
    rule(!c.timeout.is_zero(), "CAP_TIMEOUT", 0, "at least 1 ms")?;
    let is_zero = c.emptying.is_some_and(|time| time.is_zero());
    rule(!is_zero, "CAP_EMPTYING", 0, "at least 1 ms")
}

/// Refuses features that contradict each other.
fn check_features(c: &Capabilities) -> Result<(), OpenError> {
    match c.halves || !c.halves_only {
        true => Ok(()),
        false => Err(OpenError::Capability {
            section: "4.2",
            register: "CAP_FEATURES",
            value: c.features.into(),
            rule: "HALVES with HALVES_ONLY",
        }),
    }
}

/// Proves that writes reach the device: LIVENESS answers with the complement.
pub(super) fn check_alive(control: &impl Bar) -> Result<(), OpenError> {
    for written in [0x5555_5555, 0xaaaa_aaaa, 0x1234_5678] {
        regs::LIVENESS.write(control, written)?;
        let found = read_at(control, regs::LIVENESS, 0)?;
        if found != !written {
            return Err(OpenError::NotAlive {
                register: &regs::LIVENESS.row().name,
                bar: regs::CONTROL_BAR,
                expected: "its complement",
                written,
                found,
            });
        }
    }
    Ok(())
}
