//! A service whose requests need cores: a pool computes them, and Tokio's one thread keeps its own time.
use quipu_compute::{ComputeError, ComputePool};
use std::time::{Duration, Instant};

fn primes_below(limit: u32) -> usize {
    (2..limit).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

/// Wants to wake every 2 ms, and tells how late it was at worst.
async fn heartbeat() -> Duration {
    let (mut due, mut late) = (Instant::now(), Duration::ZERO);
    for _ in 0..50 {
        due += Duration::from_millis(2);
        tokio::time::sleep_until(due.into()).await;
        late = late.max(due.elapsed());
    }
    late
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ComputeError> {
    let (pool, heartbeat) = (ComputePool::with_defaults()?, tokio::spawn(heartbeat()));
    for job in [1_000, 10_000, 500_000].map(|limit| pool.execute(move || (primes_below(limit), limit))) {
        job.await.map(|(primes, limit)| println!("{primes} primes below {limit}"))?;
    }
    println!("a job took {:.1?} on average", pool.metrics().run.mean());
    println!("its heartbeat was {:.1?} late at worst", heartbeat.await.unwrap_or_default());
    Ok(())
}
