//! What the tests of the program share: a folder of their own, the program, and what it prints.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A folder with documents and an index beside them; gone with its test.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// An empty place.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("files")).expect("a folder for files");
        Self { folder }
    }

    /// Where the documents are.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files").canonicalize().expect("it was made")
    }

    /// Where the index is.
    pub fn db(&self) -> PathBuf {
        self.folder.path().join("db")
    }

    /// Writes a document.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.files().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("folders");
        fs::write(&path, bytes).expect("a file");
        path
    }

    /// A copy of one of the small models that quipu-embed is tested with.
    pub fn model(&self, name: &str) -> PathBuf {
        let shapes = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("quipu-embed").join("tests/shapes");
        let folder = self.folder.path().join("models").join(name);
        fs::create_dir_all(folder.join("1_Pooling")).expect("folders");
        for file in
            ["config.json", "modules.json", "1_Pooling/config.json", "tokenizer.json", "model.safetensors"]
        {
            fs::copy(shapes.join(name).join(file), folder.join(file)).expect("a file of the shape");
        }
        folder
    }

    /// The program, about to run on this place's index.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .args(arguments)
            .arg("--db")
            .arg(self.db())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    /// Runs the program, holds its exit code against `code`, and returns the document that `--json` prints.
    pub fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let output = self.run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{}", text(&output)))
    }

    /// Indexes the documents; `code` is the exit code to end with.
    pub fn index(&self, code: i32) -> Value {
        let files = self.files();
        self.json(code, &["index", files.to_str().expect("UTF-8")])
    }

    /// Names of the documents that a search finds, best first, relative to the folder of documents.
    pub fn search(&self, arguments: &[&str]) -> Vec<String> {
        let mut all = vec!["search"];
        all.extend(arguments);
        let found = self.json(0, &all);
        let hits = found["hits"].as_array().expect("a list of hits");
        hits.iter().map(|hit| self.name(hit["path"].as_str().expect("a path"))).collect()
    }

    fn name(&self, path: &str) -> String {
        Path::new(path).strip_prefix(self.files()).expect("a document of ours").display().to_string()
    }
}

/// The program, away from the indexes of whoever runs the tests.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quipu"));
    for name in
        ["QUIPU_DB", "QUIPU_MODEL", "QUIPU_KERNEL", "QUIPU_EMBED_URL", "QUIPU_EMBED_MODEL", "QUIPU_EMBED_KEY"]
    {
        command.env_remove(name);
    }
    command
}

/// All that a program printed, for the message of a failed assertion.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
