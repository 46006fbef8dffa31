//! A set of chunks as bits: what a filter leaves, what a block holds alive.
//!
//! One bit for each chunk id, so that a set lines up with the vector blocks word for word. Plain words
//! rather than a compressed set: a million chunks are 122 KiB, and the scan wants them in this form.

const WORD_BITS: usize = u64::BITS as usize;

/// A set of chunk ids, one bit each. Ids past its end are absent; setting one makes it longer.
#[derive(Debug, Clone, Default)]
pub struct Bitmap {
    words: Vec<u64>,
}

impl Bitmap {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The empty set with room for the ids below `bits`.
    #[must_use]
    pub fn with_capacity(bits: usize) -> Self {
        Self { words: Vec::with_capacity(bits.div_ceil(WORD_BITS)) }
    }

    /// Adds `id`.
    pub fn set(&mut self, id: u32) {
        let (word, bit) = place(id);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    /// Removes `id`.
    pub fn clear(&mut self, id: u32) {
        let (word, bit) = place(id);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
    }

    /// Whether `id` is in the set.
    #[must_use]
    pub fn contains(&self, id: u32) -> bool {
        let (word, bit) = place(id);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many ids are in the set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no id is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The ids, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let base = (index * WORD_BITS) as u32;
            set_bits(word).map(move |bit| base + bit)
        })
    }

    /// The bits themselves, lowest id first; the set may end before the last chunk.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Keeps only what is in `other` too.
    pub fn intersect_with(&mut self, other: &Self) {
        self.words.truncate(other.words.len());
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Adds everything in `other`.
    pub fn union_with(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Removes everything in `other`.
    pub fn subtract(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }
}

/// Two sets are equal when they hold the same ids, however long their words run.
impl PartialEq for Bitmap {
    fn eq(&self, other: &Self) -> bool {
        let (short, long) = if self.words.len() <= other.words.len() { (self, other) } else { (other, self) };
        let (same, rest) = long.words.split_at(short.words.len());
        same == short.words && rest.iter().all(|&word| word == 0)
    }
}

impl Eq for Bitmap {}

impl FromIterator<u32> for Bitmap {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        let mut bitmap = Self::new();
        ids.into_iter().for_each(|id| bitmap.set(id));
        bitmap
    }
}

/// The positions of the bits set in `word`, ascending.
pub(crate) fn set_bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

fn place(id: u32) -> (usize, u64) {
    (id as usize / WORD_BITS, 1 << (id as usize % WORD_BITS))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ids() -> impl Strategy<Value = BTreeSet<u32>> {
        proptest::collection::btree_set(0_u32..400, 0..60)
    }

    fn bitmap(ids: &BTreeSet<u32>) -> Bitmap {
        ids.iter().copied().collect()
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(a in ids(), b in ids()) {
            let (left, right) = (bitmap(&a), bitmap(&b));
            prop_assert_eq!(left.count(), a.len());
            prop_assert_eq!(left.is_empty(), a.is_empty());
            prop_assert_eq!(left.iter().collect::<BTreeSet<_>>(), a.clone());
            prop_assert_eq!(left == right, a == b);
            let mut both = left.clone();
            both.intersect_with(&right);
            prop_assert_eq!(both, bitmap(&(&a & &b)));
            let mut either = left.clone();
            either.union_with(&right);
            prop_assert_eq!(either, bitmap(&(&a | &b)));
            let mut rest = left.clone();
            rest.subtract(&right);
            prop_assert_eq!(rest, bitmap(&(&a - &b)));
        }

        #[test]
        fn holds_what_was_set_and_not_cleared(a in ids(), cleared in ids()) {
            let mut set = bitmap(&a);
            cleared.iter().for_each(|&id| set.clear(id));
            for id in 0..500 {
                prop_assert_eq!(set.contains(id), a.contains(&id) && !cleared.contains(&id));
            }
        }
    }
}
