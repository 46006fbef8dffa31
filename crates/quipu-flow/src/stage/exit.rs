//! How a stage's outputs are appraised: what they weigh, what they are called, and what the stage behind wants to know.

use crate::error::ItemError;
use crate::machine::{Lineage, Member};
use crate::supervise::contain;
use std::sync::{Arc, OnceLock};

pub(crate) type Weigher<T> = Arc<dyn Fn(&T) -> usize + Send + Sync>;
pub(crate) type Keyer<T> = Arc<dyn Fn(&T) -> String + Send + Sync>;

/// What the stage behind asks of an item of `bytes`: its size in a batch, the bytes to reserve, its key. It may be said
/// after the stage before was closed, by a modifier.
pub(crate) type Ask<T> = Arc<dyn Fn(&T, u64) -> u64 + Send + Sync>;

pub(crate) struct Exit<T> {
    pub(crate) weigh: Weigher<T>,
    pub(crate) key: Option<Keyer<T>>,
    pub(crate) ask: Option<Ask<T>>,
}

impl<T> Exit<T> {
    /// Appraises an item for its member. This calls user functions.
    pub(crate) fn appraise(&self, item: &T, member: &mut Member) {
        (member.bytes, member.ask) = self.figures(item);
        if let Some(key) = &self.key {
            member.rename(Arc::from(key(item)));
        }
    }

    /// The same for an item that is new. Its member is made in one go: it will be moved, and what has just been written
    /// in parts is read as a whole only slowly.
    #[inline]
    pub(crate) fn admit(&self, item: &T) -> Member {
        let (bytes, ask) = self.figures(item);
        let named = |key: &Keyer<T>| Lineage { key: Some(Arc::from(key(item))), ..Lineage::default() };
        let lineage = self.key.as_ref().map(named).map(Arc::new);
        Member { lineage, ..Member::new(bytes, ask) }
    }

    #[inline]
    fn figures(&self, item: &T) -> (u64, u64) {
        let bytes = (self.weigh)(item) as u64;
        (bytes, self.ask.as_ref().map_or(0, |ask| ask(item, bytes)))
    }

    /// The same, where a panic must not be anybody else's.
    pub(crate) fn try_appraise(&self, item: &T, member: &mut Member) -> Result<(), ItemError> {
        contain(|| {
            self.appraise(item, member);
            Ok(())
        })
    }
}

impl<T> Clone for Exit<T> {
    fn clone(&self) -> Self {
        Self { weigh: self.weigh.clone(), key: self.key.clone(), ask: self.ask.clone() }
    }
}

/// What an io asks of its inputs, once its modifiers have said so.
pub(crate) struct Reserve<T> {
    /// The most that it makes of an item.
    pub(crate) at_most: OnceLock<Weigher<T>>,
    /// Whether it keeps a copy for a retry.
    pub(crate) copy: OnceLock<fn(&T) -> T>,
}

impl<T> Default for Reserve<T> {
    fn default() -> Self {
        Self { at_most: OnceLock::new(), copy: OnceLock::new() }
    }
}

impl<T> Reserve<T> {
    /// The bytes to charge before the io starts.
    pub(crate) fn of(&self, item: &T, bytes: u64) -> u64 {
        let at_most = self.at_most.get().map_or(bytes, |at_most| bytes.max(at_most(item) as u64));
        at_most + if self.copy.get().is_some() { bytes } else { 0 }
    }
}
