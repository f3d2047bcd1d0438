//! From the names of a design's file to its ports, with their directions and widths checked.

use std::ops::RangeInclusive;

use hwpool_describe::Wrong;
use hwpool_describe::tables::{nearest, or};

use crate::axi::channel::Signal;
use crate::axi::lite::LitePins;
use crate::axi::reads::{ReadPins, RequestPins};
use crate::axi::writes::WritePins;
use crate::design::{BarPort, Design, DmaPort, Interrupt, Named};
use crate::model::{Model, Pin, PinInfo};

/// Finds ports of a design by the names of its file.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Finder<'a> {
    pub(crate) design: &'a Design,
    pub(crate) model: &'a Model,
}

/// Which way a port goes, as the design sees it.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

/// What of a name is there may follow, in the styles of the field.
const ENDS: [&str; 3] = ["", "_i", "_o"];

type Found<T> = Result<T, Wrong>;

impl<'a> Finder<'a> {
    /// Finds a port that the file names, of so many bits.
    pub(crate) fn port(self, named: &Named, way: Way, bits: Option<u32>) -> Found<Pin> {
        let found = self.model.pins().find(|(_, info)| info.name == named.name);
        let Some((pin, info)) = found else {
            let names = self.names(way, "");
            let why = format!(
                "the design has no {} `{}`{}: there are {}",
                way.name(),
                named.name,
                nearest(&named.name, &names),
                listed(&names)
            );
            return Err(self.wrong(named, why));
        };
        self.check_way(named, info, way)?;
        match bits {
            Some(bits) if bits != info.bits => Err(self.wrong(
                named,
                format!(
                    "the port `{}` has {} bits: it needs {bits}",
                    info.name, info.bits
                ),
            )),
            _ => Ok(pin),
        }
    }

    /// Returns the pins of an AXI4-Lite slave.
    pub(crate) fn lite(self, bar: &BarPort) -> Found<LitePins> {
        let axi = Axi {
            finder: self,
            named: &bar.port,
            kind: "an AXI4-Lite slave",
        };
        let (wdata, rdata) = (axi.must("wdata", Way::In)?, axi.must("rdata", Way::Out)?);
        let bits = self.model.info(wdata.pin).bits;
        if !matches!(bits, 32 | 64) {
            return Err(self.wrong(
                &bar.port,
                format!(
                    "the port `{}` has {bits} bits: AXI4-Lite has 32 or 64",
                    wdata.name
                ),
            ));
        }
        self.check_width(bar.width, &wdata.name, bits)?;
        axi.check_bits(&rdata, bits)?;
        let wstrb = axi.must("wstrb", Way::In)?;
        axi.check_bits(&wstrb, bits / 8)?;
        let (awaddr, araddr) = (axi.must("awaddr", Way::In)?, axi.must("araddr", Way::In)?);
        for signal in [&awaddr, &araddr] {
            self.check_reach(bar, signal)?;
        }
        Ok(LitePins {
            awaddr: awaddr.pin,
            awvalid: axi.bit("awvalid", Way::In)?.pin,
            awready: axi.bit("awready", Way::Out)?,
            wdata: wdata.pin,
            wstrb: wstrb.pin,
            wvalid: axi.bit("wvalid", Way::In)?.pin,
            wready: axi.bit("wready", Way::Out)?,
            bresp: axi.response("bresp", Way::Out)?,
            bvalid: axi.bit("bvalid", Way::Out)?,
            bready: axi.bit("bready", Way::In)?,
            araddr: araddr.pin,
            arvalid: axi.bit("arvalid", Way::In)?.pin,
            arready: axi.bit("arready", Way::Out)?,
            rdata,
            rresp: axi.response("rresp", Way::Out)?,
            rvalid: axi.bit("rvalid", Way::Out)?,
            rready: axi.bit("rready", Way::In)?,
            bytes: (bits / 8) as u8,
        })
    }

    /// Returns the pins of an AXI4 master: of its reads and its writes, of which it may lack one.
    pub(crate) fn dma(self, dma: &DmaPort) -> Found<(Option<ReadPins>, Option<WritePins>)> {
        let axi = Axi {
            finder: self,
            named: &dma.port,
            kind: "an AXI4 master",
        };
        let (reads, writes) = (axi.may("arvalid").is_some(), axi.may("awvalid").is_some());
        if !reads && !writes {
            axi.must("arvalid", Way::Out)?;
        }
        let reads = reads.then(|| self.reads(dma, axi)).transpose()?;
        let writes = writes.then(|| self.writes(dma, axi)).transpose()?;
        Ok((reads, writes))
    }

    fn reads(self, dma: &DmaPort, axi: Axi<'_>) -> Found<ReadPins> {
        let data = axi.must("rdata", Way::In)?;
        let request = axi.request("ar")?;
        Ok(ReadPins {
            bus: self.bus(dma, &data)?,
            id: axi.answer_id(&request, "arid", "rid")?,
            request,
            data: data.pin,
            resp: axi.response("rresp", Way::In)?.pin,
            last: axi.may_bit("rlast", Way::In)?.map(|signal| signal.pin),
            valid: axi.bit("rvalid", Way::In)?,
            ready: axi.bit("rready", Way::Out)?,
        })
    }

    fn writes(self, dma: &DmaPort, axi: Axi<'_>) -> Found<WritePins> {
        let data = axi.must("wdata", Way::Out)?;
        let bus = self.bus(dma, &data)?;
        let strobes = axi.optional("wstrb", Way::Out)?;
        if let Some(strobes) = &strobes {
            axi.check_bits(strobes, bus as u32)?;
        }
        let request = axi.request("aw")?;
        Ok(WritePins {
            bus,
            answer_id: axi.answer_id(&request, "awid", "bid")?,
            request,
            data,
            strobes,
            last: axi.may_bit("wlast", Way::Out)?,
            valid: axi.bit("wvalid", Way::Out)?,
            ready: axi.bit("wready", Way::In)?,
            answer: axi.response("bresp", Way::In)?.pin,
            answer_valid: axi.bit("bvalid", Way::In)?,
            answer_ready: axi.bit("bready", Way::Out)?,
        })
    }

    /// Returns the bytes of a master's bus.
    fn bus(self, dma: &DmaPort, data: &Signal) -> Found<u64> {
        let bits = self.model.info(data.pin).bits;
        if !bits.is_power_of_two() || !(32..=512).contains(&bits) {
            let why = format!(
                "the port `{}` has {bits} bits: an AXI4 master has 32, 64, 128, 256 or 512 here",
                data.name
            );
            return Err(self.wrong(&dma.port, why));
        }
        self.check_width(dma.width, &data.name, bits)?;
        Ok(u64::from(bits / 8))
    }

    /// Returns the pin and the bit of an interrupt request.
    pub(crate) fn interrupt(self, line: &Interrupt) -> Found<(Pin, u32)> {
        let pin = self.port(&line.port, Way::Out, None)?;
        let bits = self.model.info(pin).bits;
        match line.bit {
            None if bits == 1 => Ok((pin, 0)),
            Some(bit) if bit < bits => Ok((pin, bit)),
            None => Err(self.wrong(
                &line.port,
                format!(
                    "the port `{}` has {bits} bits: say which by `bit`",
                    line.port.name
                ),
            )),
            Some(bit) => {
                let why = format!(
                    "the port `{}` has {bits} bits, and none of number {bit}",
                    line.port.name
                );
                Err(self.wrong(&line.port, why))
            }
        }
    }

    /// Returns the pin and the bit of what is told when an interrupt's message was sent: of a port that is as wide as the
    /// requests' the same bit as theirs.
    pub(crate) fn acknowledge(self, named: &Named, bit: u32) -> Found<(Pin, u32)> {
        let pin = self.port(named, Way::In, None)?;
        match self.model.info(pin).bits {
            1 => Ok((pin, 0)),
            bits if bit < bits && bits <= 64 => Ok((pin, bit)),
            bits => {
                let why = format!(
                    "the port `{}` has {bits} bits: it needs 1, or up to 64 with one of number {bit}, the request's",
                    named.name
                );
                Err(self.wrong(named, why))
            }
        }
    }

    /// Checks that a slave's address reaches all of its BAR.
    fn check_reach(self, bar: &BarPort, signal: &Signal) -> Found<()> {
        let bits = self.model.info(signal.pin).bits;
        if bits >= 64 || bar.size <= 1 << bits {
            return Ok(());
        }
        let why = format!(
            "the port `{}` has {bits} bits, which reach {} bytes: BAR {} has {}",
            signal.name,
            1u64 << bits,
            bar.bar,
            bar.size
        );
        Err(self.wrong(&bar.port, why))
    }

    fn check_width(self, said: Option<(u64, (usize, usize))>, name: &str, bits: u32) -> Found<()> {
        match said {
            Some((width, place)) if width != u64::from(bits) => {
                let why = format!("`width` is {width}, and the port `{name}` has {bits} bits");
                Err(self.wrong(
                    &Named {
                        name: name.into(),
                        place,
                    },
                    why,
                ))
            }
            _ => Ok(()),
        }
    }

    fn check_way(self, named: &Named, info: &PinInfo, way: Way) -> Found<()> {
        match info.is_input == (way == Way::In) {
            true => Ok(()),
            false => {
                let is = if info.is_input { Way::In } else { Way::Out };
                Err(self.wrong(
                    named,
                    format!(
                        "the port `{}` is an {} of the design: an {} is needed",
                        info.name,
                        is.name(),
                        way.name()
                    ),
                ))
            }
        }
    }

    fn names(self, way: Way, start: &str) -> Vec<&'a str> {
        let fits = |info: &PinInfo| info.is_input == (way == Way::In) && starts(&info.name, start);
        self.model
            .pins()
            .filter(|(_, info)| fits(info))
            .map(|(_, info)| info.name.as_str())
            .collect()
    }

    fn wrong(self, named: &Named, why: String) -> Wrong {
        Wrong {
            file: self.design.file.clone(),
            place: Some(named.place),
            key: named.name.clone(),
            why,
        }
    }
}

/// The ports of one AXI interface.
#[derive(Debug, Copy, Clone)]
struct Axi<'a> {
    finder: Finder<'a>,
    named: &'a Named,
    kind: &'static str,
}

impl<'a> Axi<'a> {
    /// Finds a signal by its name in AXI, in capitals or not, with the ends that some put behind.
    fn may(self, name: &str) -> Option<(Signal, &'a PinInfo)> {
        let prefix = &self.named.name;
        let is_it = |info: &PinInfo| {
            ENDS.iter().any(|end| {
                info.name
                    .eq_ignore_ascii_case(&format!("{prefix}{name}{end}"))
            })
        };
        let (pin, info) = self.finder.model.pins().find(|(_, info)| is_it(info))?;
        Some((
            Signal {
                name: info.name.clone(),
                pin,
            },
            info,
        ))
    }

    fn optional(self, name: &str, way: Way) -> Found<Option<Signal>> {
        let Some((signal, info)) = self.may(name) else {
            return Ok(None);
        };
        self.finder.check_way(self.named, info, way)?;
        Ok(Some(signal))
    }

    fn must(self, name: &str, way: Way) -> Found<Signal> {
        self.optional(name, way)?.ok_or_else(|| {
            let prefix = &self.named.name;
            let wanted = format!("{prefix}{name}");
            let all = self.finder.names(way, "");
            let same: Vec<&str> = self.finder.names(way, prefix);
            let there = if same.is_empty() { &all } else { &same };
            let why = format!(
                "{} needs the {} `{wanted}`, and the design has none{}: its {}s {}are {}",
                self.kind,
                way.name(),
                nearest(&wanted, &all),
                way.name(),
                if same.is_empty() {
                    String::new()
                } else {
                    format!("that begin with `{prefix}` ")
                },
                listed(there)
            );
            self.finder.wrong(self.named, why)
        })
    }

    /// Finds a signal of one bit.
    fn bit(self, name: &str, way: Way) -> Found<Signal> {
        let signal = self.must(name, way)?;
        self.check_bits(&signal, 1)?;
        Ok(signal)
    }

    /// Finds one of one bit that may be missing.
    fn may_bit(self, name: &str, way: Way) -> Found<Option<Signal>> {
        let signal = self.optional(name, way)?;
        if let Some(signal) = &signal {
            self.check_bits(signal, 1)?;
        }
        Ok(signal)
    }

    /// Finds RESP.
    fn response(self, name: &str, way: Way) -> Found<Signal> {
        let signal = self.must(name, way)?;
        self.check_bits(&signal, 2)?;
        Ok(signal)
    }

    /// Finds the ID of an answer: it comes back whole, or answers could not be told apart.
    fn answer_id(self, request: &RequestPins, asked: &str, name: &str) -> Found<Option<Pin>> {
        let prefix = &self.named.name;
        let lone = |there: &str, lacks: &str| {
            let why = format!(
                "the design has `{there}` and no `{prefix}{lacks}`: an answer is known by the ID of its request"
            );
            Err(self.finder.wrong(self.named, why))
        };
        match (&request.id, self.optional(name, Way::In)?) {
            (None, None) => Ok(None),
            (Some(id), None) => lone(&id.name, name),
            (None, Some(answer)) => lone(&answer.name, asked),
            (Some(id), Some(answer)) => {
                self.check_bits(&answer, self.finder.model.info(id.pin).bits)?;
                Ok(Some(answer.pin))
            }
        }
    }

    fn check_bits(self, signal: &Signal, bits: u32) -> Found<()> {
        self.check_range(signal, bits..=bits)
    }

    fn check_range(self, signal: &Signal, bits: RangeInclusive<u32>) -> Found<()> {
        let there = self.finder.model.info(signal.pin).bits;
        if bits.contains(&there) {
            return Ok(());
        }
        let (least, most) = (bits.start(), bits.end());
        let needs = match least == most {
            true => format!("it needs {least}"),
            false => format!("it has {least} to {most} in AXI"),
        };
        let why = format!("the port `{}` has {there} bits: {needs}", signal.name);
        Err(self.finder.wrong(self.named, why))
    }

    fn request(self, channel: &str) -> Found<RequestPins> {
        let optional = |name: &str| self.optional(&format!("{channel}{name}"), Way::Out);
        let of_bits = |name: &str, bits| {
            let signal = optional(name)?;
            if let Some(signal) = &signal {
                self.check_range(signal, bits)?;
            }
            Ok::<_, Wrong>(signal)
        };
        let addr = self.must(&format!("{channel}addr"), Way::Out)?;
        self.check_range(&addr, 1..=64)?;
        let others = ["lock", "cache", "prot", "qos", "region", "user"].into_iter();
        Ok(RequestPins {
            addr,
            // AXI3 has 4 bits, which mean the same.
            len: of_bits("len", 4..=8)?,
            size: of_bits("size", 3..=3)?,
            burst: of_bits("burst", 2..=2)?,
            id: of_bits("id", 1..=32)?,
            others: others
                .filter_map(|name| optional(name).transpose())
                .collect::<Found<_>>()?,
            valid: self.bit(&format!("{channel}valid"), Way::Out)?,
            ready: self.bit(&format!("{channel}ready"), Way::In)?,
        })
    }
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::In => "input",
            Way::Out => "output",
        }
    }
}

fn starts(name: &str, start: &str) -> bool {
    name.get(..start.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

fn listed(names: &[&str]) -> String {
    or(names).replace(" or ", " and ")
}
