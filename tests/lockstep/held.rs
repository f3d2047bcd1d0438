//! What a host knows of one pool of one device.

/// The buffers of a pool, and which of them are in the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    pub(crate) base: u64,
    pub(crate) stride: u64,
    /// Freed addresses are rounded down.
    pub(crate) is_natural: bool,
    /// The list has room for all.
    pub(crate) is_whole: bool,
    inside: Vec<bool>,
}

impl Held {
    pub(crate) fn new(base: u64, end: u64, stride: u64) -> Held {
        let count = (end - base) / stride;
        Held {
            base,
            stride,
            inside: vec![false; count as usize],
            ..Held::default()
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.base + self.stride * self.inside.len() as u64
    }

    pub(crate) fn count(&self, inside: bool) -> usize {
        self.inside.iter().filter(|is| **is == inside).count()
    }

    /// Returns the address of one of the buffers that are inside, or of those that are out, by its rank among them.
    pub(crate) fn at(&self, inside: bool, rank: usize) -> u64 {
        let mut of = (0..).zip(&self.inside).filter(|(_, is)| **is == inside);
        let (index, _) = of.nth(rank).expect("as many");
        self.base + index * self.stride
    }

    /// Notes that a buffer came in, or went out; tells whether that can be.
    pub(crate) fn moved(&mut self, address: u64, inside: bool) -> bool {
        let Some(offset) = address.checked_sub(self.base) else {
            return false;
        };
        let is_one = self.is_natural && inside || offset.is_multiple_of(self.stride);
        match self.inside.get_mut((offset / self.stride) as usize) {
            Some(is) if is_one && *is != inside => *is = inside,
            _ => return false,
        }
        true
    }
}
