//! What `cargo xtask bench flow` tells this program.

use anyhow::{Context, bail};
use std::path::PathBuf;

/// How long to measure, what, and where the peers' own programs lie.
pub(crate) struct Arguments {
    /// Short repetitions and few of them: under a minute for all.
    pub(crate) quick: bool,
    /// One JSON document instead of tables.
    pub(crate) json: bool,
    /// One group of rows alone.
    pub(crate) only: Option<String>,
    pub(crate) onetbb: Program,
    pub(crate) dynamo: Program,
}

/// A peer's program, or why there is none: then its cells stay empty and say so.
pub(crate) type Program = Result<PathBuf, String>;

impl Arguments {
    pub(crate) fn of_process() -> anyhow::Result<Self> {
        let mut given = std::env::args().skip(1);
        let mut arguments = Self {
            quick: false,
            json: false,
            only: None,
            onetbb: Err("not built: run by `cargo xtask bench flow`".to_owned()),
            dynamo: Err("not built: `cargo xtask bench flow --dynamo`".to_owned()),
        };
        while let Some(name) = given.next() {
            let mut value = || given.next().with_context(|| format!("`{name}` needs a value"));
            match name.as_str() {
                "--quick" => arguments.quick = true,
                "--json" => arguments.json = true,
                "--only" => arguments.only = Some(value()?),
                "--onetbb" => arguments.onetbb = Ok(value()?.into()),
                "--without-onetbb" => arguments.onetbb = Err(value()?),
                "--dynamo" => arguments.dynamo = Ok(value()?.into()),
                "--without-dynamo" => arguments.dynamo = Err(value()?),
                _ => bail!("`{name}` is no option of this program"),
            }
        }
        Ok(arguments)
    }
}
