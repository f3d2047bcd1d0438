//! A design as a PCI function: what the vfio-user server asks, answered at the design's pins.
//!
//! An access of the host's becomes one of the port's: as it is where the port is as wide, with byte strobes where it is
//! narrower, and where it is wider as the design's file says. It runs the clock itself, and waits for nothing else.

mod config;
mod msix;

use std::ops::Range;
use std::sync::Arc;

use hwpool::user::server::{DmaMapping, Errno, Lines, Peer, RegionDescription, Served};
use vfio_bindings::bindings::vfio::{VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX};

use crate::axi::Response;
use crate::clock::Clock;
use crate::design::{Design, Refused, Wide};
use crate::machine::{Fault, Machine};
use config::{ConfigSpace, Effect, MSIX_BAR_SIZE, PBA};
use msix::Table;

/// A design, to be served.
#[derive(Debug)]
pub struct Function {
    clock: Clock,
    lines: Arc<Lines>,
    space: ConfigSpace,
    table: Table,
    bars: Vec<Bar>,
    /// The BAR of the MSI-X table.
    msix_bar: Option<u8>,
    vectors: u16,
    told: Told,
}

/// What is known of a BAR of the design's.
#[derive(Debug, Copy, Clone)]
struct Bar {
    number: u8,
    size: u64,
    /// Bytes of its port.
    port: u8,
    wide: Wide,
    error: Refused,
}

/// Accesses that the design answered with an error, or that were refused: the first is told, the others are counted.
#[derive(Debug, Default)]
struct Told {
    errors: u64,
    wide: u64,
}

impl Function {
    pub(crate) fn new(design: &Design, clock: Clock, lines: Arc<Lines>) -> Function {
        let bars = clock.enter(|machine| {
            let port = |bar| machine.port_bytes(bar).unwrap_or(4);
            let bars = design.bars.iter().map(|bar| Bar {
                number: bar.bar,
                size: bar.size,
                port: port(bar.bar),
                wide: bar.wide,
                error: bar.error,
            });
            bars.collect()
        });
        let vectors = design.pci.vectors;
        Function {
            clock,
            lines,
            space: ConfigSpace::new(design),
            table: Table::new(vectors),
            bars,
            msix_bar: (vectors > 0).then_some(design.pci.msix_bar),
            vectors,
            told: Told::default(),
        }
    }

    fn bar(&self, region: u32) -> Option<Bar> {
        self.bars
            .iter()
            .find(|bar| u32::from(bar.number) == region)
            .copied()
    }

    /// Reads an aligned piece that is no wider than the port.
    fn read_piece(&mut self, bar: Bar, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        let lane = (offset % u64::from(bar.port)) as usize;
        let answer = self
            .clock
            .enter(|machine| machine.read(bar.number, offset - lane as u64))
            .map_err(gone)?;
        let word = answer.data.to_le_bytes();
        if answer.response == Response::Okay {
            data.copy_from_slice(&word[lane..lane + data.len()]);
            return Ok(());
        }
        self.tell_error("read", bar, offset, answer.response);
        match bar.error {
            Refused::Ones => data.fill(0xff),
            Refused::Data => data.copy_from_slice(&word[lane..lane + data.len()]),
            Refused::Errno => return Err(Errno::EIO),
        }
        Ok(())
    }

    /// Writes an aligned piece that is no wider than the port.
    fn write_piece(&mut self, bar: Bar, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let lane = (offset % u64::from(bar.port)) as usize;
        let mut word = [0; 8];
        word[lane..lane + data.len()].copy_from_slice(data);
        let strobes = ((1u16 << data.len()) - 1) << lane;
        let (value, at) = (u64::from_le_bytes(word), offset - lane as u64);
        let write = |machine: &mut Machine| machine.write(bar.number, at, value, strobes as u8);
        let answer = self.clock.enter(write).map_err(gone)?;
        if answer.response == Response::Okay {
            return Ok(());
        }
        self.tell_error("write", bar, offset, answer.response);
        match bar.error {
            // A write is posted: who made it does not hear of it.
            Refused::Ones | Refused::Data => Ok(()),
            Refused::Errno => Err(Errno::EIO),
        }
    }

    fn tell_error(&mut self, what: &str, bar: Bar, offset: u64, response: Response) {
        self.told.errors += 1;
        if self.told.errors == 1 {
            let name = if response == Response::Slave {
                "SLVERR"
            } else {
                "DECERR"
            };
            tracing::warn!(
                "the design answers a {what} at {offset:#x} of BAR {} with {name}; more are counted",
                bar.number
            );
        }
    }

    /// Tells whether an access is too wide for a port that shall not split it.
    fn refuses(&mut self, bar: Bar, offset: u64, len: usize) -> bool {
        let refuses = bar.wide == Wide::Refuse && len > usize::from(bar.port);
        if refuses {
            self.told.wide += 1;
            if self.told.wide == 1 {
                tracing::warn!(
                    "an access of {len} bytes at {offset:#x} of BAR {} is wider than its port, and refused; more are counted",
                    bar.number
                );
            }
        }
        refuses
    }

    fn read_table(&self, offset: u64, data: &mut [u8]) {
        let pending = self.clock.enter(|machine| machine.pending()).to_le_bytes();
        for (at, byte) in (offset..).zip(data) {
            *byte = match at.checked_sub(PBA) {
                Some(bit) => pending.get(bit as usize).copied().unwrap_or(0),
                None => self.table.read(at),
            };
        }
    }

    fn write_table(&mut self, offset: u64, data: &[u8]) {
        for (at, byte) in (offset..).zip(data).filter(|(at, _)| *at < PBA) {
            self.table.write(at, *byte);
        }
        self.open();
    }

    /// Says which vectors may be sent: those that somebody listens to and that are masked nowhere, of a bus master, for a
    /// message is a write of memory.
    fn open(&self) {
        let heard = |vector: &u16| {
            self.lines
                .is_heard(VFIO_PCI_MSIX_IRQ_INDEX, (*vector).into())
        };
        let heard = (0..self.vectors)
            .filter(heard)
            .fold(0, |bits: u128, vector| bits | 1 << vector);
        let may = self.space.is_master() && !self.space.masks_all();
        let open = if may {
            heard & self.table.unmasked()
        } else {
            0
        };
        let is_master = self.space.is_master();
        self.clock.enter(|machine| {
            machine.dma.set_master(is_master);
            machine.set_open(open);
        });
    }

    /// Masks the vectors that nobody listens to, as a kernel does, and no others.
    fn program(&mut self, vectors: Range<u32>) {
        for vector in vectors {
            let heard = self.lines.is_heard(VFIO_PCI_MSIX_IRQ_INDEX, vector);
            self.table.mask(vector as u16, !heard);
        }
        self.open();
    }

    /// Resets function and design.
    fn flr(&mut self) -> Result<(), Errno> {
        self.space.reset();
        self.table.reset();
        let reset = self.clock.enter(Machine::flr);
        // The table behind the client's eventfds is ours to keep, as it would be the kernel's.
        self.program(0..self.vectors.into());
        reset.map_err(gone)
    }
}

impl Served for Function {
    fn is_resettable(&self) -> bool {
        self.space.can_flr()
    }

    fn region(&self, index: u32) -> Option<RegionDescription<'_>> {
        let size = match index {
            VFIO_PCI_CONFIG_REGION_INDEX => config::SIZE,
            _ if self.msix_bar.map(u32::from) == Some(index) => MSIX_BAR_SIZE,
            _ => self.bar(index)?.size,
        };
        Some(RegionDescription {
            size,
            readable: true,
            writable: true,
            mapping: None,
        })
    }

    fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    fn read(
        &mut self,
        _peer: &mut Peer,
        region: u32,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), Errno> {
        if region == VFIO_PCI_CONFIG_REGION_INDEX {
            self.space.read(offset, data);
            return Ok(());
        }
        if !self.space.is_claiming() {
            data.fill(0xff);
            return Ok(());
        }
        let Some(bar) = self.bar(region) else {
            self.read_table(offset, data);
            return Ok(());
        };
        if self.refuses(bar, offset, data.len()) {
            data.fill(0xff);
            return Ok(());
        }
        for (at, part) in pieces(offset, data.len(), bar.port) {
            self.read_piece(bar, at, &mut data[part])?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        _peer: &mut Peer,
        region: u32,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Errno> {
        if region == VFIO_PCI_CONFIG_REGION_INDEX {
            return match self.space.write(offset, data) {
                Effect::Flr => self.flr(),
                Effect::None => {
                    self.open();
                    Ok(())
                }
            };
        }
        if !self.space.is_claiming() {
            return Ok(());
        }
        let Some(bar) = self.bar(region) else {
            self.write_table(offset, data);
            return Ok(());
        };
        if self.refuses(bar, offset, data.len()) {
            return Ok(());
        }
        for (at, part) in pieces(offset, data.len(), bar.port) {
            self.write_piece(bar, at, &data[part])?;
        }
        Ok(())
    }

    fn dma_map(&mut self, peer: &mut Peer, mapping: DmaMapping) -> Result<(), Errno> {
        self.clock.enter(|machine| machine.dma.map(peer, mapping))
    }

    fn dma_unmap(&mut self, iova: u64, _size: u64) {
        self.clock.enter(|machine| machine.dma.unmap(iova));
    }

    fn lines_changed(&mut self, kind: u32, lines: Range<u32>) {
        if kind == VFIO_PCI_MSIX_IRQ_INDEX {
            self.program(lines);
        }
    }

    fn reset(&mut self) -> Result<(), Errno> {
        self.flr()
    }

    /// Says how often that happened which was told the first time only.
    fn disconnected(&mut self) {
        let (refused, cycles) = self
            .clock
            .enter(|machine| (machine.dma.take_refused(), machine.cycles()));
        let Told { errors, wide } = std::mem::take(&mut self.told);
        for (count, what) in [
            (
                refused,
                "DMA accesses of the design's were answered with an error",
            ),
            (errors, "accesses were answered by the design with an error"),
            (wide, "accesses were wider than their port"),
        ] {
            if count > 0 {
                tracing::warn!("{count} {what}");
            }
        }
        tracing::info!("{cycles} clock cycles so far");
    }
}

/// Cuts an access into aligned pieces that are no wider than a port, lowest first, with their places in the data.
fn pieces(offset: u64, len: usize, most: u8) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset + done as u64;
        let fits = |width: &usize| {
            *width <= most.into() && *width <= len - done && at.is_multiple_of(*width as u64)
        };
        let width = [8, 4, 2, 1].into_iter().find(fits)?;
        done += width;
        Some((at, done - width..done))
    })
}

/// The design has ended; the server's owner says why.
fn gone(_: Fault) -> Errno {
    Errno::EIO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_are_cut_at_what_the_port_can_do() {
        let cut = |offset, len, most| {
            pieces(offset, len, most)
                .map(|(at, part)| (at, part.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(cut(8, 8, 8), [(8, 8)]);
        assert_eq!(cut(8, 8, 4), [(8, 4), (12, 4)]);
        assert_eq!(cut(4, 8, 8), [(4, 4), (8, 4)]);
        assert_eq!(cut(3, 6, 8), [(3, 1), (4, 4), (8, 1)]);
        assert_eq!(cut(6, 2, 4), [(6, 2)]);
        assert_eq!(cut(0, 0, 4), []);
    }
}
