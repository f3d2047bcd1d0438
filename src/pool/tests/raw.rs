//! Raw pools: objects by index, and what is found at run time.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::unique;
use crate::dma::{Memory, MemoryRequest};
use crate::pool::{
    Backend, BackendError, CreateError, Pool, PoolBuilder, PoolError, RawError, RawPool, register,
};

fn builder(objects: u32) -> PoolBuilder {
    Pool::builder("raw").objects(objects).size(64)
}

/// A pool with all its objects in.
fn filled(builder: PoolBuilder) -> RawPool {
    let pool = builder.build_raw().unwrap();
    let all: Vec<u32> = (0..pool.objects()).collect();
    pool.enqueue(&all).unwrap();
    pool
}

#[test]
fn begins_with_everything_out_and_ends_with_a_count() {
    for backend in ["ring", "stack", "bmu", "bmu-registers"] {
        let pool = builder(64).backend(backend).build_raw().unwrap();
        let mut one = [77];
        assert!(!pool.dequeue(&mut one).unwrap(), "{backend}");
        assert_eq!((pool.count(), one), (0, [77]));
        pool.enqueue(&[5, 6, 7]).unwrap();
        assert!(pool.dequeue(&mut one).unwrap());
        assert!([5, 6, 7].contains(&one[0]), "{one:?}");
        assert_eq!(pool.iova().is_some(), backend.starts_with("bmu"));
        let report = pool.close().unwrap();
        assert_eq!((report.returned, report.invented), (2, 0), "{backend}");
    }
}

#[test]
fn lies_in_memory_that_was_brought_if_there_is_room() {
    let request = MemoryRequest::new(64 * 64);
    let memory = Arc::new(Memory::allocate(&request).unwrap());
    for backend in ["ring", "bmu"] {
        let fits = (memory.len() / 64) as u32;
        let pool = builder(fits).backend(backend).build_raw_in(&memory);
        let pool = pool.unwrap();
        assert!(Arc::ptr_eq(pool.memory(), &memory));
        pool.enqueue(&[fits - 1]).unwrap();
        assert_eq!(pool.close().unwrap().returned, 1);
        let refused = builder(fits + 1).backend(backend).build_raw_in(&memory);
        let needed = memory.len() + 64;
        assert!(
            matches!(refused, Err(CreateError::MemoryTooSmall { needed: told, .. }) if told == needed),
            "{refused:?}"
        );
    }
    assert_eq!(Arc::strong_count(&memory), 1);
}

#[test]
fn takes_in_no_more_than_its_capacity() {
    for backend in ["ring", "stack"] {
        let pool = builder(64).backend(backend).capacity(3).build_raw();
        let pool = pool.unwrap();
        pool.enqueue(&[61, 62, 63]).unwrap();
        let refused = pool.enqueue(&[0]);
        assert!(
            matches!(refused, Err(RawError::Give(PoolError::Refused { .. }))),
            "{backend}: {refused:?}"
        );
        assert_eq!(pool.close().unwrap().returned, 3, "{backend}");
    }
}

#[test]
fn leaves_its_output_alone_on_shortage() {
    for checked in [false, true] {
        let pool = filled(builder(4).checked(checked));
        let mut objects = [77; 5];
        assert!(!pool.dequeue(&mut objects).unwrap());
        assert_eq!(objects, [77; 5]);
    }
}

#[test]
fn foreign_indices_are_refused_always() {
    let pool = filled(builder(16));
    let mut objects = [0; 4];
    assert!(pool.dequeue(&mut objects).unwrap());
    assert!(matches!(
        pool.enqueue(&[objects[0], 16]),
        Err(RawError::Foreign {
            index: 16,
            objects: 16
        })
    ));
    assert_eq!(pool.count(), 12, "all or none");
}

#[test]
fn double_frees_are_refused_where_somebody_remembers() {
    let checked = filled(builder(16).checked(true));
    let device = filled(builder(16).backend("bmu"));
    for pool in [checked, device] {
        let mut objects = [0; 4];
        assert!(pool.dequeue(&mut objects).unwrap());
        let [a, b, c, d] = objects;
        assert!(pool.enqueue(&[a, b, a]).is_err());
        pool.enqueue(&[a, b]).unwrap();
        assert!(pool.enqueue(&[c, a]).is_err());
        pool.enqueue(&[c, d]).unwrap();
        assert_eq!(pool.count(), 16);
        assert_eq!(pool.close().unwrap().invented, 0);
    }
}

#[test]
fn without_memory_the_list_never_grows_beyond_the_pool() {
    for backend in ["ring", "stack"] {
        let pool = filled(builder(16).backend(backend));
        let refused = pool.enqueue(&[3]).unwrap_err();
        assert!(matches!(refused, RawError::Give(PoolError::Refused { .. })));
        let report = pool.close().unwrap();
        assert_eq!((report.returned, report.invented), (16, 0), "{backend}");
    }
}

/// Hands out the same object for ever.
struct Liar(u32);

impl Backend for Liar {
    fn enqueue(&self, _: &[u32]) -> Result<(), BackendError> {
        Ok(())
    }

    fn dequeue(&self, objects: &mut [u32]) -> Result<(), BackendError> {
        objects.fill(self.0);
        Ok(())
    }

    fn count(&self) -> u32 {
        1
    }

    fn drain(&self) -> Result<Vec<u32>, BackendError> {
        Ok(vec![self.0; 3])
    }
}

#[test]
fn a_backend_that_lies_poisons_and_nothing_comes_of_it() {
    for lie in [3, 99] {
        let name = unique("liar");
        register(&name, move |_| Ok(Box::new(Liar(lie)))).unwrap();
        let pool = filled(builder(16).backend(&name));
        let mut objects = [77; 2];
        let error = pool.dequeue(&mut objects).unwrap_err();
        assert!(matches!(error, PoolError::Poisoned { .. }), "{error}");
        assert_eq!(objects, [77; 2]);
        assert!(pool.dequeue(&mut objects).is_err(), "and stays so");
        assert!(matches!(
            pool.enqueue(&[3]),
            Err(RawError::NotOut { .. } | RawError::Give(PoolError::Poisoned { .. }))
        ));
        let report = pool.close().unwrap();
        assert_eq!(report.returned + report.invented, 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 128 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Against a set: a take succeeds where there is enough, nothing comes out twice, and everything is somewhere.
    #[test]
    fn behaves_as_a_set(
        objects in 1u32..60,
        backend in prop_oneof![Just("ring"), Just("stack"), Just("bmu")],
        checked in any::<bool>(),
        ops in prop::collection::vec((any::<bool>(), 0usize..30), 1..100),
    ) {
        let pool = filled(builder(objects).backend(backend).checked(checked));
        let mut out = BTreeSet::new();
        for (take, n) in ops {
            if take {
                let mut taken = vec![u32::MAX; n];
                let got = pool.dequeue(&mut taken).unwrap();
                prop_assert_eq!(got, n <= objects as usize - out.len());
                for index in taken.into_iter().filter(|_| got) {
                    prop_assert!(index < objects && out.insert(index), "object {}", index);
                }
            } else {
                let given: Vec<u32> = out.iter().copied().take(n).collect();
                pool.enqueue(&given).unwrap();
                given.iter().for_each(|index| _ = out.remove(index));
            }
            prop_assert_eq!(pool.count() as usize + out.len(), objects as usize);
        }
        let report = pool.close().unwrap();
        prop_assert_eq!((report.returned as usize, report.invented), (objects as usize - out.len(), 0));
    }
}
