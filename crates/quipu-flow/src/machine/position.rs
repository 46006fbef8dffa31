//! Where an item stands in the order of its source.

use std::fmt;

/// An item's place in source order: its source item's birth number, then the number of the child in each `flat_map`
/// on the way. Positions compare lexicographically; what is not born yet is younger than everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(Vec<u64>);

impl Position {
    /// The position of the source's item number `birth`.
    pub(crate) fn of_birth(birth: u64) -> Self {
        Self(vec![birth])
    }

    /// The position of this item's child number `child`.
    pub(crate) fn child(&self, child: u64) -> Self {
        let mut path = Vec::with_capacity(self.0.len() + 1);
        path.extend_from_slice(&self.0);
        path.push(child);
        Self(path)
    }

    /// The path itself: the source's birth number first.
    #[must_use]
    pub fn path(&self) -> &[u64] {
        &self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, number) in self.0.iter().enumerate() {
            let dot = if depth > 0 { "." } else { "" };
            write!(f, "{dot}{number}")?;
        }
        Ok(())
    }
}
