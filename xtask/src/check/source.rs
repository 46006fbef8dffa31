//! Rules for the inside of each Rust file: its door, its size, words that must not stay.

use super::Offence;
use super::split::{Split, split};
use super::tree::File;

/// Lines of one file, tests aside, past which it has more than one subject.
const LINES_MAX: usize = 500;
/// The door stands among this many first lines, behind a licence or an inner attribute at most.
const DOOR_LINES: usize = 3;

/// Code that must not stay, each with the reason.
const CODE: [(&str, &str); 7] = [
    ("todo!", "unfinished code: finish it or open an issue"),
    ("unimplemented!", "unfinished code: finish it or open an issue"),
    ("#[ignore", "a test that never runs tells nothing: mend it, or give it a short form"),
    ("unbounded_channel", "a queue without a bound: name one"),
    ("unbounded()", "a queue without a bound: name one"),
    ("unbounded::<", "a queue without a bound: name one"),
    ("mpsc::channel()", "std's channel has no bound: take `sync_channel` and name one"),
];

/// Notes that belong into an issue.
const NOTES: [&str; 3] = ["FIXME", "HACK", "XXX"];

/// Holds every Rust file to the rules.
pub(crate) fn check(files: &[File]) -> Vec<Offence> {
    files.iter().filter(|file| file.is_rust()).flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Offence> {
    let halves = split(&file.text);
    let mut offences = Vec::new();
    offences.extend(door(file));
    offences.extend(size(file));
    offences.extend(words(file, &halves));
    offences
}

fn door(file: &File) -> Option<Offence> {
    let has_door = file.text.lines().take(DOOR_LINES).any(|line| line.starts_with("//!"));
    (!has_door).then(|| Offence::of(&file.path, "has no door: begin with `//!`, what it is for"))
}

/// Counts up to the tests, which stand last in a file; files of tests alone have no bound.
fn size(file: &File) -> Option<Offence> {
    let is_tests =
        file.name() == "tests.rs" || file.path.split('/').any(|part| part == "tests" || part == "benches");
    let lines = file.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
    (!is_tests && lines > LINES_MAX).then(|| {
        Offence::of(&file.path, format!("has {lines} lines without its tests, past {LINES_MAX}: split it"))
    })
}

fn words(file: &File, halves: &Split) -> Vec<Offence> {
    let mut offences = Vec::new();
    for (number, line) in (1..).zip(halves.code.lines()) {
        for (word, why) in CODE.iter().filter(|(word, _)| holds_word(line, word)) {
            offences.push(Offence::at(&file.path, number, format!("`{word}`: {why}")));
        }
    }
    for (number, line) in (1..).zip(halves.comments.lines()) {
        for note in NOTES.iter().filter(|note| holds_word(line, note)) {
            offences.push(Offence::at(&file.path, number, format!("`{note}`: belongs into an issue")));
        }
    }
    offences
}

/// Whether `word` stands in `line` and is not the tail of a longer name.
fn holds_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.to_owned(), text: text.to_owned() };
        super::check(&[file]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_clean_file_is_clean() {
        assert_eq!(check("crates/a/src/lib.rs", "//! a\npub fn b() {}\n"), [""; 0]);
    }

    #[test]
    fn a_file_without_a_door_is_named() {
        let found = check("crates/a/src/b.rs", "use std::fs;\n");
        assert!(found.len() == 1 && found[0].starts_with("crates/a/src/b.rs: has no door"), "{found:?}");
    }

    #[test]
    fn unfinished_code_is_found_on_its_line() {
        for code in [
            "todo!(\"b\")",
            "unimplemented!()",
            "#[ignore]",
            "mpsc::unbounded_channel()",
            "unbounded::<u8>()",
        ] {
            let found = check("crates/a/src/b.rs", &format!("//! b\nfn a() {{\n{code}\n}}\n"));
            assert!(found.len() == 1 && found[0].starts_with("crates/a/src/b.rs:3: "), "{code}: {found:?}");
        }
        assert_eq!(check("crates/a/src/b.rs", "//! b\nlet (a, b) = std::sync::mpsc::channel();\n").len(), 1);
    }

    #[test]
    fn words_in_text_comments_and_longer_names_stay() {
        let text = "//! Never `todo!()`.\nlet a = \"unimplemented!()\"; bounded(); is_unbounded();\n";
        assert_eq!(check("crates/a/src/b.rs", text), [""; 0]);
        assert_eq!(check("crates/a/src/b.rs", "//! b\nlet (a, b) = oneshot::channel();\n"), [""; 0]);
    }

    #[test]
    fn notes_in_comments_are_found() {
        assert_eq!(check("crates/a/src/b.rs", "//! b\n// FIXME later\nlet fixme = \"FIXME\";\n").len(), 1);
    }

    #[test]
    fn a_long_file_is_found_but_its_tests_are_not_counted() {
        let body = "fn a() {}\n".repeat(LINES_MAX);
        assert_eq!(check("crates/a/src/b.rs", &format!("//! b\n{body}")).len(), 1);
        let tested = format!("//! b\n#[cfg(test)]\nmod tests {{\n{body}}}\n");
        assert_eq!(check("crates/a/src/b.rs", &tested), [""; 0]);
        assert_eq!(check("crates/a/tests/b.rs", &format!("//! b\n{body}")), [""; 0]);
    }

    #[test]
    fn documents_to_index_are_no_source() {
        assert_eq!(check("examples/documents/b.rs", "fn a() { todo!() }\n"), [""; 0]);
    }
}
