//! The folder of the smallest model among the tests' shapes, whose files the targets write anew.

use std::path::PathBuf;

use quipu_embed::{Embedder, Encoder, Kernel};

/// Name and content of each file that is read before tokenizer and weights.
pub const FILES: [(&str, &[u8]); 4] = [
    ("config.json", include_bytes!("../tests/shapes/least/config.json")),
    ("modules.json", include_bytes!("../tests/shapes/least/modules.json")),
    ("1_Pooling/config.json", include_bytes!("../tests/shapes/least/1_Pooling/config.json")),
    ("sentence_bert_config.json", include_bytes!("../tests/shapes/least/sentence_bert_config.json")),
];
const TOKENIZER: &[u8] = include_bytes!("../tests/shapes/least/tokenizer.json");
const WEIGHTS: &[u8] = include_bytes!("../tests/shapes/least/model.safetensors");

/// A folder that stays for all inputs of a process.
pub struct SmallModel(PathBuf);

impl SmallModel {
    pub fn create(target: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("quipu-fuzz-{target}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("1_Pooling")).expect("a folder");
        let model = Self(folder);
        let rest = [("tokenizer.json", TOKENIZER), ("model.safetensors", WEIGHTS)];
        FILES.into_iter().chain(rest).for_each(|(name, content)| model.write(name, content));
        model
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.0.join(name), content).expect("a file");
    }

    /// What loads embeds, to finite numbers unless it says otherwise.
    pub fn load_and_embed(&self) {
        for kernel in [Kernel::portable(), Kernel::best()] {
            let Ok(encoder) = Encoder::load_with(&self.0, kernel) else { break };
            let chunks = ["", "singing, in the rain."].map(|text| encoder.tokenizer().encode(text));
            let mut vectors = vec![0.0; chunks.len() * encoder.info().dimensions];
            if encoder.embed_into(&chunks, &mut vectors).is_ok() {
                assert!(vectors.iter().all(|x| x.is_finite()));
            }
        }
        self.forget_notes();
    }

    /// Else each model in eight bits would leave a file.
    fn forget_notes(&self) {
        for entry in std::fs::read_dir(&self.0).expect("the folder").flatten() {
            if entry.file_name().to_string_lossy().starts_with("quipu-maxima-") {
                std::fs::remove_file(entry.path()).expect("a file of ours");
            }
        }
    }
}
