//! Any bytes as the small files of a model, divided by two zeros: an error, or finite vectors. Where the bytes end, the
//! files that follow are good ones.
#![no_main]

#[path = "../small_model.rs"]
mod small_model;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use small_model::{FILES, SmallModel};

/// Stands between two files.
const END: &[u8] = b"\0\0";

static MODEL: LazyLock<SmallModel> = LazyLock::new(|| SmallModel::create("model_files"));

fuzz_target!(|bytes: &[u8]| {
    let mut rest = Some(bytes);
    for (name, good) in FILES {
        let Some(bytes) = rest else {
            MODEL.write(name, good);
            continue;
        };
        let end = bytes.windows(END.len()).position(|window| window == END);
        MODEL.write(name, &bytes[..end.unwrap_or(bytes.len())]);
        rest = end.map(|end| &bytes[end + END.len()..]);
    }
    MODEL.load_and_embed();
});
