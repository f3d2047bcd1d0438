//! The model IOMMU: what it maps, what it refuses, and cached translations for the device.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use hwpool_devices::bus::{DmaError, DmaLimits, DmaSource, Iova};

use crate::memory::{AskedMemory, Memory, Reach};

#[derive(Debug)]
pub(crate) struct Mapping {
    iova: u64,
    len: u64,
    memory: Memory,
}

/// The mappings of one device, sorted by address.
#[derive(Debug)]
pub(crate) struct Iommu {
    ranges: Vec<RangeInclusive<u64>>,
    page_sizes: u64,
    limit: u64,
    mappings: BTreeMap<u64, Arc<Mapping>>,
    /// Moves with every change, so that cached translations know that they are old.
    generation: u64,
}

impl Iommu {
    pub(crate) fn new(ranges: Vec<RangeInclusive<u64>>, page_sizes: u64, limit: u64) -> Iommu {
        Iommu {
            ranges,
            page_sizes,
            limit,
            mappings: BTreeMap::new(),
            generation: 1,
        }
    }

    pub(crate) fn limits(&self) -> DmaLimits {
        DmaLimits {
            ranges: self.ranges.clone(),
            page_sizes: self.page_sizes,
            entries_left: self.limit - self.mappings.len() as u64,
        }
    }

    pub(crate) fn map(
        &mut self,
        iova: Iova,
        source: DmaSource<'_>,
        reach: Reach,
    ) -> Result<(), DmaError> {
        self.check(iova, source.len, source.offset)?;
        let memory = Memory::new(source, reach)?;
        self.insert(iova, source.len, memory);
        Ok(())
    }

    /// Maps memory that `host` is asked for.
    pub(crate) fn map_asked(
        &mut self,
        iova: Iova,
        len: u64,
        host: Arc<dyn AskedMemory>,
    ) -> Result<(), DmaError> {
        self.check(iova, len, 0)?;
        self.insert(iova, len, Memory::asked(host, iova.0));
        Ok(())
    }

    fn insert(&mut self, iova: Iova, len: u64, memory: Memory) {
        let mapping = Mapping {
            iova: iova.0,
            len,
            memory,
        };
        self.mappings.insert(iova.0, Arc::new(mapping));
        self.generation += 1;
    }

    /// Refuses what can't be mapped, as an IOMMU does.
    fn check(&self, iova: Iova, len: u64, offset: u64) -> Result<(), DmaError> {
        let last = self.last(iova, len, offset)?;
        let inside = (self.ranges.iter()).any(|r| r.contains(&iova.0) && r.contains(&last));
        if !inside {
            return Err(DmaError::OutOfAperture { iova, len });
        }
        let before = self.mappings.range(..=last).next_back();
        if before.is_some_and(|(start, m)| start + (m.len - 1) >= iova.0) {
            return Err(DmaError::Exists { iova, len });
        }
        if self.mappings.len() as u64 >= self.limit {
            return Err(DmaError::NoEntries { limit: self.limit });
        }
        Ok(())
    }

    /// Checks alignment and returns the last byte of the range.
    fn last(&self, iova: Iova, len: u64, offset: u64) -> Result<u64, DmaError> {
        let page = self.limits_page();
        if len == 0 || (iova.0 | len | offset) & (page - 1) != 0 {
            return Err(DmaError::Misaligned { iova, len, page });
        }
        (iova.0.checked_add(len - 1)).ok_or(DmaError::OutOfAperture { iova, len })
    }

    fn limits_page(&self) -> u64 {
        1 << self.page_sizes.trailing_zeros().min(63)
    }

    pub(crate) fn unmap(&mut self, iova: Iova, len: u64) -> Result<(), DmaError> {
        match self.mappings.get(&iova.0) {
            Some(mapping) if mapping.len == len => {
                self.mappings.remove(&iova.0);
                self.generation += 1;
                Ok(())
            }
            _ => Err(DmaError::NotMapped { iova, len }),
        }
    }

    /// Finds the mapping of one address, and how far into it the address lies.
    fn find(&self, iova: u64) -> Option<(&Arc<Mapping>, u64)> {
        let (start, mapping) = self.mappings.range(..=iova).next_back()?;
        let offset = iova - start;
        (offset < mapping.len).then_some((mapping, offset))
    }
}

/// A run of a span that lies in one mapping.
#[derive(Debug)]
struct Run {
    /// Byte of the span at which the run starts, and the one past its end.
    start: u64,
    end: u64,
    mapping: Arc<Mapping>,
    /// Byte of the mapping at which the run starts.
    base: u64,
}

/// A range of device addresses with its cached translation, as an address translation cache would hold it.
///
/// The range may be scattered over thousands of small mappings and may have holes; only a hole that is touched is
/// a fault.
#[derive(Debug, Default)]
pub(crate) struct Span {
    iova: u64,
    len: u64,
    generation: u64,
    runs: Vec<Run>,
}

impl Span {
    pub(crate) fn new(iova: u64, len: u64) -> Span {
        Span {
            iova,
            len,
            ..Span::default()
        }
    }

    /// Returns the memory from byte `offset` on as far as it is in one piece, or `None` where nothing is mapped.
    #[inline]
    pub(crate) fn at(&mut self, iommu: &Iommu, offset: u64) -> Option<View<'_>> {
        if self.generation != iommu.generation {
            self.translate(iommu);
        }
        let i = match self.runs.len() {
            1 => 0,
            _ => self.runs.partition_point(|run| run.end <= offset),
        };
        let run = self.runs.get(i)?;
        (run.start <= offset && offset < run.end).then(|| View {
            memory: &run.mapping.memory,
            base: (run.base + (offset - run.start)) as usize,
            len: (run.end - offset) as usize,
        })
    }

    /// Forgets the translation and lets go of the memory.
    pub(crate) fn invalidate(&mut self) {
        self.generation = 0;
        self.runs.clear();
    }

    /// Returns the device's address of byte `offset`.
    pub(crate) fn iova(&self, offset: u64) -> u64 {
        self.iova.wrapping_add(offset)
    }

    fn translate(&mut self, iommu: &Iommu) {
        self.runs.clear();
        self.generation = iommu.generation;
        let Some(last) = self.iova.checked_add(self.len.saturating_sub(1)) else {
            return;
        };
        let first = iommu.find(self.iova).map_or(self.iova, |(m, _)| m.iova);
        for (&start, mapping) in iommu.mappings.range(first..=last) {
            let from = start.max(self.iova);
            let to = (start + (mapping.len - 1)).min(last);
            self.runs.push(Run {
                start: from - self.iova,
                end: to - self.iova + 1,
                mapping: Arc::clone(mapping),
                base: from - start,
            });
        }
    }
}

/// A piece of mapped memory.
#[derive(Debug, Copy, Clone)]
pub(crate) struct View<'a> {
    memory: &'a Memory,
    base: usize,
    /// Bytes to its end.
    pub(crate) len: usize,
}

impl View<'_> {
    /// Stores one word; false: the host refused, as for the others.
    #[inline]
    #[must_use]
    pub(crate) fn store(&self, word: usize, value: u64) -> bool {
        self.memory.store_words(self.base + word * 8, &[value])
    }

    /// Loads the first words, in rising order.
    #[inline]
    #[must_use]
    pub(crate) fn load_all(&self, words: &mut [u64]) -> bool {
        self.memory.load_words(self.base, words)
    }

    /// Stores the first words, in rising order.
    #[inline]
    #[must_use]
    pub(crate) fn store_all(&self, words: &[u64]) -> bool {
        self.memory.store_words(self.base, words)
    }
}
