//! `--where`: one SQL expression over the columns below, evaluated before ranking.
//!
//! It runs on a connection that cannot write, inside the query's own snapshot, under an authorizer that
//! allows nothing but these columns and a list of harmless functions, with limits on its depth, its
//! values' length and its time. What is no single expression (a `;`, a comment, an unbalanced
//! parenthesis, a `SELECT`) is refused before SQLite sees it.
//!
//! An expression that only asks of documents is evaluated once per document and its chunks are taken by
//! their range, which on a hundred thousand chunks is ten times as fast.

use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode};

use super::{Bitmap, documents};

/// How long an expression may take.
const TIME_MAX: Duration = Duration::from_secs(5);

/// SQLite asks about the time after so many steps of its machine: well under a millisecond.
const STEPS_BETWEEN_CHECKS: i32 = 10_000;

/// Limits while an expression runs: the longest value, the longest text, how deep it may nest.
const LIMITS: [(Limit, i32); 4] = [
    (Limit::SQLITE_LIMIT_LENGTH, 4 * 1024 * 1024),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 64 * 1024),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1024),
];

/// What a document can be asked: the column, and what it is in the tables.
const DOCUMENT_COLUMNS: [(&str, &str); 13] = [
    ("path", "file.path"),
    ("name", "file.name"),
    ("ext", "file.ext"),
    ("mime", "document.mime"),
    ("format", "document.format"),
    ("size", "file.size"),
    ("modified", "file.modified"),
    ("title", "document.title"),
    ("author", "document.author"),
    ("language", "document.language"),
    ("pages", "document.pages"),
    ("state", "file.state"),
    ("metadata", "document.metadata"),
];

/// What a chunk can be asked besides.
const CHUNK_COLUMNS: [(&str, &str); 4] = [
    ("page", "chunk.page"),
    ("heading", "chunk.heading"),
    ("line", "chunk.first_line"),
    ("text", "chunk.text"),
];

/// Functions of one value at a time that neither make large values nor reach outside.
const FUNCTIONS: [&str; 31] = [
    "->",
    "->>",
    "abs",
    "coalesce",
    "date",
    "datetime",
    "glob",
    "ifnull",
    "iif",
    "instr",
    "json_array_length",
    "json_extract",
    "json_type",
    "julianday",
    "length",
    "like",
    "lower",
    "ltrim",
    "max",
    "min",
    "nullif",
    "round",
    "rtrim",
    "sign",
    "strftime",
    "substr",
    "substring",
    "time",
    "trim",
    "typeof",
    "upper",
];

/// Words that begin something other than an expression.
const WORDS_REFUSED: [&str; 14] = [
    "select", "with", "values", "over", "filter", "raise", "attach", "pragma", "insert", "update", "delete",
    "drop", "match", "from",
];

/// Why a `--where` expression cannot be used, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    expression: String,
    message: String,
    offset: Option<usize>,
}

impl FilterError {
    /// The columns that an expression may use.
    pub const COLUMNS: [&'static str; 17] = {
        let mut names = [""; 17];
        let mut index = 0;
        while index < names.len() {
            names[index] = if index < DOCUMENT_COLUMNS.len() {
                DOCUMENT_COLUMNS[index].0
            } else {
                CHUNK_COLUMNS[index - DOCUMENT_COLUMNS.len()].0
            };
            index += 1;
        }
        names
    };

    fn new(expression: &str, offset: Option<usize>, message: impl Into<String>) -> Self {
        let offset = offset.map(|offset| floor_boundary(expression, offset));
        Self { expression: expression.to_owned(), message: message.into(), offset }
    }

    /// What is wrong, without the picture.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The byte of the expression at which it is wrong, where that is known.
    pub fn offset(&self) -> Option<usize> {
        self.offset
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "--where: {}", self.message)?;
        let offset = self.offset.unwrap_or(0);
        let line_start = self.expression[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.expression[line_start..].lines().next().unwrap_or_default();
        write!(formatter, "\n  {line}")?;
        if self.offset.is_some() {
            let column = self.expression[line_start..offset].chars().count();
            write!(formatter, "\n  {}^", " ".repeat(column))?;
        }
        write!(formatter, "\ncolumns: {}", Self::COLUMNS.join(", "))
    }
}

impl std::error::Error for FilterError {}

/// The chunks of the connection's snapshot for which the expression is true.
pub(super) fn evaluate(connection: &mut Connection, expression: &str) -> Result<Bitmap, FilterError> {
    evaluate_within(connection, expression, TIME_MAX)
}

/// [`evaluate`], with less time or more.
pub(super) fn evaluate_within(
    connection: &mut Connection,
    expression: &str,
    time_max: Duration,
) -> Result<Bitmap, FilterError> {
    check(expression)?;
    let guard = Guard::set(connection, time_max).map_err(|error| explain(expression, 0, &error))?;
    // Asked of documents first: what fails there for want of a chunk's column is asked of chunks.
    let sql = document_query(expression);
    match documents::ranges(guard.connection, &sql.text) {
        Err(error) if names_chunk_column(&error) => {
            let sql = chunk_query(expression);
            documents::ranges(guard.connection, &sql.text)
                .map_err(|error| explain(expression, sql.start, &error))
        }
        other => other.map_err(|error| explain(expression, sql.start, &error)),
    }
}

/// A statement and where the expression begins in it.
struct Query {
    text: String,
    start: usize,
}

fn document_query(expression: &str) -> Query {
    let from = "document JOIN file ON file.id = document.id";
    query("first_chunk, end_chunk", &DOCUMENT_COLUMNS, &[], from, expression)
}

fn chunk_query(expression: &str) -> Query {
    let from = "chunk JOIN document ON document.id = chunk.document JOIN file ON file.id = document.id";
    query("first_chunk, end_chunk", &DOCUMENT_COLUMNS, &CHUNK_COLUMNS, from, expression)
}

fn query(
    result: &str,
    columns: &[(&str, &str)],
    more: &[(&str, &str)],
    from: &str,
    expression: &str,
) -> Query {
    let (first, end) = if more.is_empty() {
        ("document.first_chunk", "document.end_chunk")
    } else {
        ("chunk.id", "chunk.id + 1")
    };
    let named: Vec<String> =
        columns.iter().chain(more).map(|(name, column)| format!("{column} AS {name}")).collect();
    let named = named.join(", ");
    let before = format!(
        "SELECT {result} FROM (SELECT {first} AS first_chunk, {end} AS end_chunk, {named} FROM {from}) WHERE ("
    );
    Query { text: format!("{before}{expression}\n)"), start: before.len() }
}

/// Takes the connection's freedom for as long as an expression runs.
struct Guard<'a> {
    connection: &'a mut Connection,
    limits_before: Vec<(Limit, i32)>,
}

impl<'a> Guard<'a> {
    fn set(connection: &'a mut Connection, time_max: Duration) -> rusqlite::Result<Self> {
        let mut guard = Self { connection, limits_before: Vec::new() };
        for (limit, most) in LIMITS {
            let before = guard.connection.set_limit(limit, most)?;
            guard.limits_before.push((limit, before));
        }
        let deadline = Instant::now() + time_max;
        let late = move || Instant::now() >= deadline;
        guard.connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(late))?;
        guard.connection.authorizer(Some(authorize))?;
        Ok(guard)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let authorizer = self.connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
        let handler = self.connection.progress_handler(0, None::<fn() -> bool>);
        let limits =
            self.limits_before.iter().map(|(limit, before)| self.connection.set_limit(*limit, *before));
        if authorizer.and(handler).is_err() || limits.filter(Result::is_err).count() > 0 {
            // It only becomes stricter than it should be, never more free.
            tracing::warn!("a connection keeps the limits of `--where`");
        }
    }
}

fn authorize(context: AuthContext<'_>) -> Authorization {
    let allowed = match context.action {
        AuthAction::Select => true,
        AuthAction::Read { table_name, .. } => matches!(table_name, "file" | "document" | "chunk" | ""),
        AuthAction::Function { function_name } => FUNCTIONS.contains(&function_name.to_lowercase().as_str()),
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

fn names_chunk_column(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqlInputError { msg, .. } = error else { return false };
    let Some(name) = msg.strip_prefix("no such column: ") else { return false };
    CHUNK_COLUMNS.iter().any(|(column, _)| column.eq_ignore_ascii_case(name.trim_matches('"')))
}

fn explain(expression: &str, start: usize, error: &rusqlite::Error) -> FilterError {
    if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
        return FilterError::new(expression, None, "it takes too long");
    }
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            let offset = usize::try_from(*offset).ok().and_then(|offset| offset.checked_sub(start));
            let offset = offset.map(|offset| offset.min(expression.len()));
            FilterError::new(expression, offset, msg.as_str())
        }
        other => FilterError::new(expression, None, other.to_string()),
    }
}

/// Refuses what is not one expression.
fn check(expression: &str) -> Result<(), FilterError> {
    let refuse = |offset, message: String| Err(FilterError::new(expression, Some(offset), message));
    let mut open: Vec<usize> = Vec::new();
    let mut tokens = Tokens { text: expression, offset: 0 };
    let mut empty = true;
    while let Some((range, token)) = tokens.next() {
        empty = false;
        let text = &expression[range.clone()];
        match token {
            Token::Unclosed => return refuse(range.start, format!("{} is not closed", &text[..1])),
            Token::Comment => return refuse(range.start, "a comment has no place here".into()),
            Token::Word if WORDS_REFUSED.contains(&text.to_lowercase().as_str()) => {
                return refuse(range.start, format!("{text} has no place in an expression"));
            }
            Token::Sign => match text {
                "(" => open.push(range.start),
                ")" if open.pop().is_none() => return refuse(range.start, "no ( for this )".into()),
                ";" => return refuse(range.start, "an expression ends without a ;".into()),
                "?" | "@" | "$" | "#" | "\0" => {
                    return refuse(range.start, "there are no parameters to fill in here".into());
                }
                _ => {}
            },
            Token::Word | Token::Quoted => {}
        }
    }
    match open.pop() {
        Some(offset) => refuse(offset, "this ( is not closed".into()),
        None if empty => refuse(0, "there is no expression".into()),
        None => Ok(()),
    }
}

/// As much of SQL's grammar as it takes to tell words from what is quoted.
struct Tokens<'a> {
    text: &'a str,
    offset: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Word,
    Quoted,
    Unclosed,
    Comment,
    Sign,
}

impl Tokens<'_> {
    fn next(&mut self) -> Option<(Range<usize>, Token)> {
        let rest = self.text[self.offset..].trim_start();
        let start = self.text.len() - rest.len();
        let first = rest.chars().next()?;
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || !c.is_ascii();
        let (length, token) = match first {
            '\'' | '"' | '`' => quoted(rest, first),
            '[' => match rest.find(']') {
                Some(end) => (end + 1, Token::Quoted),
                None => (1, Token::Unclosed),
            },
            _ if rest.starts_with("--") || rest.starts_with("/*") => (2, Token::Comment),
            _ if is_word(first) => (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), Token::Word),
            _ => (first.len_utf8(), Token::Sign),
        };
        self.offset = start + length;
        Some((start..self.offset, token))
    }
}

/// A quoted text; the quote inside it is written twice.
fn quoted(rest: &str, quote: char) -> (usize, Token) {
    let mut end = 1;
    while let Some(found) = rest[end..].find(quote) {
        end += found + 1;
        if !rest[end..].starts_with(quote) {
            return (end, Token::Quoted);
        }
        end += 1;
    }
    (1, Token::Unclosed)
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|offset| text.is_char_boundary(*offset)).unwrap_or(0)
}
