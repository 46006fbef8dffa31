//! Terms: their numbers and document frequencies, and the forward index, which says for each chunk which
//! terms it holds. [`ChunkText`] is what writer, text index and rebuild alike make of a chunk.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Doing;
use super::schema::Meta;
use super::{StoreError, TermId, TermVector, analyse, is_number};

/// Term numbers kept in memory while writing; past it the map starts afresh. About 100 bytes each.
const TERMS_CACHED_MAX: usize = 200_000;

/// Positions left free between a chunk's body and its title, so that no phrase reaches across.
const TITLE_GAP: usize = 64;

/// What is indexed of a chunk: words with their positions, and numbers.
///
/// In `words` a term stands after as many spaces as its position counts: the text index reads positions
/// off the spaces, and analysing happens once for both stores.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ChunkText {
    pub(super) words: String,
    pub(super) numbers: String,
    /// Words; numbers do not count.
    pub(super) length: u32,
}

impl ChunkText {
    /// Analyses a chunk's text, its document's title once more.
    pub(super) fn new(text: &str, title: Option<&str>) -> Self {
        let mut made = Self::default();
        let mut spaces = 0;
        made.append(text, 0, &mut spaces);
        if let Some(title) = title {
            let start = spaces + TITLE_GAP;
            made.append(title, start, &mut spaces);
        }
        made
    }

    fn append(&mut self, text: &str, start: usize, spaces: &mut usize) {
        for term in analyse(text) {
            if term.is_number {
                if !self.numbers.is_empty() {
                    self.numbers.push(' ');
                }
                self.numbers.push_str(&term.text);
                continue;
            }
            let position = start + term.position as usize;
            self.words.extend(std::iter::repeat_n(' ', position - *spaces));
            self.words.push_str(&term.text);
            *spaces = position;
            self.length += 1;
        }
    }

    /// Every occurrence of a term.
    pub(super) fn occurrences(&self) -> impl Iterator<Item = &str> {
        self.words.split(' ').chain(self.numbers.split(' ')).filter(|term| !term.is_empty())
    }
}

/// The writer's way from terms to their numbers, and what a batch does to document frequencies.
#[derive(Debug, Default)]
pub(super) struct TermTable {
    numbers: HashMap<Box<str>, TermId>,
    deltas: HashMap<TermId, i64>,
}

impl TermTable {
    /// Forgets what a batch that failed had in mind.
    pub(super) fn roll_back(&mut self) {
        *self = Self::default();
    }

    /// Counts a chunk's terms in; returns its forward row.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        meta: &mut Meta,
        text: &ChunkText,
    ) -> Result<Vec<u8>, StoreError> {
        let mut terms = Vec::new();
        for term in text.occurrences() {
            terms.push(self.number_of(connection, meta, term)?);
        }
        terms.sort_unstable();
        let row = encode(&terms);
        terms.dedup();
        for term in terms {
            *self.deltas.entry(term).or_default() += 1;
        }
        Ok(row)
    }

    /// Counts a chunk's terms out.
    pub(super) fn remove(&mut self, row: &[u8]) -> Result<(), StoreError> {
        let mut vector = TermVector::default();
        decode(row, &mut vector.terms)?;
        for (term, _) in vector.terms {
            *self.deltas.entry(term).or_default() -= 1;
        }
        Ok(())
    }

    /// Writes what the batch did. Terms that nothing holds any more go.
    pub(super) fn flush(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut deltas: Vec<_> = self.deltas.drain().filter(|(_, delta)| *delta != 0).collect();
        deltas.sort_unstable();
        let doing = "counting terms";
        let mut update =
            connection.prepare_cached("UPDATE term SET df = df + ?2 WHERE id = ?1").doing(doing)?;
        let mut delete = connection
            .prepare_cached("DELETE FROM term WHERE id = ?1 AND df = 0 RETURNING text")
            .doing(doing)?;
        for (term, delta) in deltas {
            update.execute(params![term.0, delta]).doing(doing)?;
            if delta < 0 {
                let gone: Option<String> =
                    delete.query_row([term.0], |row| row.get(0)).optional().doing(doing)?;
                gone.and_then(|text| self.numbers.remove(text.as_str()));
            }
        }
        if self.numbers.len() > TERMS_CACHED_MAX {
            self.numbers = HashMap::new();
        }
        Ok(())
    }

    fn number_of(
        &mut self,
        connection: &Connection,
        meta: &mut Meta,
        term: &str,
    ) -> Result<TermId, StoreError> {
        if let Some(id) = self.numbers.get(term) {
            return Ok(*id);
        }
        let id = match find(connection, term)? {
            Some((id, _)) => id,
            None => insert(connection, meta, term)?,
        };
        self.numbers.insert(term.into(), id);
        Ok(id)
    }
}

/// A term's number and document frequency.
pub(super) fn find(connection: &Connection, term: &str) -> Result<Option<(TermId, u64)>, StoreError> {
    connection
        .prepare_cached("SELECT id, df FROM term WHERE text = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([term], |row| Ok((TermId(row.get(0)?), super::schema::count(row.get(1)?))))
                .optional()
        })
        .doing("looking a term up")
}

fn insert(connection: &Connection, meta: &mut Meta, term: &str) -> Result<TermId, StoreError> {
    let (next, bit) =
        if is_number(term) { (&mut meta.next_number, TermId::NUMBER_BIT) } else { (&mut meta.next_term, 0) };
    if *next >= TermId::NUMBER_BIT {
        return Err(StoreError::Limit { what: "the index has no term numbers left: use `--rebuild`".into() });
    }
    let id = TermId(*next | bit);
    *next += 1;
    connection
        .prepare_cached("INSERT INTO term (id, text, df) VALUES (?1, ?2, 0)")
        .and_then(|mut statement| statement.execute(params![id.0, term]))
        .doing("storing a term")?;
    Ok(id)
}

/// The forward row of sorted occurrences: for each term the distance from the one before and how often.
fn encode(occurrences: &[TermId]) -> Vec<u8> {
    let mut row = Vec::with_capacity(occurrences.len() * 3);
    let mut previous = 0;
    for group in occurrences.chunk_by(|a, b| a == b) {
        push_varint(&mut row, group[0].0 - previous);
        push_varint(&mut row, u32::try_from(group.len()).unwrap_or(u32::MAX));
        previous = group[0].0;
    }
    row
}

/// Reads a forward row into `terms`, which is emptied first.
pub(super) fn decode(mut row: &[u8], terms: &mut Vec<(TermId, u32)>) -> Result<(), StoreError> {
    terms.clear();
    let mut previous = 0_u32;
    while !row.is_empty() {
        let read = take_varint(&mut row).zip(take_varint(&mut row));
        let next = read.and_then(|(step, frequency)| Some((previous.checked_add(step)?, frequency)));
        let Some((term, frequency)) = next else {
            return Err(StoreError::Damaged { what: "a chunk's terms cannot be read".into() });
        };
        terms.push((TermId(term), frequency));
        previous = term;
    }
    Ok(())
}

fn push_varint(row: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        row.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    row.push(value as u8);
}

fn take_varint(row: &mut &[u8]) -> Option<u32> {
    let mut value = 0_u32;
    for shift in (0..32).step_by(7) {
        let (byte, rest) = row.split_first()?;
        *row = rest;
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spaces_say_positions_and_numbers_stand_apart() {
        let text = ChunkText::new("Dogs of 1990 and cats", Some("Pets 7"));
        assert_eq!(text.words, format!("dog    cat{}pet", " ".repeat(TITLE_GAP)));
        assert_eq!((text.numbers.as_str(), text.length), ("1990 7", 3));
        assert_eq!(text.occurrences().collect::<Vec<_>>(), ["dog", "cat", "pet", "1990", "7"]);
    }

    proptest! {
        #[test]
        fn forward_rows_come_back(mut terms in proptest::collection::vec(any::<u32>().prop_map(|n| TermId(n % 50 * 85_899_345)), 0..60)) {
            terms.sort_unstable();
            let mut expected: Vec<(TermId, u32)> = Vec::new();
            for term in &terms {
                match expected.last_mut() {
                    Some((last, frequency)) if last == term => *frequency += 1,
                    _ => expected.push((*term, 1)),
                }
            }
            let mut decoded = Vec::new();
            decode(&encode(&terms), &mut decoded).unwrap();
            prop_assert_eq!(decoded, expected);
        }

        #[test]
        fn a_damaged_row_is_an_error_not_a_panic(row in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode(&row, &mut Vec::new());
        }
    }
}
