//! What is known of a stage besides its work: its name, its policy and its counters. Its work holds it too.

use crate::error::ItemError;
use crate::machine::{Failure, Verdict};
use crate::supervise::OnError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

pub(crate) struct Info {
    pub(crate) kind: &'static str,
    draft: Mutex<Draft>,
    fixed: OnceLock<Fixed>,
    pub(crate) meter: Meter,
}

/// What modifiers may change until the flow is compiled.
#[derive(Clone, Default)]
pub(crate) struct Draft {
    pub(crate) name: Option<String>,
    pub(crate) on_error: Option<OnError>,
    pub(crate) priority: Option<u32>,
}

/// What is fixed from then on.
pub(crate) struct Fixed {
    pub(crate) name: Arc<str>,
    pub(crate) verdict: Mutex<Verdict>,
}

impl Info {
    pub(crate) fn new(kind: &'static str) -> Arc<Self> {
        Arc::new(Self { kind, draft: Mutex::default(), fixed: OnceLock::new(), meter: Meter::default() })
    }

    pub(crate) fn draft(&self) -> MutexGuard<'_, Draft> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fix(&self, name: &str, verdict: Verdict) {
        let _ = self.fixed.set(Fixed { name: name.into(), verdict: Mutex::new(verdict) });
    }

    pub(crate) fn name(&self) -> Arc<str> {
        self.fixed.get().map_or_else(|| self.kind.into(), |fixed| fixed.name.clone())
    }

    /// An item's failure here, to be judged by the stage's policy.
    pub(crate) fn failure(&self, error: ItemError) -> Failure {
        let verdict = self.fixed.get().map_or(Verdict::Stop, |fixed| fixed.verdict().clone());
        Failure { stage: self.name(), error, verdict }
    }

    /// Lets go of the sinks for failed items: no stage will fail any more. The counters stay, for the report.
    pub(crate) fn retire(&self) {
        let draft = std::mem::take(&mut *self.draft());
        let verdict = self.fixed.get().map(|fixed| std::mem::replace(&mut *fixed.verdict(), Verdict::Stop));
        // They are the user's, and dropped outside the locks.
        drop((draft, verdict));
    }
}

impl Fixed {
    fn verdict(&self) -> MutexGuard<'_, Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stage's counters.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    entered: AtomicU64,
    left: AtomicU64,
    failed: AtomicU64,
    busy_ns: AtomicU64,
}

/// What one quantum has done in one stage.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) entered: u64,
    pub(crate) left: u64,
    pub(crate) failed: u64,
    pub(crate) busy_ns: u64,
}

impl Meter {
    pub(crate) fn add(&self, tally: Tally) {
        self.entered.fetch_add(tally.entered, Relaxed);
        self.left.fetch_add(tally.left, Relaxed);
        self.failed.fetch_add(tally.failed, Relaxed);
        self.busy_ns.fetch_add(tally.busy_ns, Relaxed);
    }

    pub(crate) fn read(&self) -> Tally {
        Tally {
            entered: self.entered.load(Relaxed),
            left: self.left.load(Relaxed),
            failed: self.failed.load(Relaxed),
            busy_ns: self.busy_ns.load(Relaxed),
        }
    }
}

pub(crate) fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
