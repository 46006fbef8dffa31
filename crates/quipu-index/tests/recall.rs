//! What quantising costs: the best ten by exact arithmetic on the model's own vectors against the best ten of the scan
//! over 1-bit codes, scored on int8.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use quipu_embed::{BATCH_TOKENS, Embedder, Encoder, TokenIds, model, plan_batches};
use quipu_index::store::vectors::{BLOCK_CHUNKS, Block, Vector, VectorQuery, scan};

/// Texts that are searched; real prose and code, from this repository.
const TEXTS: usize = 3_000;

/// Texts that are asked for.
const QUERIES: usize = 100;

/// Candidates that the scan hands on to be scored, as a search takes.
const CANDIDATES: usize = 200;

const BEST: usize = 10;

// They all go into one block.
const _: () = assert!(TEXTS <= BLOCK_CHUNKS);

#[test]
fn the_scan_finds_the_exact_ten_best_of_real_vectors() {
    let located =
        model::locate(&model::Settings::from_environment(), None).expect("the model is found or fetched");
    let encoder = Encoder::load(&located.folder).expect("the model loads");
    let mut texts = Vec::new();
    collect_lines(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), &mut texts);
    let mut known = HashSet::new();
    texts.retain(|text| known.insert(text.clone()));
    assert!(texts.len() >= TEXTS + QUERIES, "{} lines are too few", texts.len());
    // Every so-manieth line, so that neighbours do not all look alike.
    let step = texts.len() / (TEXTS + QUERIES);
    let texts: Vec<String> = texts.into_iter().step_by(step).take(TEXTS + QUERIES).collect();
    let vectors = embed(&encoder, &texts);
    let (queries, vectors) = vectors.split_at(QUERIES);
    let coded: Vec<Vector> = vectors.iter().map(|vector| Vector::quantise(vector)).collect();
    let mut block = Block::new(encoder.info().dimensions);
    for (slot, vector) in coded.iter().enumerate() {
        block.insert(slot, vector);
    }
    let mut found = 0;
    for query in queries {
        let exact = best((0..TEXTS).map(|at| (at, dot(query, &vectors[at]))));
        let candidates = scan([(0, &block)], &VectorQuery::new(query), None, CANDIDATES);
        let scored = best(
            candidates.iter().map(|found| (found.chunk as usize, coded[found.chunk as usize].dot(query))),
        );
        found += exact.iter().filter(|at| scored.contains(at)).count();
    }
    let recall = found as f64 / (QUERIES * BEST) as f64;
    println!("recall@10 of the scan with int8 scores against exact f32: {recall:.4}");
    assert!(recall >= 0.99, "{recall}");
}

/// Lines of some length from all markdown and Rust files below a folder, in a fixed order.
fn collect_lines(folder: &Path, lines: &mut Vec<String>) {
    let mut entries: Vec<_> =
        fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            collect_lines(&path, lines);
        } else if name.ends_with(".md") || name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            lines.extend(text.lines().map(str::trim).filter(|line| line.len() >= 50).map(str::to_owned));
        }
    }
}

fn embed(encoder: &Encoder, texts: &[String]) -> Vec<Vec<f32>> {
    let dimensions = encoder.info().dimensions;
    let sequences: Vec<TokenIds> = texts.iter().map(|text| encoder.tokenizer().encode(text)).collect();
    let lengths: Vec<usize> = sequences.iter().map(TokenIds::len).collect();
    let mut vectors = vec![Vec::new(); texts.len()];
    for batch in plan_batches(&lengths, BATCH_TOKENS) {
        let chunks: Vec<TokenIds> = batch.iter().map(|&at| sequences[at].clone()).collect();
        let mut out = vec![0.0; batch.len() * dimensions];
        encoder.embed_into(&chunks, &mut out).expect("it embeds");
        for (at, vector) in batch.into_iter().zip(out.chunks(dimensions)) {
            vectors[at] = vector.to_vec();
        }
    }
    vectors
}

fn best(scored: impl Iterator<Item = (usize, f32)>) -> Vec<usize> {
    let mut scored: Vec<(usize, f32)> = scored.collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    scored.into_iter().take(BEST).map(|(at, _)| at).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
