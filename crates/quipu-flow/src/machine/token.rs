//! A token: one item, or several gathered into one, on its way through the nodes. It carries its charge, its members'
//! positions and what must be acknowledged for it; its value means nothing to the machine.

use super::position::Position;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

/// What waits at a node.
pub(crate) struct Token<V> {
    pub(crate) value: V,
    pub(crate) trace: Trace,
    /// What the value counts for in the batch that the next node gathers.
    pub(crate) measure: u64,
    /// What is charged at least while the next node works on it.
    pub(crate) reserve: u64,
    /// Since when it waits where it is.
    pub(crate) since: Instant,
}

/// A token without its value: this stays behind when user code takes the value.
#[derive(Debug)]
pub(crate) struct Trace {
    /// Oldest first; one unless a batch was gathered.
    pub(crate) members: Vec<Member>,
    /// The bytes it is charged with.
    pub(crate) bytes: u64,
    /// The number of its next child, once a `flat_map` has begun with it.
    pub(crate) next_child: Option<u64>,
    /// How often the current io was tried and failed.
    pub(crate) failures: u32,
}

/// One item inside a token; it reaches exactly one end.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) position: Position,
    pub(crate) key: Option<Arc<str>>,
    pub(crate) receipts: Vec<Arc<Receipt>>,
}

/// A value that a node has made, appraised for the node behind it.
pub(crate) struct Made<V> {
    pub(crate) value: V,
    pub(crate) bytes: u64,
    pub(crate) measure: u64,
    pub(crate) reserve: u64,
    /// The item's new name, where its stage gives one.
    pub(crate) key: Option<Arc<str>>,
}

impl Trace {
    pub(crate) fn of(member: Member, bytes: u64) -> Self {
        Self { members: vec![member], bytes, next_child: None, failures: 0 }
    }

    /// The credit in items that it holds.
    pub(crate) fn items(&self) -> u64 {
        self.members.len() as u64
    }

    /// A parked expander stands where its next child will; a batch where its oldest member stands.
    pub(crate) fn position(&self) -> Position {
        match (self.members.first(), self.next_child) {
            (Some(oldest), None) => oldest.position.clone(),
            (Some(oldest), Some(child)) => oldest.position.child(child),
            (None, _) => Position::default(),
        }
    }

    pub(crate) fn rename(&mut self, key: Option<Arc<str>>) {
        if let Some(key) = key {
            for member in &mut self.members {
                member.key = Some(key.clone());
            }
        }
    }

    /// The member that the next child of this token is.
    pub(crate) fn child(&self, number: u64) -> Member {
        let oldest = self.members.first();
        Member {
            position: oldest.map(|member| member.position.child(number)).unwrap_or_default(),
            key: oldest.and_then(|member| member.key.clone()),
            receipts: self.members.iter().flat_map(|member| member.receipts.iter().cloned()).collect(),
        }
    }
}

/// The acknowledgement of one source item. Everything made from the item holds it; when the last holder is gone and
/// none has refused, the hook is called. It is only ever dropped outside the machine's lock.
pub(crate) struct Receipt {
    hook: Option<Box<dyn FnOnce() + Send + Sync>>,
    refused: AtomicBool,
}

impl Receipt {
    pub(crate) fn new(hook: Box<dyn FnOnce() + Send + Sync>) -> Self {
        Self { hook: Some(hook), refused: AtomicBool::new(false) }
    }

    /// Something made from the item did not end well: the hook will not be called.
    pub(crate) fn refuse(&self) {
        self.refused.store(true, Relaxed);
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let (Some(hook), false) = (self.hook.take(), *self.refused.get_mut())
            && catch_unwind(AssertUnwindSafe(hook)).is_err()
        {
            tracing::error!("an `on_ack` hook panicked");
        }
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").field("refused", &self.refused).finish_non_exhaustive()
    }
}

/// A token that has ended. It leaves the machine so that values, keys and receipts die outside the lock.
pub(crate) struct Gone<V> {
    value: Option<V>,
    trace: Trace,
    acknowledged: bool,
}

impl<V> Gone<V> {
    pub(crate) fn new(value: Option<V>, trace: Trace, acknowledged: bool) -> Self {
        Self { value, trace, acknowledged }
    }

    /// Whether dropping it runs any user code.
    pub(crate) fn is_heavy(&self) -> bool {
        self.value.is_some() || self.trace.members.iter().any(|member| !member.receipts.is_empty())
    }
}

impl<V> Drop for Gone<V> {
    fn drop(&mut self) {
        if !self.acknowledged {
            self.trace
                .members
                .iter()
                .flat_map(|member| &member.receipts)
                .for_each(|receipt| receipt.refuse());
        }
        if let Some(value) = self.value.take()
            && catch_unwind(AssertUnwindSafe(move || drop(value))).is_err()
        {
            tracing::error!("dropping a cancelled item panicked");
        }
    }
}
