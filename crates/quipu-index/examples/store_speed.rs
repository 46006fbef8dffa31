//! How fast the store writes and finds: made-up text with a natural distribution of words.
//!
//! `cargo run -p quipu-index --example store_speed -- 100000`

use std::error::Error;
use std::time::{Duration, Instant};

use quipu_index::store::{
    Bitmap, Chunk, Configuration, Document, FileRecord, Outcome, Snapshot, Store, Vector, analyse,
};

const CHUNKS_DEFAULT: usize = 20_000;
const CHUNKS_PER_DOCUMENT: usize = 10;
const WORDS_PER_CHUNK: usize = 160;
const VOCABULARY: f64 = 60_000.0;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
const DIMENSIONS: usize = 384;
const QUERIES: usize = 200;
const CANDIDATES: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let chunks: usize = std::env::args().nth(1).map_or(Ok(CHUNKS_DEFAULT), |text| text.parse())?;
    let folder = std::env::temp_dir().join(format!("quipu-store-speed-{}", std::process::id()));
    let mut random = Random(42);
    measure_analyser(&mut random);
    let configuration = Configuration { model: "none".into(), dimensions: DIMENSIONS, hash: [0; 32] };
    let mut store = Store::create(&folder, &configuration)?;
    write(&mut store, chunks, &mut random)?;
    let snapshot = store.reader()?.snapshot()?;
    let narrow = timed("filter of documents (ext = 'md')", || snapshot.filter("ext = 'md'"))?;
    let wide = timed("filter of chunks (page > 3)", || snapshot.filter("page > 3"))?;
    println!("  ext: {} chunks, page: {} chunks", narrow.count(), wide.count());
    for (name, filter) in [("all", None), ("ext = 'md'", Some(&narrow)), ("page > 3", Some(&wide))] {
        text(&snapshot, name, filter, &mut random)?;
        vectors(&snapshot, name, filter, &mut random)?;
    }
    features(&snapshot, chunks, &mut random)?;
    drop(snapshot);
    let started = Instant::now();
    let verified = store.reader()?.verify(&mut |discrepancy| println!("{discrepancy:?}"))?;
    println!("verify: {:.1?}, {verified:?}", started.elapsed());
    store.close()?;
    let started = Instant::now();
    let cold = Store::open(&folder)?.reader()?;
    let snapshot = cold.snapshot()?;
    snapshot.vector_candidates(&random.vector(), None, CANDIDATES)?;
    println!("open, snapshot, first vector query: {:.1?}", started.elapsed());
    drop(snapshot);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn measure_analyser(random: &mut Random) {
    let text: Vec<String> = (0..4000).map(|_| random.text()).collect();
    let bytes: usize = text.iter().map(String::len).sum();
    let started = Instant::now();
    let terms: usize = text.iter().map(|text| analyse(text).count()).sum();
    let seconds = started.elapsed().as_secs_f64();
    println!("analyse: {:.1} MB/s, {terms} terms", bytes as f64 / 1e6 / seconds);
}

fn write(store: &mut Store, chunks: usize, random: &mut Random) -> Result<(), Box<dyn Error>> {
    let (mut batch, mut batch_bytes, mut spent) = (Vec::new(), 0, Duration::ZERO);
    let (mut bytes, mut slowest) = (0, Duration::ZERO);
    let documents = chunks / CHUNKS_PER_DOCUMENT;
    for number in 0..documents {
        let record = record(number, random);
        batch_bytes += CHUNKS_PER_DOCUMENT * WORDS_PER_CHUNK * 7;
        if let Outcome::Indexed(document) = &record.outcome {
            bytes += document.chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>();
        }
        batch.push(record);
        if batch_bytes >= BATCH_BYTES || number + 1 == documents {
            let started = Instant::now();
            store.write(&batch)?;
            spent += started.elapsed();
            slowest = slowest.max(started.elapsed());
            (batch, batch_bytes) = (Vec::new(), 0);
        }
    }
    let seconds = spent.as_secs_f64();
    println!(
        "write: {chunks} chunks in {seconds:.1} s = {:.0} chunks/s, {:.1} MB/s of text; slowest batch {slowest:.1?}",
        chunks as f64 / seconds,
        bytes as f64 / 1e6 / seconds
    );
    Ok(())
}

fn record(number: usize, random: &mut Random) -> FileRecord {
    let chunks = (0..CHUNKS_PER_DOCUMENT).map(|index| {
        let text = random.text();
        Chunk {
            range: (index * 1000) as u64..(index * 1000 + text.len()) as u64,
            lines: Some((1, 10)),
            page: Some(index as u32 + 1),
            heading: Some("A heading > And another".into()),
            hash: *blake3::hash(text.as_bytes()).as_bytes(),
            vector: Some(Vector::quantise(&random.vector())),
            text,
        }
    });
    let document = Document {
        title: Some(format!("Title number {number}")),
        mime: "text/plain".into(),
        format: "text".into(),
        chunks: chunks.collect(),
        ..Document::default()
    };
    let extension = if number.is_multiple_of(20) { "md" } else { "txt" };
    FileRecord {
        path: format!("/files/documents/folder{}/file{number}.{extension}", number % 97),
        size: 10_000,
        modified_ns: 1_700_000_000_000_000_000,
        content_hash: Some(*blake3::hash(&number.to_le_bytes()).as_bytes()),
        outcome: Outcome::Indexed(Box::new(document)),
    }
}

fn text(
    snapshot: &Snapshot,
    name: &str,
    filter: Option<&Bitmap>,
    random: &mut Random,
) -> Result<(), Box<dyn Error>> {
    for words in [2, 4, 8] {
        let mut times = Vec::new();
        for _ in 0..QUERIES {
            let words: Vec<String> = (0..words).map(|_| random.word()).collect();
            let line = words.join(" ");
            let started = Instant::now();
            let terms: Vec<_> = analyse(&line).collect();
            let terms: Vec<(&str, f32)> = terms.iter().map(|term| (term.text.as_ref(), 1.0)).collect();
            snapshot.text_candidates(&terms, filter, CANDIDATES)?;
            times.push(started.elapsed());
        }
        report(&format!("text, {words} words, {name}"), times);
    }
    Ok(())
}

fn vectors(
    snapshot: &Snapshot,
    name: &str,
    filter: Option<&Bitmap>,
    random: &mut Random,
) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    for _ in 0..QUERIES {
        let query = random.vector();
        let started = Instant::now();
        snapshot.vector_candidates(&query, filter, CANDIDATES)?;
        times.push(started.elapsed());
    }
    report(&format!("vectors, {name}"), times);
    Ok(())
}

fn features(snapshot: &Snapshot, chunks: usize, random: &mut Random) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    for _ in 0..QUERIES {
        let mut wanted: Vec<u32> = (0..1000).map(|_| (random.next() * chunks as f64) as u32).collect();
        wanted.sort_unstable();
        let started = Instant::now();
        let mut seen = 0;
        snapshot.features(&wanted, &mut |_, terms, _| seen += terms.terms.len())?;
        times.push(started.elapsed());
    }
    report("features of 1,000 chunks", times);
    Ok(())
}

fn timed<T, E>(name: &str, work: impl Fn() -> Result<T, E>) -> Result<T, E> {
    let mut times = Vec::new();
    for _ in 0..10 {
        let started = Instant::now();
        work()?;
        times.push(started.elapsed());
    }
    report(name, times);
    work()
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{name}: p50 {:.2?}, p95 {:.2?}", at(0.5), at(0.95));
}

/// A repeatable stream of numbers in 0..1 (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A word whose rank follows Zipf's law.
    fn word(&mut self) -> String {
        let rank = VOCABULARY.powf(self.next()) as usize;
        let syllables = ["ka", "lo", "mi", "ter", "sun", "pra", "dex", "on", "vi", "ral"];
        let mut word = String::new();
        let mut rest = rank + 10;
        while rest > 0 {
            word.push_str(syllables[rest % 10]);
            rest /= 10;
        }
        word
    }

    fn text(&mut self) -> String {
        let words: Vec<String> = (0..WORDS_PER_CHUNK)
            .map(|_| if self.next() < 0.35 { "the".to_owned() } else { self.word() })
            .collect();
        words.join(" ")
    }

    fn vector(&mut self) -> Vec<f32> {
        let values: Vec<f32> = (0..DIMENSIONS).map(|_| self.next() as f32 - 0.5).collect();
        let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        values.into_iter().map(|value| value / norm).collect()
    }
}
