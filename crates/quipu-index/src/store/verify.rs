//! Verification: ledger, rows, counts, term statistics, vector blocks and text index against one another,
//! in one snapshot. It repairs nothing; each discrepancy says what would.

use std::collections::HashMap;

use rusqlite::Connection;

use super::error::Doing;
use super::schema::{Meta, count};
use super::terms::decode;
use super::vectors::{Block, Vector};
use super::{ChunkId, Reader, Snapshot, StoreError, TermId, blocks, candidates, documents};

const REBUILD: &str = "`quipu index --rebuild` makes the index anew";
const TEXT_REBUILD: &str =
    "remove the folder `text` in the index: the next `quipu index` makes it anew from the rows";

/// Something that does not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub advice: &'static str,
}

/// What a verification went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Documents with rows.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// Chunks that have a vector.
    pub vectors: u64,
    /// Terms.
    pub terms: u64,
    /// How many times something did not agree.
    pub discrepancies: u64,
}

impl Reader {
    /// Goes through the whole index; `found` gets each discrepancy.
    ///
    /// # Errors
    /// When the index cannot be read at all.
    pub fn verify(&self, found: &mut dyn FnMut(Discrepancy)) -> Result<Verified, StoreError> {
        let snapshot = self.snapshot_in_step()?;
        let mut check = Check { verified: Verified::default(), found };
        check.database(&snapshot.lease())?;
        check.ledger(&snapshot.lease())?;
        check.chunks(&snapshot.lease(), snapshot.meta())?;
        check.blocks(&snapshot.lease(), snapshot.meta())?;
        check.text(&snapshot)?;
        Ok(check.verified)
    }
}

struct Check<'a> {
    verified: Verified,
    found: &'a mut dyn FnMut(Discrepancy),
}

impl Check<'_> {
    fn report(&mut self, what: String, advice: &'static str) {
        self.verified.discrepancies += 1;
        (self.found)(Discrepancy { what, advice });
    }

    /// SQLite's own check of its pages and indexes, and of references between tables.
    fn database(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let doing = "checking the database";
        let problems: Vec<String> = connection
            .prepare("PRAGMA quick_check(10)")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .doing(doing)?;
        for problem in problems.into_iter().filter(|problem| problem != "ok") {
            self.report(format!("the database is damaged: {problem}"), REBUILD);
        }
        let dangling: Vec<String> = connection
            .prepare("SELECT \"table\" || ' → ' || parent FROM pragma_foreign_key_check LIMIT 10")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .doing(doing)?;
        for reference in dangling {
            self.report(format!("a row refers to nothing: {reference}"), REBUILD);
        }
        Ok(())
    }

    /// States and rows: each of these queries gives the paths for which they disagree.
    fn ledger(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let retry = "`quipu index` on this path puts it right";
        let rules = [
            (
                "is indexed but has no rows",
                "SELECT path FROM file LEFT JOIN document ON document.id = file.id
                 WHERE state = 'indexed' AND document.id IS NULL",
            ),
            (
                "is indexed but lacks vectors",
                "SELECT path FROM file JOIN document ON document.id = file.id
                 WHERE state = 'indexed' AND missing > 0",
            ),
            (
                "was skipped but has rows",
                "SELECT path FROM file JOIN document ON document.id = file.id WHERE state = 'skipped'",
            ),
            (
                "has other chunks than its document says",
                "SELECT path FROM document JOIN file ON file.id = document.id WHERE end_chunk - first_chunk !=
                 (SELECT count(*) FROM chunk WHERE chunk.id >= first_chunk AND chunk.id < end_chunk
                  AND chunk.document = document.id)",
            ),
            (
                "lacks another number of vectors than its document says",
                "SELECT path FROM document JOIN file ON file.id = document.id WHERE missing !=
                 (SELECT count(*) FROM feature WHERE chunk >= first_chunk AND chunk < end_chunk
                  AND vector IS NULL)",
            ),
        ];
        for (what, sql) in rules {
            let doing = "checking the ledger";
            let mut statement = connection.prepare(sql).doing(doing)?;
            let mut rows = statement.query([]).doing(doing)?;
            while let Some(row) = rows.next().doing(doing)? {
                let path: String = row.get(0).doing(doing)?;
                self.report(format!("{path} {what}"), retry);
            }
        }
        self.verified.documents = self.count(connection, "SELECT count(*) FROM document")?;
        Ok(())
    }

    /// Counts and document frequencies against the forward index.
    fn chunks(&mut self, connection: &Connection, meta: &Meta) -> Result<(), StoreError> {
        let doing = "checking chunks";
        let mut frequencies: HashMap<TermId, u64> = HashMap::new();
        let (mut words, mut terms) = (0_u64, Vec::new());
        let mut statement = connection
            .prepare("SELECT chunk, length, terms, vector FROM feature ORDER BY chunk")
            .doing(doing)?;
        let mut rows = statement.query([]).doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            let chunk: ChunkId = row.get(0).doing(doing)?;
            let length: u32 = row.get(1).doing(doing)?;
            decode(row.get_ref(2).doing(doing)?.as_blob().unwrap_or_default(), &mut terms)?;
            let counted: u32 = terms.iter().filter(|(term, _)| !term.is_number()).map(|(_, tf)| tf).sum();
            if counted != length {
                self.report(format!("chunk {chunk} has {counted} words, its row says {length}"), REBUILD);
            }
            for (term, _) in &terms {
                *frequencies.entry(*term).or_default() += 1;
            }
            words += u64::from(length);
            self.verified.chunks += 1;
            if let Some(bytes) = row.get_ref(3).doing(doing)?.as_blob_or_null().unwrap_or_default() {
                self.verified.vectors += 1;
                let read = Vector::from_bytes(bytes).map(|vector| vector.codes.len());
                if read != Some(meta.configuration.dimensions) {
                    self.report(format!("the vector of chunk {chunk} cannot be read"), REBUILD);
                }
            }
        }
        let rows = self.count(connection, "SELECT count(*) FROM chunk")?;
        let counts = [
            ("documents", meta.documents, self.verified.documents),
            ("chunks", meta.chunks, self.verified.chunks),
            ("chunk rows", meta.chunks, rows),
            ("vectors", meta.vectors, self.verified.vectors),
            ("words", meta.words, words),
        ];
        for (what, said, found) in counts {
            if said != found {
                self.report(format!("the index counts {said} {what}, there are {found}"), REBUILD);
            }
        }
        self.terms(connection, frequencies)
    }

    fn terms(
        &mut self,
        connection: &Connection,
        mut frequencies: HashMap<TermId, u64>,
    ) -> Result<(), StoreError> {
        let doing = "checking terms";
        let mut statement = connection.prepare("SELECT id, text, df FROM term").doing(doing)?;
        let mut rows = statement.query([]).doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            self.verified.terms += 1;
            let id = TermId(row.get(0).doing(doing)?);
            let said = count(row.get(2).doing(doing)?);
            let found = frequencies.remove(&id).unwrap_or(0);
            if said != found {
                let text: String = row.get(1).doing(doing)?;
                self.report(format!("the term {text:?} counts {said} chunks, {found} hold it"), REBUILD);
            }
        }
        if !frequencies.is_empty() {
            self.report(format!("{} terms of chunks are in no table", frequencies.len()), REBUILD);
        }
        Ok(())
    }

    /// Every vector has its code in its block: putting all of them in again changes nothing.
    fn blocks(&mut self, connection: &Connection, meta: &Meta) -> Result<(), StoreError> {
        let doing = "checking vectors";
        let dimensions = meta.configuration.dimensions;
        let mut stored: Option<(u32, Block)> = None;
        let mut again: Option<Block> = None;
        let mut statement = connection
            .prepare("SELECT chunk, vector FROM feature WHERE vector IS NOT NULL ORDER BY chunk")
            .doing(doing)?;
        let mut rows = statement.query([]).doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            let (number, slot) = blocks::place(row.get(0).doing(doing)?);
            if stored.as_ref().is_none_or(|(open, _)| *open != number) {
                self.compare(stored.take(), again.take());
                let block = blocks::read(connection, number, dimensions)?;
                stored = Some((number, block.unwrap_or_else(|| Block::new(dimensions))));
                again = stored.as_ref().map(|(_, block)| block.clone());
            }
            let vector = row.get_ref(1).doing(doing)?.as_blob().ok().and_then(Vector::from_bytes);
            if let (Some(again), Some(vector)) = (&mut again, vector)
                && vector.codes.len() == dimensions
            {
                again.insert(slot, &vector);
            }
        }
        self.compare(stored, again);
        Ok(())
    }

    fn compare(&mut self, stored: Option<(u32, Block)>, again: Option<Block>) {
        if let (Some((number, stored)), Some(again)) = (stored, again)
            && stored != again
        {
            self.report(format!("vector block {number} does not hold the codes of its vectors"), REBUILD);
        }
    }

    /// The text index holds each chunk once, and its files are what was written.
    fn text(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let searcher = match snapshot.searcher() {
            Ok(searcher) if snapshot.is_in_step() => searcher,
            Ok(_) => {
                self.report("the text index is not at the rows' version".into(), TEXT_REBUILD);
                return Ok(());
            }
            Err(error) => {
                self.report(error.to_string(), TEXT_REBUILD);
                return Ok(());
            }
        };
        match searcher.index().validate_checksum() {
            Ok(damaged) => {
                for path in damaged {
                    self.report(format!("{} of the text index is damaged", path.display()), TEXT_REBUILD);
                }
            }
            Err(error) => self.report(format!("the text index cannot be read: {error}"), TEXT_REBUILD),
        }
        let mut missing = documents::live(&snapshot.lease())?;
        let (mut twice, mut unknown) = (0_u64, 0_u64);
        let live = missing.clone();
        candidates::every_chunk(searcher, &mut |chunk| {
            twice += u64::from(live.contains(chunk) && !missing.contains(chunk));
            unknown += u64::from(!live.contains(chunk));
            missing.clear(chunk);
        })
        .doing("checking the text index")?;
        for (chunks, what) in
            [(missing.count() as u64, "missing from"), (twice, "twice in"), (unknown, "gone but still in")]
        {
            if chunks > 0 {
                self.report(format!("{chunks} chunks are {what} the text index"), TEXT_REBUILD);
            }
        }
        Ok(())
    }

    fn count(&self, connection: &Connection, sql: &str) -> Result<u64, StoreError> {
        connection.query_row(sql, [], |row| row.get(0)).doing("counting rows").map(count)
    }
}
