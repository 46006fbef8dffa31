//! What is measured. Each file is one group of rows: its work, who contends, its unit, its goal.

pub(crate) mod bridge;
pub(crate) mod expansion;
pub(crate) mod fused;
pub(crate) mod skew;

use crate::arguments::Arguments;
use crate::table::Group;

type Rows = fn(&Arguments) -> anyhow::Result<Group>;

/// In the order of the tables; the names are what `--only` takes.
pub(crate) const ALL: [(&str, Rows); 4] =
    [("fused", fused::rows), ("skew", skew::rows), ("expansion", expansion::rows), ("bridge", bridge::rows)];
