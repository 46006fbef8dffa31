//! What becomes of a token that failed: it is skipped, becomes a dead letter, or stops the run.

use super::token::{Member, Trace};
use super::{End, Letter, Machine};
use crate::error::{Failed, ItemError};
use crate::report::Ended;
use crate::supervise::{DeadLetters, OnError};
use std::sync::Arc;

/// Why a token failed, and where.
pub(crate) struct Failure {
    pub(crate) stage: String,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) error: ItemError,
    pub(crate) verdict: Verdict,
}

/// What the stage's policy does with it.
#[derive(Clone)]
pub(crate) enum Verdict {
    Stop,
    Skip,
    Letter(DeadLetters),
}

impl From<&OnError> for Verdict {
    fn from(policy: &OnError) -> Self {
        match policy {
            OnError::Stop => Self::Stop,
            OnError::Skip => Self::Skip,
            OnError::DeadLetter(to) => Self::Letter(to.clone()),
        }
    }
}

impl Failure {
    fn of(&self, member: Option<&Member>, failures: u32) -> Failed {
        Failed {
            key: member.and_then(|member| member.key.as_deref().map(str::to_owned)),
            position: member.map(|member| member.position.clone()).unwrap_or_default(),
            stage: self.stage.clone(),
            error: self.error.clone(),
            attempts: failures + 1,
        }
    }
}

impl<V> Machine<V> {
    pub(crate) fn failed(&mut self, node: usize, trace: Trace, failure: &Failure) {
        self.unreserve_child(node);
        self.rest(node, &trace);
        self.leave(node, &trace);
        self.fail(trace, failure);
    }

    /// A whole batch failed: each member by itself, with the one error.
    pub(crate) fn failed_each(&mut self, node: usize, batch: Vec<Trace>, failure: &Failure) {
        self.nodes[node].running -= 1;
        for trace in batch {
            self.rest_member(node, &trace);
            self.leave(node, &trace);
            self.fail(trace, failure);
        }
    }

    /// A dead-letter sink has answered.
    pub(crate) fn lettered(&mut self, letter: Letter, answer: Result<(), ItemError>) {
        self.letters_running -= 1;
        match answer {
            Ok(()) => self.end(letter.trace, None, End::DeadLettered),
            Err(error) => {
                let failed = Failed {
                    error,
                    stage: format!("{} (dead letters)", letter.failed.stage),
                    ..letter.failed
                };
                self.stop_for(letter.trace, failed);
            }
        }
    }

    /// A dead letter was discarded undelivered.
    pub(crate) fn letter_cancelled(&mut self, letter: Letter) {
        self.letters_running -= 1;
        self.end(letter.trace, None, End::Cancelled);
    }

    /// Judges a token that has left its node. Its value is gone, so it holds no bytes any more.
    pub(super) fn fail(&mut self, mut trace: Trace, failure: &Failure) {
        trace.rename(failure.key.clone());
        self.credit.release(0, trace.bytes);
        trace.bytes = 0;
        if self.is_stopping() {
            self.end(trace, None, End::Cancelled);
            return;
        }
        match &failure.verdict {
            Verdict::Skip => self.end(trace, None, End::Skipped),
            Verdict::Stop => {
                let failed = failure.of(trace.members.first(), trace.failures);
                self.stop_for(trace, failed);
            }
            Verdict::Letter(to) => {
                for member in trace.members {
                    let failed = failure.of(Some(&member), trace.failures);
                    let position = member.position.clone();
                    let letter = Letter { trace: Trace::of(member, 0), failed, to: to.clone() };
                    self.letters.insert(position, letter);
                }
            }
        }
    }

    fn stop_for(&mut self, trace: Trace, failed: Failed) {
        let is_first = !self.is_stopping();
        self.end(trace, None, if is_first { End::Failed } else { End::Cancelled });
        if is_first {
            self.failure = Some(failed);
        }
        self.stop(Ended::Failed);
    }
}
