//! dynamo-runtime's `ComputePool` under the same driver as ours: a peer that needs a process of its own.
//!
//! With an argument it says its version. Else it answers each line "ByTasks|ByOne|Idle threads in-flight jobs" with
//! nanoseconds: of the jobs, or of the CPU time that the process takes in a second after them.

#[path = "../../src/clock.rs"]
mod clock;
#[path = "../../src/drive.rs"]
mod drive;

use drive::Asked;
use dynamo_runtime::compute::{ComputeConfig, ComputePool};
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().len() > 1 {
        println!("dynamo-runtime 1.6.1 (tokio 1.52.4)");
        return Ok(());
    }
    let mut pools = HashMap::new();
    for line in std::io::stdin().lines() {
        let line = line?;
        let [what, numbers @ ..] = &line.split(' ').collect::<Vec<_>>()[..] else { return Ok(()) };
        let numbers: Vec<u64> = numbers.iter().map(|number| number.parse()).collect::<Result<_, _>>()?;
        let [threads, in_flight, jobs] = numbers[..] else { return Err("three numbers are needed".into()) };
        let bridge = match pools.entry(threads) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(Bridge::new(threads as usize)?),
        };
        let asked = if *what == "ByTasks" { Asked::ByTasks } else { Asked::ByOne };
        let mut took = bridge.jobs(asked, in_flight as usize, jobs)?;
        if *what == "Idle" {
            let before = clock::of_process();
            std::thread::sleep(Duration::from_secs(1));
            took = clock::of_process() - before;
        }
        println!("{}", took.as_nanos());
    }
    Ok(())
}

struct Bridge {
    runtime: Runtime,
    pool: Arc<ComputePool>,
}

impl Bridge {
    fn new(threads: usize) -> Result<Self, Box<dyn Error>> {
        let runtime = Builder::new_multi_thread().worker_threads(threads).build()?;
        let config = ComputeConfig { num_threads: Some(threads), ..ComputeConfig::default() };
        Ok(Self { runtime, pool: Arc::new(ComputePool::new(config)?) })
    }

    fn jobs(&self, asked: Asked, in_flight: usize, jobs: u64) -> Result<Duration, Box<dyn Error>> {
        let pool = self.pool.clone();
        let submit = move || {
            let pool = pool.clone();
            async move { pool.execute(|| ()).await }
        };
        Ok(self.runtime.block_on(self.runtime.spawn(drive::drive(asked, jobs, in_flight, submit)))?)
    }
}
