//! Rules for where things lie: no drawers, no paths of one machine.

use super::Offence;
use super::tree::File;

/// Names of rooms that become drawers for whatever has no place.
const DRAWERS: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "misc", "imp"];

/// Folders that lie elsewhere on another machine. Each is written in two halves, so that this file passes its own rule.
const MACHINE_FOLDERS: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];

/// Holds every file to the rules.
pub(crate) fn check(files: &[File]) -> Vec<Offence> {
    files.iter().flat_map(|file| drawer(file).into_iter().chain(machine_paths(file))).collect()
}

fn drawer(file: &File) -> Option<Offence> {
    let stem = file.path.strip_suffix(".rs").filter(|_| file.is_rust())?;
    let name = stem.split('/').find(|part| DRAWERS.contains(part))?;
    Some(Offence::of(&file.path, format!("`{name}` is a drawer: name the room for its subject")))
}

fn machine_paths(file: &File) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for folder in MACHINE_FOLDERS.iter().filter(|folder| begins_a_path(line, folder)) {
            let what =
                format!("`{folder}` is a path of one machine: take a temporary folder, `~`, or a variable");
            offences.push(Offence::at(&file.path, number, what));
        }
    }
    offences
}

/// Whether a path in `line` begins with `folder`; inside a longer path or address it means something else.
fn begins_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.~/}*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> usize {
        super::check(&[File { path: path.to_owned(), text: text.to_owned() }]).len()
    }

    #[test]
    fn drawers_are_found_as_file_and_as_folder() {
        assert_eq!(check("crates/a/src/utils.rs", "//! a"), 1);
        assert_eq!(check("crates/a/src/common/walk.rs", "//! a"), 1);
        assert_eq!(check("crates/a/src/helpers/mod.rs", "//! a"), 1);
        assert_eq!(check("crates/a/src/walk.rs", "//! a"), 0);
        assert_eq!(check("docs/common/walk.md", "# a"), 0);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        assert_eq!(check("crates/a/src/b.rs", concat!("let a = \"/ho", "me/ada/papers\";")), 1);
        assert_eq!(check("docs/a.md", concat!("in /ro", "ot/.cache, or `/wo", "rk/x`\n")), 2);
    }

    #[test]
    fn a_folder_of_that_name_inside_a_path_may_stay() {
        assert_eq!(
            check("docs/a.md", concat!("papers/ho", "me/x and ~/wo", "rk/notes and $D/ro", "ot/x")),
            0
        );
    }
}
