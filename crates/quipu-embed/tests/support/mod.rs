//! What tests of small models share: copies of their folders, to load and to break. Nothing loads `tests/shapes` itself,
//! because the encoder notes beside a model what it found out about it.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};

use quipu_embed::model::{self, Settings};
use quipu_embed::{EmbedError, Embedder, Encoder, Kernel, TokenIds};

pub const CONFIG: &str = "config.json";
pub const WEIGHTS: &str = "model.safetensors";

/// A model folder of its own, gone when dropped.
pub struct Copy(tempfile::TempDir);

impl Copy {
    /// Of one of the folders that `scripts/make_shapes.py` wrote.
    pub fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_files(&shape(name), folder.path());
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.file(name), content).unwrap();
    }

    /// Sets a field of `config.json` to what is written as JSON.
    pub fn configure(&self, field: &str, value: &str) {
        let mut config: serde_json::Value = serde_json::from_slice(&self.read(CONFIG)).unwrap();
        config[field] = serde_json::from_str(value).unwrap();
        self.write(CONFIG, config.to_string());
    }

    pub fn load(&self) -> Encoder {
        Encoder::load(self.path()).unwrap()
    }

    /// Loads it for a kernel in f32 and for the fastest, which must both fail; the first error.
    pub fn error(&self) -> EmbedError {
        Encoder::load(self.path()).expect_err("it cannot be loaded");
        Encoder::load_with(self.path(), Kernel::portable()).expect_err("it cannot be loaded")
    }
}

/// The real model's folder, or `None` where the network is forbidden and the cache lacks it: then tests are skipped, with a
/// line that says so.
pub fn real_model() -> Option<PathBuf> {
    let settings = Settings::from_environment();
    match model::locate(&settings, None) {
        Ok(located) => Some(located.folder),
        Err(error) if settings.offline => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Where a shape is checked in.
fn shape(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes").join(name)
}

/// Copies a folder and what is in it.
pub fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.as_ref().unwrap(), to.join(entry.as_ref().unwrap().file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_files(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

pub fn embed(encoder: &Encoder, chunks: &[TokenIds]) -> Vec<f32> {
    let mut vectors = vec![0.0; chunks.len() * encoder.info().dimensions];
    encoder.embed_into(chunks, &mut vectors).unwrap();
    vectors
}

/// Sequences have the same vectors together, one by one, in the other order, and in batches of any size on two threads.
pub fn check_bit_identical(encoder: &Encoder, chunks: &[TokenIds]) {
    let kernel = encoder.kernel().name();
    let together = embed(encoder, chunks);
    let alone = chunks.iter().flat_map(|chunk| embed(encoder, std::slice::from_ref(chunk)));
    assert!(alone.eq(together.iter().copied()), "one by one on {kernel}");
    let backwards: Vec<TokenIds> = chunks.iter().rev().cloned().collect();
    let rows = embed(encoder, &backwards);
    assert!(rows.rchunks(encoder.info().dimensions).flatten().eq(&together), "backwards on {kernel}");
    std::thread::scope(|scope| {
        let run = |size: usize| {
            scope.spawn(move || chunks.chunks(size).flat_map(|part| embed(encoder, part)).collect())
        };
        for thread in [3, 8].map(run) {
            let vectors: Vec<f32> = thread.join().unwrap();
            assert!(vectors == together, "two threads on {kernel}");
        }
    });
}
