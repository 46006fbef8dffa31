//! dynamo-runtime's compute pool, in its own program (`dynamo/`): it demands another Tokio than ours.

use super::program::Program;
use crate::arguments::Program as Where;
use crate::drive::Asked;
use std::time::Duration;

/// The running program.
pub(crate) struct Dynamo(Program);

impl Dynamo {
    pub(crate) fn start(place: &Where) -> Self {
        Self(Program::start("Dynamo", place))
    }

    /// No-op jobs on a pool of `threads` threads.
    pub(crate) fn jobs(
        &mut self,
        threads: usize,
        asked: Asked,
        in_flight: usize,
        jobs: u64,
    ) -> anyhow::Result<Duration> {
        self.time(&format!("{asked:?} {threads} {in_flight} {jobs}"))
    }

    /// CPU time of its process over a second without work, after `jobs_before`.
    pub(crate) fn idle(&mut self, threads: usize, jobs_before: u64) -> anyhow::Result<Duration> {
        self.time(&format!("Idle {threads} 1 {jobs_before}"))
    }

    fn time(&mut self, question: &str) -> anyhow::Result<Duration> {
        let answer = self.0.ask(question)?;
        let [nanoseconds] = answer[..] else { anyhow::bail!("Dynamo answered {answer:?}") };
        Ok(Duration::from_nanos(nanoseconds))
    }
}
