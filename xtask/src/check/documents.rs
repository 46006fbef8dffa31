//! Rules for what people read: README's commands are real, links inside the repository lead somewhere.

use std::collections::HashSet;

use super::Offence;
use super::tree::File;

/// The two commands that README promises a newcomer.
const PROMISED: [&str; 2] = ["demo", "test"];

/// Holds README, the other pages and the Makefile to one another.
pub(crate) fn check(files: &[File]) -> Vec<Offence> {
    let mut offences = commands(files);
    let paths: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for page in files.iter().filter(|file| is_page(file)) {
        offences.extend(dead_links(page, &paths));
    }
    offences
}

/// Documents to index are read by the program, not by people who work on it.
fn is_page(file: &File) -> bool {
    file.path.ends_with(".md") && !file.path.starts_with("examples/documents/")
}

fn commands(files: &[File]) -> Vec<Offence> {
    let text = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let (Some(readme), Some(makefile)) = (text("README.md"), text("Makefile")) else {
        return vec![Offence::of("README.md", "or the Makefile is missing: a newcomer begins there")];
    };
    let mut offences = Vec::new();
    for target in PROMISED {
        if !make_targets_in(readme).any(|(_, named)| named == target) {
            offences.push(Offence::of("README.md", format!("does not show `make {target}`")));
        }
    }
    for page in files.iter().filter(|file| is_page(file)) {
        for (line, target) in make_targets_in(&page.text) {
            if !makefile
                .lines()
                .any(|rule| rule.strip_prefix(target).is_some_and(|rest| rest.starts_with(':')))
            {
                offences.push(Offence::at(
                    &page.path,
                    line,
                    format!("the Makefile has no target `{target}`"),
                ));
            }
        }
    }
    offences
}

/// Each target of a line that begins with `make` inside a fenced block, with the line's number.
fn make_targets_in(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_fence = false;
    (1..).zip(text.lines()).filter_map(move |(number, line)| {
        let line = line.trim_start();
        if line.starts_with("```") {
            in_fence = !in_fence;
        }
        let command = line.strip_prefix("$ ").unwrap_or(line).strip_prefix("make ")?;
        in_fence.then(|| command.split_whitespace().next().map(|target| (number, target)))?
    })
}

fn dead_links(page: &File, paths: &HashSet<&str>) -> Vec<Offence> {
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut offences = Vec::new();
    for (number, line) in (1..).zip(page.text.lines()) {
        for (at, _) in line.match_indices("](") {
            let Some(target) = line[at + 2..].split([')', '#', ' ']).next() else { continue };
            let leads_out = target.is_empty() || target.contains(':') || target.starts_with('/');
            if !leads_out && !leads_somewhere(&joined(folder, target), paths) {
                offences.push(Offence::at(&page.path, number, format!("nothing lies at `{target}`")));
            }
        }
    }
    offences
}

/// Whether the path is a file of the tree or a folder with files; pictures and binaries are no text, so only what
/// rules read can be judged.
fn leads_somewhere(path: &str, paths: &HashSet<&str>) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    let is_judged =
        path.ends_with('/') || [".md", ".rs", ".toml"].iter().any(|ending| path.ends_with(ending));
    !is_judged || paths.contains(path) || paths.iter().any(|file| file.starts_with(&folder))
}

/// `target` as seen from `folder`, without `.` and `..`.
fn joined(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let end = if target.ends_with('/') { "/" } else { "" };
    parts.join("/") + end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| File { path: path.to_string(), text: text.to_string() })
            .collect();
        super::check(&files).iter().map(ToString::to_string).collect()
    }

    const MAKEFILE: (&str, &str) = ("Makefile", "demo: build\n\techo\ntest: ## all\n");
    const README: (&str, &str) = ("README.md", "# a\n```\nmake demo   # shows it\n$ make test\n```\n");

    #[test]
    fn promised_and_real_commands_pass() {
        assert_eq!(check(&[MAKEFILE, README]), [""; 0]);
    }

    #[test]
    fn a_promise_that_readme_does_not_show_is_named() {
        assert_eq!(
            check(&[MAKEFILE, ("README.md", "```\nmake demo\n```\nmake test\n")]),
            ["README.md: does not show `make test`"]
        );
    }

    #[test]
    fn a_target_that_does_not_exist_is_named_on_any_page() {
        let page = ("docs/a.md", "```\nmake dem\n```\n");
        assert_eq!(check(&[MAKEFILE, README, page]), ["docs/a.md:2: the Makefile has no target `dem`"]);
    }

    #[test]
    fn a_repository_without_readme_is_named() {
        assert_eq!(check(&[MAKEFILE]).len(), 1);
    }

    #[test]
    fn links_inside_the_repository_must_lead_somewhere() {
        let there = (
            "docs/decisions/0001-one.md",
            "[up](../a.md), [folder](../decisions/), [out](https://example.org)\n",
        );
        let page = ("docs/a.md", "[one](decisions/0001-one.md#why) and [two](decisions/0002-two.md)\n");
        assert_eq!(
            check(&[MAKEFILE, README, page, there]),
            ["docs/a.md:1: nothing lies at `decisions/0002-two.md`"]
        );
    }
}
