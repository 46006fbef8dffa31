//! Programming languages and structured text formats ([`Language`]), known by file name, extension or shebang.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A language of [`crate::Format::Code`], known by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Language(&'static str);

impl Language {
    /// Its name in lower case, such as `rust` or `c++`.
    pub fn name(&self) -> &'static str {
        self.0
    }

    /// The language of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        LANGUAGES.iter().find(|(known, _)| *known == name).map(|(known, _)| Language(known))
    }

    /// The language of files with this extension (lower case, without the dot).
    pub(crate) fn by_extension(extension: &str) -> Option<Self> {
        LANGUAGES
            .iter()
            .find(|(_, extensions)| extensions.split(' ').any(|known| known == extension))
            .map(|(name, _)| Language(name))
    }

    /// The language of files of this whole name (lower case).
    pub(crate) fn by_file_name(name: &str) -> Option<Self> {
        let language = match name {
            "makefile" | "gnumakefile" => "make",
            "dockerfile" | "containerfile" => "dockerfile",
            "cmakelists.txt" => "cmake",
            "rakefile" | "gemfile" | "vagrantfile" => "ruby",
            "build.bazel" | "workspace" | "sconstruct" => "python",
            "jenkinsfile" => "groovy",
            ".bashrc" | ".bash_profile" | ".profile" | ".zshrc" => "shell",
            "cargo.lock" => "toml",
            _ => return None,
        };
        Language::by_name(language)
    }

    /// The language that a first line `#!…` names.
    pub(crate) fn by_shebang(first_line: &str) -> Option<Self> {
        let mut words = first_line.strip_prefix("#!")?.split_whitespace();
        let program = |word: &str| word.rsplit('/').next().unwrap_or_default().to_owned();
        let mut interpreter = program(words.next()?);
        if interpreter == "env" {
            interpreter = words.find(|word| !word.starts_with('-')).map(program)?;
        }
        let bare = interpreter.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        Language::by_name(match bare {
            "sh" | "bash" | "zsh" | "dash" | "ksh" | "fish" => "shell",
            "node" | "deno" | "bun" => "javascript",
            "Rscript" => "r",
            "pypy" => "python",
            "make" | "perl" | "python" | "ruby" | "php" | "lua" | "awk" | "tcl" => bare,
            _ => return None,
        })
    }

    pub(crate) fn mime(&self) -> &'static str {
        match self.0 {
            "json" => "application/json",
            "xml" => "application/xml",
            "yaml" => "application/yaml",
            "toml" => "application/toml",
            "javascript" => "text/javascript",
            "css" => "text/css",
            "rust" => "text/x-rust",
            "python" => "text/x-python",
            "c" => "text/x-c",
            "c++" => "text/x-c++",
            "java" => "text/x-java",
            "go" => "text/x-go",
            "shell" => "text/x-shellscript",
            _ => "text/x-source",
        }
    }
}

impl Serialize for Language {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Language {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Language::by_name(&name)
            .ok_or_else(|| serde::de::Error::custom(format_args!("unknown language {name:?}")))
    }
}

/// Each language and the extensions of its files. An extension stands for the more common of its languages.
const LANGUAGES: &[(&str, &str)] = &[
    ("ada", "adb ads"),
    ("assembly", "asm s"),
    ("awk", "awk"),
    ("c", "c h"),
    ("c#", "cs csx"),
    ("c++", "cc cpp cxx c++ hh hpp hxx h++ ipp cu cuh ino"),
    ("clojure", "clj cljs cljc edn"),
    ("cmake", "cmake"),
    ("css", "css scss sass less"),
    ("cython", "pyx pxd"),
    ("dart", "dart"),
    ("dockerfile", "dockerfile"),
    ("elixir", "ex exs"),
    ("elm", "elm"),
    ("erlang", "erl hrl"),
    ("f#", "fs fsx fsi"),
    ("fortran", "f f77 f90 f95 f03 f08 for"),
    ("go", "go"),
    ("graphql", "graphql gql"),
    ("groovy", "groovy gradle"),
    ("haskell", "hs lhs"),
    ("hcl", "tf tfvars hcl"),
    ("ini", "ini cfg conf properties editorconfig"),
    ("java", "java"),
    ("javascript", "js mjs cjs jsx"),
    ("json", "json jsonl ndjson json5 geojson ipynb webmanifest"),
    ("julia", "jl"),
    ("kotlin", "kt kts"),
    ("lisp", "lisp lsp cl el scm rkt"),
    ("lua", "lua"),
    ("make", "mk mak"),
    ("nim", "nim"),
    ("nix", "nix"),
    ("objective-c", "m mm"),
    ("ocaml", "ml mli"),
    ("pascal", "pas pp dpr"),
    ("perl", "pl pm"),
    ("php", "php phtml"),
    ("powershell", "ps1 psm1 psd1"),
    ("protobuf", "proto"),
    ("python", "py pyi pyw"),
    ("r", "r"),
    ("ruby", "rb erb rake gemspec"),
    ("rust", "rs"),
    ("scala", "scala sc sbt"),
    ("shell", "sh bash zsh fish ksh"),
    ("solidity", "sol"),
    ("sql", "sql"),
    ("svelte", "svelte"),
    ("swift", "swift"),
    ("tcl", "tcl"),
    ("toml", "toml"),
    ("typescript", "ts tsx mts cts"),
    ("verilog", "v sv svh"),
    ("vhdl", "vhd vhdl"),
    ("vim", "vim"),
    ("visual basic", "vb bas vbs"),
    ("vue", "vue"),
    ("xml", "xml xsd xsl xslt svg rss atom plist wsdl"),
    ("yaml", "yaml yml"),
    ("zig", "zig"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_belongs_to_one_language() {
        let mut seen = std::collections::BTreeSet::new();
        for (name, extensions) in LANGUAGES {
            for extension in extensions.split(' ') {
                assert!(seen.insert(extension), "{extension} of {name} is taken");
            }
        }
    }

    #[test]
    fn shebangs_name_their_interpreter() {
        let check = |line, name| assert_eq!(Language::by_shebang(line).map(|l| l.name()), name, "{line}");
        check("#!/bin/sh", Some("shell"));
        check("#!/usr/bin/env python3", Some("python"));
        check("#!/usr/bin/env -S python3.12 -u", Some("python"));
        check("#! /usr/local/bin/node", Some("javascript"));
        check("#!/usr/bin/env", None);
        check("# a comment", None);
    }

    #[test]
    fn every_language_survives_serialisation() {
        for (name, _) in LANGUAGES {
            let language = Language::by_name(name).unwrap();
            let json = serde_json::to_string(&language).unwrap();
            assert_eq!(serde_json::from_str::<Language>(&json).unwrap(), language);
        }
    }
}
