//! What holds for a process: Rayon's global pool is not started, and pools that have nothing to do take no CPU time.
//! One test, as each half looks at all of the process.
#![allow(clippy::unwrap_used)]

mod support;

use quipu_compute::{ComputePoolExt, compute_large, patterns};
use rayon::prelude::*;
use std::time::Duration;
use support::pool;

async fn everything(threads: usize) {
    let pool = pool(threads);
    pool.execute(|| (0..100).into_par_iter().sum::<i32>()).await.unwrap();
    pool.install(|| (0..100).into_par_iter().sum::<i32>()).await.unwrap();
    pool.execute_scoped(|scope| scope.spawn(|_| ())).await.unwrap();
    pool.execute_scoped_fifo(|scope| scope.spawn_fifo(|_| ())).await.unwrap();
    pool.join(|| (), || ()).await.unwrap();
    pool.parallel_map(vec![1, 2], |n| n).await.unwrap();
    pool.parallel_batch(vec![1, 2], 1, <[i32]>::to_vec).await.unwrap();
    compute_large!(&pool => (0..100).into_par_iter().sum::<i32>()).await.unwrap();
    let blocking = pool.clone();
    let sum = tokio::task::spawn_blocking(move || {
        patterns::map_reduce(&blocking, &[1, 2], |n| *n, || 0, |a, b| a + b)
    });
    assert_eq!(sum.await.unwrap(), 3);
    pool.spawn(|| assert_eq!(rayon::join(|| 1, || 2), (1, 2))).unwrap();
    pool.spawn_ticket(|| ());
    pool.execute(|| ()).await.unwrap();
}

#[tokio::test]
async fn the_global_pool_is_never_started_and_an_idle_pool_takes_no_cpu() {
    for threads in [1, 3] {
        everything(threads).await;
    }
    let idle = pool(4);
    idle.execute(|| ()).await.unwrap();
    std::thread::sleep(Duration::from_millis(100));
    if let Some(before) = cpu_ticks() {
        std::thread::sleep(Duration::from_secs(1));
        let ticks = cpu_ticks().unwrap() - before;
        assert!(ticks <= 2, "{ticks} ticks of 10 ms in an idle second");
    }
    // Rayon refuses this once the global pool has been started, by whomever.
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().unwrap();
}

/// CPU time of this process so far, in clock ticks of 10 ms.
fn cpu_ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}
