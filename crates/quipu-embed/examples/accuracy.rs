//! How near each kernel's vectors are to those of another program, or to f32's.
//!
//! ```text
//! cargo run -p quipu-embed --example accuracy -- TEXTS.json [VECTORS.f32 [KERNEL]]
//! ```
//!
//! TEXTS is an array of strings. VECTORS holds a vector of little-endian f32 for each, one after another, as another
//! program made them; `-` compares with this program's own in f32. Prints the mean cosine and the smallest.

use std::error::Error;

use quipu_embed::verify::cosine;
use quipu_embed::{Embedder, Encoder, Kernel, TokenIds, model};

/// Texts that are named, those with the smallest cosines.
const SMALLEST: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let texts = arguments.next().ok_or("which file of texts?")?;
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(texts)?)?;
    let folder = model::locate(&model::Settings::from_environment(), None)?.folder;
    let expected = match arguments.next().filter(|file| file != "-") {
        Some(file) => {
            std::fs::read(file)?.as_chunks::<4>().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
        }
        None => {
            let exact = Kernel::available().into_iter().rfind(|kernel| kernel.name().starts_with("f32"));
            embed(&Encoder::load_with(&folder, exact.unwrap_or(Kernel::portable()))?, &texts)?
        }
    };
    let wanted = arguments.next();
    for kernel in Kernel::available().into_iter().rev() {
        if wanted.as_ref().is_some_and(|name| name != kernel.name()) {
            continue;
        }
        let encoder = Encoder::load_with(&folder, kernel)?;
        let vectors = embed(&encoder, &texts)?;
        let width = encoder.info().dimensions;
        let mut cosines: Vec<(f64, usize)> = vectors
            .chunks_exact(width)
            .zip(expected.chunks_exact(width))
            .enumerate()
            .map(|(index, (a, b))| (cosine(a, b), index))
            .collect();
        cosines.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mean = cosines.iter().map(|(cosine, _)| cosine).sum::<f64>() / cosines.len() as f64;
        println!("{:>15}: mean {mean:.7}", kernel.name());
        for &(cosine, index) in &cosines[..SMALLEST.min(cosines.len())] {
            let text: String = texts[index].chars().take(40).collect();
            println!("{:>15}  {cosine:.7} (text {index}, {text:?})", "");
        }
    }
    Ok(())
}

fn embed(encoder: &Encoder, texts: &[String]) -> Result<Vec<f32>, Box<dyn Error>> {
    let chunks: Vec<TokenIds> = texts.iter().map(|text| encoder.tokenizer().encode(text)).collect();
    let mut vectors = vec![0.0; chunks.len() * encoder.info().dimensions];
    encoder.embed_into(&chunks, &mut vectors)?;
    Ok(vectors)
}
