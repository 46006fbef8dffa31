//! What becomes of an item that failed: it is skipped, becomes a dead letter, fails what it is a part of, or stops the
//! run.

use super::token::{Load, Member};
use super::{End, Letter, Machine, Position};
use crate::error::{Failed, ItemError};
use crate::report::Ended;
use crate::supervise::{DeadLetters, OnError};
use std::sync::Arc;

/// Why an item failed, and where.
#[derive(Clone)]
pub(crate) struct Failure {
    pub(crate) stage: Arc<str>,
    pub(crate) error: ItemError,
    pub(crate) verdict: Verdict,
}

/// What the stage's policy does with it.
#[derive(Clone)]
pub(crate) enum Verdict {
    Stop,
    Skip,
    Letter(DeadLetters),
    /// The item that it is a part of fails, and is judged by its gather.
    Parent,
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
    fn of(&self, position: Position, key: Option<&Arc<str>>, attempts: u32) -> Failed {
        Failed {
            key: key.map(|key| key.to_string()),
            position,
            stage: self.stage.to_string(),
            error: self.error.clone(),
            attempts: attempts + 1,
        }
    }
}

impl<V: Load> Machine<V> {
    /// A dead-letter sink has answered.
    pub(crate) fn lettered(&mut self, letter: Letter, answer: Result<(), ItemError>) {
        self.letters_running -= 1;
        self.release(letter.region, &letter.member);
        match answer {
            Ok(()) => self.end_member(&letter.member, End::DeadLettered),
            Err(error) => {
                let stage = format!("{} (dead letters)", letter.failed.stage);
                self.stop_for(&letter.member, Failed { error, stage, ..letter.failed });
            }
        }
    }

    /// A dead letter was discarded undelivered.
    pub(crate) fn letter_cancelled(&mut self, letter: &Letter) {
        self.letters_running -= 1;
        self.release(letter.region, &letter.member);
        self.end_member(&letter.member, End::Cancelled);
    }

    /// Judges a member that has left its node and holds no credit any more. Its value is gone.
    pub(super) fn fail(&mut self, node: usize, mut member: Member, failure: Failure, attempts: u32) {
        if self.is_stopping() {
            self.end_member(&member, End::Cancelled);
            return;
        }
        match &failure.verdict {
            Verdict::Skip => self.end_member(&member, End::Skipped),
            Verdict::Parent => {
                self.part_fails(&member, &failure);
                self.end_member(&member, End::Skipped);
            }
            Verdict::Stop => {
                let failed = failure.of(member.position.clone(), member.key(), attempts);
                self.stop_for(&member, failed);
            }
            Verdict::Letter(to) => {
                member.bytes = 0;
                for (member, position, key) in one_by_one(member) {
                    let failed = failure.of(position.clone(), key.as_ref(), attempts);
                    self.charge(node, &member);
                    let region = self.nodes[node].region;
                    let letter = Letter { member, region, failed, to: to.clone() };
                    let number = self.fresh_id();
                    self.letters.insert((position, number), letter);
                }
            }
        }
    }

    /// Something that all items need could not be made.
    pub(crate) fn break_down(&mut self, failure: &Failure) {
        if !self.is_stopping() {
            let nobody = Arc::from("(none: its thread did not start)");
            self.failure = Some(failure.of(Position::default(), Some(&nobody), 0));
        }
        self.stop(Ended::Failed);
    }

    fn stop_for(&mut self, member: &Member, failed: Failed) {
        let is_first = !self.is_stopping();
        self.end_member(member, if is_first { End::Failed } else { End::Cancelled });
        if is_first {
            self.failure = Some(failed);
        }
        self.stop(Ended::Failed);
    }
}

/// Who fails when a member does: each passenger of a batch by itself. The youngest keeps what the batch held, its births
/// too: letters are delivered one after the other, oldest first, and none is acknowledged before all of them are.
fn one_by_one(member: Member) -> Vec<(Member, Position, Option<Arc<str>>)> {
    let passengers = member.lineage.as_ref().map(|lineage| lineage.passengers.clone()).unwrap_or_default();
    if passengers.is_empty() {
        let (position, key) = (member.position.clone(), member.key().cloned());
        return vec![(member, position, key)];
    }
    let each = passengers.into_iter().map(|(position, key)| {
        let member = Member { count: 1, ..Member::default() };
        (member, position, key)
    });
    let mut each: Vec<_> = each.collect();
    // A batch of batches has its passengers in the order of these.
    if let Some((last, ..)) = each.iter_mut().max_by(|one, other| one.1.cmp(&other.1)) {
        *last = Member { count: 1, ..member };
    }
    each
}
