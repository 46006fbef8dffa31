//! Drives a bridge: so many no-op jobs, so many of them in flight.
//!
//! Used by this program and, as the same file, by Dynamo's.

use futures_util::StreamExt;
use std::time::{Duration, Instant};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Asked {
    /// As many tasks as jobs in flight, each with one at a time: the requests of a service.
    ByTasks,
    /// One task that keeps as many in flight: a `buffer_unordered`.
    ByOne,
}

/// How long `jobs` answers of `submit` take with `in_flight` of them asked for at once.
pub(crate) async fn drive<F, Answer>(asked: Asked, jobs: u64, in_flight: usize, submit: F) -> Duration
where
    F: Fn() -> Answer + Clone + Send + 'static,
    Answer: Future + Send,
{
    let start = Instant::now();
    match asked {
        Asked::ByTasks => {
            let each = jobs / in_flight as u64;
            let task = |submit: F| async move {
                for _ in 0..each {
                    submit().await;
                }
            };
            let tasks: Vec<_> = (0..in_flight).map(|_| tokio::spawn(task(submit.clone()))).collect();
            for task in tasks {
                task.await.expect("the jobs do nothing, so no task panics");
            }
        }
        Asked::ByOne => {
            let answers = futures_util::stream::iter(0..jobs).map(|_| submit()).buffer_unordered(in_flight);
            answers.for_each(async |_| ()).await;
        }
    }
    start.elapsed()
}
