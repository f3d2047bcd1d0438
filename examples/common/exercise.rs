//! What both mempool examples do with a pool; only the name of its backend differs.

use std::error::Error;

use hwpool::pool::Pool;

/// Fills, empties and closes a pool over `backend`, and says what it saw.
pub(crate) fn run(backend: &str) -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder("example")
        .objects(1000)
        .size(2048)
        .cache(64)
        .backend(backend)
        .build()?;
    println!("{backend}: {} buffers free", pool.count());

    let mut worker = pool.worker("main")?;
    let mut buffer = worker.take()?.ok_or("a new pool is empty")?;
    buffer.bytes_mut().fill(0x5a);
    println!("buffer {} at IOVA {:?}", buffer.index(), buffer.iova());
    drop(buffer);

    // In bulk: all or nothing, and what was taken is given back in the same number of calls.
    let mut slots = Vec::new();
    while worker.take_into(&mut slots, 50)? {}
    println!(
        "took {} in bulks of 50, {} are left",
        slots.len(),
        pool.count()
    );
    while !slots.is_empty() {
        let n = slots.len().min(50);
        worker.give_from(&mut slots, n)?;
    }
    drop(worker);

    let report = pool.close()?;
    println!("closed: {report}");
    if report.is_clean() {
        Ok(())
    } else {
        Err("buffers are missing".into())
    }
}
