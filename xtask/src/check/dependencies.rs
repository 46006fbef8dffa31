//! The direction of dependencies: which of our crates may know which, and what each must never pull in.
//!
//! ```text
//! quipu ─→ index ─→ extract, embed, storage, flow ─→ compute
//! rechunk, harvest ─→ storage, flow ─→ compute
//! ```
//! Cargo says what is so: `cargo metadata` for the edges between our crates (tests included), `cargo tree` for
//! everything that a crate links.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Offence, cargo};

/// What a crate of ours may know.
struct Law {
    name: &'static str,
    /// Our own crates that it may depend on, tests included.
    knows: &'static [&'static str],
    /// Beginnings of the names of foreign crates that must not be linked into it, however indirectly.
    never_links: &'static [&'static str],
}

/// File formats and stores: the engine knows none of them.
const FORMATS_AND_STORES: &[&str] = &[
    "arrow",
    "parquet",
    "object_store",
    "rusqlite",
    "tantivy",
    "zarrs",
    "lance",
    "grib",
    "zip",
    "pdf_oxide",
];
/// Crates that cost a stranger's first build many minutes: only in the crate that needs them.
const HEAVY: &[&str] =
    &["arrow", "parquet", "zarrs", "lance", "datafusion", "candle", "grib", "opentelemetry", "object_store"];

const COMPUTE: &str = "quipu-compute";
const FLOW: &str = "quipu-flow";
const STORAGE: &str = "quipu-storage";
const EXTRACT: &str = "quipu-extract";
const EMBED: &str = "quipu-embed";
const INDEX: &str = "quipu-index";

/// The whole table; a crate that is not in it has no place in the house.
const LAWS: &[Law] = &[
    Law { name: COMPUTE, knows: &[], never_links: FORMATS_AND_STORES },
    Law { name: FLOW, knows: &[COMPUTE], never_links: FORMATS_AND_STORES },
    Law { name: STORAGE, knows: &[], never_links: &[] },
    Law { name: EXTRACT, knows: &[], never_links: HEAVY },
    Law { name: EMBED, knows: &[], never_links: HEAVY },
    Law { name: INDEX, knows: &[EXTRACT, EMBED, STORAGE, FLOW, COMPUTE], never_links: HEAVY },
    Law { name: "quipu", knows: &[INDEX, EXTRACT, EMBED, STORAGE, FLOW, COMPUTE], never_links: HEAVY },
    Law { name: "quipu-rechunk", knows: &[STORAGE, FLOW, COMPUTE], never_links: &[] },
    Law { name: "quipu-harvest", knows: &[STORAGE, FLOW, COMPUTE], never_links: &[] },
    Law { name: "xtask", knows: &[INDEX, EXTRACT, EMBED, STORAGE, FLOW, COMPUTE], never_links: HEAVY },
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// One of our own crates, as `cargo metadata --no-deps` lists it.
#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Only a dependency inside the workspace has a path.
    path: Option<String>,
}

/// Holds the workspace at `root` to the table.
///
/// # Errors
/// When cargo cannot say what the workspace is made of.
pub(crate) fn check(root: &Path) -> Result<Vec<Offence>> {
    let packages = packages(&cargo(root, &["metadata", "--no-deps", "--format-version", "1"])?)?;
    let mut offences = check_edges(&packages);
    for law in LAWS.iter().filter(|law| packages.iter().any(|package| package.name == law.name)) {
        let tree = cargo(
            root,
            &[
                "tree",
                "--package",
                law.name,
                "--edges",
                "normal,build",
                "--prefix",
                "none",
                "--format",
                "{p}",
            ],
        )?;
        offences.extend(check_links(law, &tree));
    }
    Ok(offences)
}

fn packages(metadata: &str) -> Result<Vec<Package>> {
    let metadata: Metadata = serde_json::from_str(metadata).context("reading cargo metadata")?;
    Ok(metadata.packages)
}

fn check_edges(packages: &[Package]) -> Vec<Offence> {
    let mut offences = Vec::new();
    for package in packages {
        let Some(law) = LAWS.iter().find(|law| law.name == package.name) else {
            let what = "is not in the table of xtask/src/check/dependencies.rs: give it its place";
            offences.push(Offence::of(&package.name, what));
            continue;
        };
        for known in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            if !law.knows.contains(&known.name.as_str()) {
                offences.push(Offence::of(&package.name, format!("must not know {}", known.name)));
            }
        }
    }
    offences
}

fn check_links(law: &Law, tree: &str) -> Vec<Offence> {
    let mut linked: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    linked.sort_unstable();
    linked.dedup();
    linked
        .into_iter()
        .filter(|name| law.never_links.iter().any(|family| belongs_to(name, family)))
        .map(|name| {
            Offence::of(
                law.name,
                format!("must not link {name} (see `cargo tree -p {} -i {name}`)", law.name),
            )
        })
        .collect()
}

/// Whether the crate is the family's head or one of its parts: `arrow-array` is of `arrow`, `arrowhead` is not.
fn belongs_to(name: &str, family: &str) -> bool {
    name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(name: &str, known: &[&str]) -> Vec<String> {
        let known: Vec<String> =
            known.iter().map(|name| format!(r#"{{"name":"{name}","path":"crates/{name}"}}"#)).collect();
        let foreign = r#"{"name":"serde","path":null}"#;
        let metadata = format!(
            r#"{{"packages":[{{"name":"{name}","dependencies":[{foreign}{}]}}]}}"#,
            known.iter().fold(String::new(), |all, one| all + "," + one)
        );
        check_edges(&packages(&metadata).unwrap()).iter().map(ToString::to_string).collect()
    }

    fn links(name: &str, tree: &str) -> usize {
        check_links(LAWS.iter().find(|law| law.name == name).unwrap(), tree).len()
    }

    #[test]
    fn the_allowed_directions_pass() {
        assert_eq!(edges("quipu-flow", &["quipu-compute"]), [""; 0]);
        assert_eq!(edges("quipu", &["quipu-index", "quipu-embed"]), [""; 0]);
    }

    #[test]
    fn an_edge_against_the_direction_is_named() {
        assert_eq!(edges("quipu-compute", &["quipu-flow"]), ["quipu-compute: must not know quipu-flow"]);
        assert_eq!(edges("quipu-extract", &["quipu-flow"]).len(), 1);
        assert_eq!(edges("quipu-rechunk", &["quipu-harvest"]).len(), 1);
    }

    #[test]
    fn a_crate_without_a_place_is_named() {
        assert!(edges("quipu-new", &[])[0].starts_with("quipu-new: is not in the table"));
    }

    #[test]
    fn foreign_families_are_found_through_the_whole_tree() {
        let tree =
            "quipu-flow v0.1.0\ntokio v1.0.0\narrow-array v58.0.0\narrow-array v58.0.0\narrowhead v1.0.0\n";
        assert_eq!(links("quipu-flow", tree), 1);
        assert_eq!(links("quipu", "quipu v0.1.0\nrusqlite v0.41.0\ntantivy v0.27.0\n"), 0);
        assert_eq!(links("quipu", "quipu v0.1.0\nlancedb v1.0.0\nlance-core v1.0.0\n"), 1);
    }

    #[test]
    fn every_crate_named_in_the_table_is_itself_in_it() {
        for known in LAWS.iter().flat_map(|law| law.knows) {
            assert!(LAWS.iter().any(|law| law.name == *known), "{known}");
        }
    }
}
