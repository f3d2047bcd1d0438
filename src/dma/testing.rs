//! What the tests of this module share.

/// Says why a test can't run here. Where `HWPOOL_NO_SKIP` is set, as by `scripts/check` when root, that is a failure.
pub(super) fn skip(why: impl std::fmt::Display) {
    assert!(
        std::env::var_os("HWPOOL_NO_SKIP").is_none(),
        "must not be skipped: {why}"
    );
    eprintln!("skipped: {why}");
}
