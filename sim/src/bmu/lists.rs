//! The register path of a pool, and what follows when its list grows or shrinks (SPEC 4.8, 5).

use super::device::{Bmu, ENABLE};
use super::errors::{ErrorKind, Owner, Source};
use super::lies::Lie;
use crate::world::World;

impl Bmu {
    /// POOL_ALLOC: takes a buffer; 0 if there is none.
    pub(super) fn alloc(&mut self, world: &mut World, pool_id: usize) -> u64 {
        if self.control & ENABLE == 0 || !self.pools[pool_id].enabled {
            return 0;
        }
        let pool = &mut self.pools[pool_id];
        let before = pool.list.len();
        let Some(address) = pool.list.pop() else {
            return 0;
        };
        let given = pool.spoil(world, address, "POOL_ALLOC", pool_id as u16);
        let own = given..given.saturating_add(pool.stride.into());
        let given = match self.lies.tell(Lie::KeepsUnaligned) && own.contains(&pool.unaligned) {
            true => pool.unaligned,
            false => given,
        };
        pool.last_out = given;
        self.list_moved(world, pool_id, before);
        given
    }

    /// POOL_FREE: gives a buffer back, through the checks of SPEC 4.4.
    pub(super) fn free(&mut self, world: &mut World, pool_id: usize, address: u64) {
        let pool = &mut self.pools[pool_id];
        let before = pool.list.len();
        let checked = if self.control & ENABLE == 0 || !pool.enabled {
            Err(ErrorKind::Disabled)
        } else {
            pool.free(address)
        };
        match checked {
            Ok(()) => {
                pool.unaligned = address;
                if self.lies.tell(Lie::WriteBuffers) {
                    self.write_buffer(world, pool_id, address);
                }
                self.list_moved(world, pool_id, before);
            }
            Err(kind) => {
                let owner = Owner::Pool(pool_id as u16);
                self.error(world, kind, Source::RegisterPath, owner, address);
            }
        }
    }

    /// The list of a pool held `before` buffers: tells of thresholds, and feeds portals that wait.
    pub(super) fn list_moved(&mut self, world: &mut World, pool_id: usize, before: u32) {
        let pool = &mut self.pools[pool_id];
        let events = pool.moved(before);
        let waiting = pool.waiting;
        let grown = pool.list.len() > before;
        if events != 0 {
            self.pool_events(world, pool_id, events);
        }
        if waiting != 0 && grown {
            self.pools[pool_id].waiting = 0;
            self.feed(world, waiting);
        }
    }

    /// Has each of some portals look for buffers; another one comes first each time.
    pub(super) fn feed(&mut self, world: &mut World, mask: u64) {
        self.turn = (self.turn + 1) % 64;
        let mut left = mask.rotate_right(self.turn);
        while left != 0 {
            let portal_id = (left.trailing_zeros() + self.turn) % 64;
            left &= left - 1;
            self.plan_fill(world, portal_id as usize);
        }
    }
}
