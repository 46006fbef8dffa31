//! A made corpus of any size: words as frequent as words are, vectors near those of real texts.
//!
//! Repeatable: the same numbers give the same corpus.

use quipu_index::store::{Chunk, Document, FileRecord, Outcome, Vector};

use crate::eval::build::chunk_hash;

/// Different words; a hundred thousand chunks of English have about so many stems.
const VOCABULARY: usize = 50_000;
const CHUNK_WORDS_MIN: u64 = 60;
const CHUNK_WORDS_SPREAD: u64 = 120;
/// Chunks of one document.
const DOCUMENT_CHUNKS: usize = 10;
/// How far a made vector lies from the real one that it was made of: cosine about 0.9.
const NOISE: f32 = 0.5;

/// A repeatable source of numbers (xorshift64*).
pub(crate) struct Source(u64);

impl Source {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// In 0…1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// About normal, variance 1/12 · 4.
    fn noise(&mut self) -> f32 {
        (0..4).map(|_| self.share() as f32).sum::<f32>() - 2.0
    }
}

/// Words with Zipf's frequencies: the word of rank r is drawn about 1/r as often as the first.
pub(crate) struct Words {
    words: Vec<String>,
    logarithm: f64,
}

impl Words {
    pub(crate) fn new() -> Self {
        Self { words: (0..VOCABULARY).map(word).collect(), logarithm: (VOCABULARY as f64).ln() }
    }

    /// One word. The inverse of Zipf's distribution with exponent 1, in its continuous form.
    pub(crate) fn draw(&self, source: &mut Source) -> &str {
        let rank = (source.share() * self.logarithm).exp() as usize;
        &self.words[rank.min(VOCABULARY) - 1]
    }

    fn text(&self, source: &mut Source) -> String {
        let count = CHUNK_WORDS_MIN + source.below(CHUNK_WORDS_SPREAD);
        (0..count).map(|_| self.draw(source)).collect::<Vec<_>>().join(" ")
    }
}

/// Consonants and vowels in turn, ending as no English suffix does, so that the stemmer leaves words apart.
fn word(number: usize) -> String {
    let syllables =
        ["ba", "do", "ku", "mi", "no", "ra", "tu", "va", "zo", "pi", "lu", "go", "fa", "ho", "ji", "wu"];
    let mut word = String::new();
    let mut rest = number + 1;
    while rest > 0 {
        word.push_str(syllables[rest % syllables.len()]);
        rest /= syllables.len();
    }
    word.push('k');
    word
}

/// Near `vector`, and of length 1.
pub(crate) fn perturbed(vector: &[f32], source: &mut Source) -> Vec<f32> {
    let spread = NOISE / (vector.len() as f32).sqrt() * 3.0_f32.sqrt();
    let moved: Vec<f32> = vector.iter().map(|value| value + spread * source.noise()).collect();
    let length = moved.iter().map(|value| value * value).sum::<f32>().sqrt();
    moved.iter().map(|value| value / length).collect()
}

/// Documents of ten chunks, a third of them pdf with a page for each chunk.
pub(crate) fn records<'a>(
    chunks: usize,
    vectors: &'a [Vec<f32>],
    words: &'a Words,
) -> impl Iterator<Item = FileRecord> + 'a {
    let mut source = Source::new(1);
    (0..chunks.div_ceil(DOCUMENT_CHUNKS)).map(move |document| {
        let first = document * DOCUMENT_CHUNKS;
        let numbers = first..chunks.min(first + DOCUMENT_CHUNKS);
        let chunks = numbers.map(|number| chunk(number, first, vectors, words, &mut source)).collect();
        record(document, words.text(&mut source), chunks)
    })
}

fn chunk(number: usize, first: usize, vectors: &[Vec<f32>], words: &Words, source: &mut Source) -> Chunk {
    let text = words.text(source);
    let start = (number - first) as u64 * 2000;
    Chunk {
        range: start..start + text.len() as u64,
        text,
        lines: None,
        page: Some((number - first + 1) as u32),
        heading: None,
        hash: chunk_hash(number as u64),
        vector: Some(Vector::quantise(&perturbed(&vectors[number % vectors.len()], source))),
    }
}

fn record(number: usize, title: String, chunks: Vec<Chunk>) -> FileRecord {
    let (extension, format, mime) = match number % 3 {
        0 => ("pdf", "pdf", "application/pdf"),
        1 => ("md", "markdown", "text/markdown"),
        _ => ("txt", "text", "text/plain"),
    };
    let title = title.split(' ').take(6).collect::<Vec<_>>().join(" ");
    let document = Document {
        title: Some(title),
        mime: mime.to_owned(),
        format: format.to_owned(),
        pages: Some(chunks.len() as u32),
        chunks,
        ..Document::default()
    };
    FileRecord {
        path: format!("/corpus/{:03}/{number:06}.{extension}", number / 1000),
        size: 20_000,
        modified_ns: 1_700_000_000_000_000_000 + number as i64 * 1_000_000_000,
        content_hash: None,
        outcome: Outcome::Indexed(Box::new(document)),
    }
}
