//! Whether work is of the size that its macro says: counted while it is switched on, which costs two clock readings a
//! job, and one relaxed load while it is off. A switch at run time, so it is the same in every crate that uses the
//! macros.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// From here on work is not small.
pub const MEDIUM_MIN: Duration = Duration::from_micros(100);
/// From here on work is large.
pub const LARGE_MIN: Duration = Duration::from_millis(1);

static ENABLED: AtomicBool = AtomicBool::new(false);
static COUNTS: [[AtomicU64; 3]; 3] = [const { [const { AtomicU64::new(0) }; 3] }; 3];

/// How long work takes, by its macro's name or by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeClass {
    /// Shorter than [`MEDIUM_MIN`]: runs where it stands.
    Small,
    /// Shorter than [`LARGE_MIN`].
    Medium,
    /// All that is longer.
    Large,
}

impl SizeClass {
    /// The class of what took so long.
    #[must_use]
    pub fn of(span: Duration) -> Self {
        match span {
            span if span < MEDIUM_MIN => Self::Small,
            span if span < LARGE_MIN => Self::Medium,
            _ => Self::Large,
        }
    }
}

/// Switches the counting on or off for the whole process.
pub fn enable(on: bool) {
    ENABLED.store(on, Relaxed);
}

/// How much work that was `declared` to be of one class was `measured` to be of another (or of the same) since the
/// process started.
#[must_use]
pub fn count(declared: SizeClass, measured: SizeClass) -> u64 {
    COUNTS[declared as usize][measured as usize].load(Relaxed)
}

/// How much work was measured to be of another class than declared.
#[must_use]
pub fn misclassified() -> u64 {
    const CLASSES: [SizeClass; 3] = [SizeClass::Small, SizeClass::Medium, SizeClass::Large];
    let pairs = CLASSES.into_iter().flat_map(|declared| CLASSES.map(|measured| (declared, measured)));
    pairs
        .filter(|(declared, measured)| declared != measured)
        .map(|(declared, measured)| count(declared, measured))
        .sum()
}

/// Measures one piece of work by its life.
#[derive(Debug)]
#[must_use = "it measures until it is dropped"]
pub struct SizeCheck {
    declared: SizeClass,
    since: Option<Instant>,
}

impl SizeCheck {
    /// Starts measuring work that is declared to be of this class.
    pub fn start(declared: SizeClass) -> Self {
        Self { declared, since: ENABLED.load(Relaxed).then(Instant::now) }
    }
}

impl Drop for SizeCheck {
    fn drop(&mut self) {
        let Some(since) = self.since else { return };
        let (declared, span) = (self.declared, since.elapsed());
        let measured = SizeClass::of(span);
        COUNTS[declared as usize][measured as usize].fetch_add(1, Relaxed);
        if declared != measured {
            tracing::debug!("work declared {declared:?} took {span:?}, which is {measured:?}");
        }
    }
}
