//! Any bytes as a `tokenizer.json`: an error, or a tokenizer that cuts any text into pieces that lie in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quipu_embed::Tokenizer;

/// Stands between the file and the text.
const END: &[u8] = b"\0\0";

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.windows(END.len()).position(|window| window == END).unwrap_or(bytes.len());
    let (file, text) = bytes.split_at(end);
    let Ok(tokenizer) = Tokenizer::parse(file, 64) else { return };
    let text = String::from_utf8_lossy(text);
    let pieces = tokenizer.pieces_with_offsets(&text);
    assert!(pieces.iter().all(|(_, range)| text.get(range.clone()).is_some()));
    assert!(pieces.iter().map(|(id, _)| *id).eq(tokenizer.pieces(&text)));
});
