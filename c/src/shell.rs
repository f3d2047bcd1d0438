//! [`Shell`]: a worker as C holds it.

use hwpool::pool::Worker;

use crate::grid::Grid;
use crate::pool::Pool;

/// What a `hwpool_worker` points to, on its own thread.
#[repr(C)]
pub(crate) struct Shell {
    pub(crate) grid: Grid,
    /// This processor has AVX2, and the grid suits it.
    pub(crate) is_wide: bool,
    /// Where the device finds object 0.
    pub(crate) iova: u64,
    pub(crate) worker: Worker,
}

impl Shell {
    /// Wraps a worker of `pool`; `None` where objects are too far apart.
    pub(crate) fn new(pool: &Pool, worker: Worker) -> Option<Shell> {
        let (base, objects) = (pool.pool.memory().as_ptr(), pool.pool.objects());
        let stride = u32::try_from(pool.pool.stride()).ok()?;
        let grid = Grid::new(
            base.as_ptr().cast(),
            stride,
            objects,
            pool.pool.first_word(),
        );
        Some(Shell {
            grid,
            is_wide: has_avx2() && grid.is_near(),
            iova: pool.iova,
            worker,
        })
    }
}

fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}
