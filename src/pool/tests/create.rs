//! What pools and backends can't be made.

use std::collections::BTreeSet;

use hwpool_devices::modules;

use super::{small, unique};
use crate::device::Device;
use crate::pool::{
    CreateError, MAX_CACHE, MAX_OBJECTS, Pool, PoolBuilder, RegisterError, backends, register,
};

fn plain() -> PoolBuilder {
    Pool::builder("plain").objects(16).size(64)
}

#[test]
fn a_device_refuses_objects_before_memory_is_taken_for_them() {
    // 2^47 bytes in objects of 2^31: nobody has so much, and no device such a stride.
    let device = Device::open("sim:bmu").expect("a model");
    let huge = Pool::builder("huge").objects(1 << 16).size(1 << 31);
    for huge in [
        huge.clone().backend("sim:bmu"),
        huge.backend("bmu").device(&device),
    ] {
        let error = huge.build().expect_err("too large");
        assert!(
            matches!(&error, CreateError::Backend { cause, .. } if cause.to_string().contains("stride")),
            "{error:?}"
        );
    }
}

#[test]
fn each_bad_input_has_its_own_error() {
    assert!(matches!(
        Pool::builder("").objects(1).size(1).build(),
        Err(CreateError::EmptyName)
    ));
    assert!(matches!(
        plain().objects(0).build(),
        Err(CreateError::NoObjects { .. })
    ));
    assert!(matches!(
        plain().objects(MAX_OBJECTS + 1).build(),
        Err(CreateError::TooManyObjects { .. })
    ));
    assert!(matches!(
        plain().size(0).build(),
        Err(CreateError::NoSize { .. })
    ));
    assert!(matches!(
        plain().size(usize::MAX).build(),
        Err(CreateError::TooLarge { .. })
    ));
    assert!(matches!(
        plain().size(usize::MAX / 16).build(),
        Err(CreateError::TooLarge { .. })
    ));
    for align in [0, 32, 96, 1 << 31] {
        assert!(
            matches!(plain().align(align).build(), Err(CreateError::BadAlign { align: a, .. }) if a == align)
        );
    }
    assert!(matches!(
        plain().cache(17).build(),
        Err(CreateError::CacheTooLarge { limit: 16, .. })
    ));
    let many = plain()
        .objects(MAX_CACHE as u32 + 1)
        .cache(MAX_CACHE + 1)
        .build();
    assert!(matches!(
        many,
        Err(CreateError::CacheTooLarge {
            limit: MAX_CACHE,
            ..
        })
    ));
    assert!(matches!(
        plain().backend("sim:nothing").build(),
        Err(CreateError::Backend { .. })
    ));
}

#[test]
fn an_unknown_backend_lists_the_known_ones() {
    let error = plain().backend("rong").build().unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("\"rong\"") && message.contains("ring, stack"),
        "{message}"
    );
}

#[test]
fn names_of_backends_are_unique_and_no_addresses() {
    let name = unique("mine");
    register(&name, |_| Err("not today".into())).unwrap();
    assert!(backends().contains(&name));
    for taken in [&name, "ring", "stack"] {
        let error = register(taken, |_| Err("never".into())).unwrap_err();
        assert_eq!(
            error,
            RegisterError::Duplicate {
                name: taken.to_owned()
            }
        );
    }
    for bad in ["", "sim:mine"] {
        assert!(matches!(
            register(bad, |_| Err("never".into())),
            Err(RegisterError::BadName { .. })
        ));
    }
    let error = plain().backend(&name).build().unwrap_err();
    assert!(
        matches!(&error, CreateError::Backend { cause, .. } if cause.to_string() == "not today"),
        "{error}"
    );
}

#[test]
fn a_pool_that_was_not_made_leaves_no_tag_behind() {
    let name = unique("never");
    register(&name, |_| Err("never".into())).unwrap();
    for _ in 0..300 {
        assert!(matches!(
            plain().backend(&name).build(),
            Err(CreateError::Backend { .. })
        ));
    }
}

#[test]
fn tags_of_closed_pools_are_used_again() {
    for _ in 0..300 {
        let pool = small(4);
        drop(pool.take().unwrap());
    }
}

#[test]
fn the_default_cache_leaves_objects_for_others() {
    assert_eq!(plain().build().unwrap().cache(), 2);
    assert_eq!(plain().objects(8192).build().unwrap().cache(), 512);
}

#[test]
fn a_backend_of_another_kind_of_device_is_refused() {
    for kind in modules::kinds() {
        let device = Device::open(&format!("sim:{}", kind.name)).unwrap();
        for other in modules::kinds() {
            for way in other.ways {
                let built = plain().backend(way.backend).device(&device).build();
                match other.name == kind.name {
                    true => drop(built.unwrap()),
                    false => {
                        let CreateError::Backend { cause, .. } = built.unwrap_err() else {
                            panic!("the backend refuses");
                        };
                        let text = cause.to_string();
                        let says = format!("is a {}: its backends are", kind.name);
                        assert!(text.contains(&says), "{text}");
                    }
                }
            }
        }
    }
}

#[test]
fn no_two_backends_share_a_name() {
    let all = backends();
    let names: BTreeSet<&String> = all.iter().collect();
    assert_eq!(names.len(), all.len(), "{all:?}");
}
