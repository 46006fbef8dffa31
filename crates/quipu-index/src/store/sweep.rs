//! Which paths a run has seen, so that the others can leave the index: a set that spills to a temporary
//! file, because a disk may hold more paths than a memory budget does.

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use super::error::Doing;

/// Memory that the set may use before it spills.
const SEEN_CACHE_KIB: i64 = 4 * 1024;

/// The paths that a run has been shown. It belongs to the walk, not to the store, and dies with it.
pub struct SeenSet {
    connection: Connection,
}

impl SeenSet {
    /// An empty set.
    ///
    /// # Errors
    /// When there is nowhere to put a temporary file.
    pub fn new() -> Result<Self, StoreError> {
        // An empty name means a temporary file of SQLite's own, removed when closed.
        let connection = Connection::open("").doing("making a temporary file")?;
        connection
            .execute_batch(&format!(
                "PRAGMA cache_size = -{SEEN_CACHE_KIB}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
                 CREATE TABLE seen (path TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;"
            ))
            .doing("making a temporary file")?;
        Ok(Self { connection })
    }

    /// Adds paths; a path may come twice.
    ///
    /// # Errors
    /// When the temporary file cannot grow.
    pub fn insert(&mut self, paths: &[&str]) -> Result<(), StoreError> {
        let doing = "noting which files were seen";
        let transaction = self.connection.transaction().doing(doing)?;
        {
            let mut statement =
                transaction.prepare_cached("INSERT OR IGNORE INTO seen (path) VALUES (?1)").doing(doing)?;
            for path in paths {
                statement.execute([path]).doing(doing)?;
            }
        }
        transaction.commit().doing(doing)
    }

    /// At most `limit` of the paths, in order, from behind `after` on.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn page(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        let doing = "looking up which files were seen";
        let mut statement = self
            .connection
            .prepare_cached("SELECT path FROM seen WHERE path > ?1 ORDER BY path LIMIT ?2")
            .doing(doing)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map((after.unwrap_or(""), limit), |row| row.get(0)).doing(doing)?;
        rows.collect::<Result<_, _>>().doing(doing)
    }

    /// Whether a path was added.
    ///
    /// # Errors
    /// When the temporary file cannot be read.
    pub fn contains(&self, path: &str) -> Result<bool, StoreError> {
        self.connection
            .prepare_cached("SELECT 1 FROM seen WHERE path = ?1")
            .and_then(|mut statement| statement.query_row([path], |_| Ok(())).optional())
            .doing("looking up which files were seen")
            .map(|found| found.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_in() {
        let mut seen = SeenSet::new().unwrap();
        seen.insert(&["/a", "/b", "/a"]).unwrap();
        assert!(seen.contains("/a").unwrap() && !seen.contains("/c").unwrap());
        assert_eq!(seen.page(None, 9).unwrap(), ["/a", "/b"]);
        assert_eq!(seen.page(Some("/a"), 9).unwrap(), ["/b"]);
    }
}
