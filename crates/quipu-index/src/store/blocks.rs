//! Vector blocks on disk: the 1-bit codes of 4,096 chunks in one row. What a code is, is the matter of
//! `vectors`; here blocks are written with their batch and read back, kept in memory between queries.
//!
//! A chunk that goes leaves its code in the block: searches are masked by the live chunks anyway, and a
//! deletion then writes nothing here. A block whose chunks are all gone goes as a whole.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use super::error::Doing;
use super::schema::{count, integer};
use super::vectors::{BLOCK_CHUNKS, Block, Vector};
use super::{ChunkId, StoreError};

/// Blocks that one batch keeps open before it writes them: about 7 MB at 384 dimensions.
const BLOCKS_OPEN_MAX: usize = 32;

/// What a reader keeps in memory between queries; what does not fit is read again by each.
const CACHE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A block's number and the batch that wrote it last.
type Version = (u32, u64);

/// A block and its number.
pub(super) type Numbered = (u32, Arc<Block>);

/// The blocks that a batch is changing.
pub(super) struct OpenBlocks {
    dimensions: usize,
    sequence: u64,
    open: BTreeMap<u32, Block>,
}

impl OpenBlocks {
    pub(super) fn new(dimensions: usize, sequence: u64) -> Self {
        Self { dimensions, sequence, open: BTreeMap::new() }
    }

    /// Puts a chunk's vector into its block.
    pub(super) fn insert(
        &mut self,
        connection: &Connection,
        chunk: ChunkId,
        vector: &Vector,
    ) -> Result<(), StoreError> {
        let (number, slot) = place(chunk);
        if !self.open.contains_key(&number) {
            if self.open.len() >= BLOCKS_OPEN_MAX {
                self.flush(connection)?;
            }
            let block = read(connection, number, self.dimensions)?;
            self.open.insert(number, block.unwrap_or_else(|| Block::new(self.dimensions)));
        }
        if let Some(block) = self.open.get_mut(&number) {
            block.insert(slot, vector);
        }
        Ok(())
    }

    /// Writes the open blocks.
    pub(super) fn flush(&mut self, connection: &Connection) -> Result<(), StoreError> {
        while let Some((number, block)) = self.open.pop_first() {
            connection
                .prepare_cached(
                    "INSERT INTO vector_block (number, sequence, codes) VALUES (?1, ?2, ?3)
                     ON CONFLICT (number) DO UPDATE SET sequence = excluded.sequence, codes = excluded.codes",
                )
                .and_then(|mut statement| {
                    statement.execute(params![number, integer(self.sequence), block.to_bytes()])
                })
                .doing("writing vectors")?;
        }
        Ok(())
    }

    /// Drops the blocks of a removed range of chunks in which no chunk is left. The last block, where
    /// new chunks go, stays.
    pub(super) fn drop_empty(
        &mut self,
        connection: &Connection,
        removed: Range<ChunkId>,
        next_chunk: u64,
    ) -> Result<(), StoreError> {
        if removed.is_empty() {
            return Ok(());
        }
        let size = BLOCK_CHUNKS as u64;
        for number in place(removed.start).0..=place(removed.end - 1).0 {
            let (first, end) = (u64::from(number) * size, (u64::from(number) + 1) * size);
            if end > next_chunk {
                continue;
            }
            let gone = connection
                .prepare_cached(
                    "DELETE FROM vector_block WHERE number = ?1
                     AND NOT EXISTS (SELECT 1 FROM chunk WHERE id >= ?2 AND id < ?3)",
                )
                .and_then(|mut statement| statement.execute(params![number, integer(first), integer(end)]))
                .doing("removing vectors")?;
            if gone > 0 {
                self.open.remove(&number);
            }
        }
        Ok(())
    }
}

/// A chunk's block and its slot in it.
pub(super) fn place(chunk: ChunkId) -> (u32, usize) {
    let size = BLOCK_CHUNKS as u32;
    (chunk / size, (chunk % size) as usize)
}

/// Reads one block.
pub(super) fn read(
    connection: &Connection,
    number: u32,
    dimensions: usize,
) -> Result<Option<Block>, StoreError> {
    let codes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT codes FROM vector_block WHERE number = ?1")
        .and_then(|mut statement| statement.query_row([number], |row| row.get(0)).optional())
        .doing("reading vectors")?;
    let Some(codes) = codes else { return Ok(None) };
    match Block::from_bytes(&codes, dimensions) {
        Some(block) => Ok(Some(block)),
        None => Err(StoreError::Damaged { what: format!("vector block {number} cannot be read") }),
    }
}

/// The numbers of all blocks and the batches that wrote them.
pub(super) fn versions(connection: &Connection) -> Result<Vec<Version>, StoreError> {
    connection
        .prepare_cached("SELECT number, sequence FROM vector_block ORDER BY number")
        .and_then(|mut statement| {
            statement.query_map([], |row| Ok((row.get(0)?, count(row.get(1)?))))?.collect()
        })
        .doing("reading vectors")
}

/// Blocks kept in memory, shared by the queries of one reader.
#[derive(Default)]
pub(super) struct BlockCache {
    kept: Mutex<HashMap<u32, (u64, Arc<Block>)>>,
}

impl BlockCache {
    /// Hands every block of the connection's snapshot to `visit`.
    pub(super) fn visit(
        &self,
        connection: &Connection,
        dimensions: usize,
        visit: &mut dyn FnMut(&[Numbered]),
    ) -> Result<(), StoreError> {
        let versions = versions(connection)?;
        let (ready, missing) = self.divide(&versions);
        visit(&ready);
        for (number, sequence) in missing {
            if let Some(block) = read(connection, number, dimensions)? {
                let block = Arc::new(block);
                visit(&[(number, Arc::clone(&block))]);
                self.keep(number, sequence, block, dimensions);
            }
        }
        Ok(())
    }

    fn divide(&self, versions: &[Version]) -> (Vec<Numbered>, Vec<Version>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut ready, mut missing) = (Vec::new(), Vec::new());
        for (number, sequence) in versions {
            match kept.get(number) {
                Some((version, block)) if version == sequence => ready.push((*number, Arc::clone(block))),
                _ => missing.push((*number, *sequence)),
            }
        }
        (ready, missing)
    }

    fn keep(&self, number: u32, sequence: u64, block: Arc<Block>, dimensions: usize) {
        // Signs, and room for what stands beside them.
        let block_bytes = BLOCK_CHUNKS * (dimensions / 8 + 8);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.get(&number).map(|(version, _)| *version);
        let room = known.is_some() || (kept.len() + 1) * block_bytes <= CACHE_BYTES_MAX;
        // A query over an older snapshot must not push out what newer ones use.
        if room && known.is_none_or(|version| version < sequence) {
            kept.insert(number, (sequence, block));
        }
    }
}
