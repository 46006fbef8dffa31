//! Where an item stands in the order of its source.

use std::fmt;
use std::sync::Arc;

/// An item's place in source order: its source item's birth number, then the number of the child or branch at each
/// stage that made several of one. Positions compare lexicographically; what is not born yet is younger than all that
/// is, and what a `fold` makes at the end of its input is younger than all births, those of merged flows too.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    birth: u64,
    /// Most items are no children of anything, and cost no allocation.
    rest: Option<Arc<[u64]>>,
}

/// Behind every birth number.
const END_OF_INPUT: u64 = u64::MAX;

impl Position {
    /// The position of the source's item number `birth`.
    pub(crate) fn of_birth(birth: u64) -> Self {
        Self { birth, rest: None }
    }

    /// Where what node `node` makes at the end of its input stands.
    pub(crate) fn of_end(node: usize) -> Self {
        Self { birth: END_OF_INPUT, rest: Some([node as u64].into()) }
    }

    /// Behind all births, and before what is made at the end of input.
    pub(crate) fn end_of_births() -> Self {
        Self { birth: END_OF_INPUT, rest: None }
    }

    pub(crate) fn is_of_end(&self) -> bool {
        self.birth == END_OF_INPUT
    }

    /// The position of this item's child number `child`.
    pub(crate) fn child(&self, child: u64) -> Self {
        let path = self.rest.iter().flat_map(|rest| rest.iter().copied()).chain([child]);
        Self { birth: self.birth, rest: Some(path.collect()) }
    }

    /// The path itself: the source's birth number first.
    #[must_use]
    pub fn path(&self) -> Vec<u64> {
        std::iter::once(self.birth).chain(self.rest.iter().flat_map(|rest| rest.iter().copied())).collect()
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.birth {
            END_OF_INPUT => f.write_str("end")?,
            birth => write!(f, "{birth}")?,
        }
        self.rest.iter().flat_map(|rest| rest.iter()).try_for_each(|number| write!(f, ".{number}"))
    }
}
