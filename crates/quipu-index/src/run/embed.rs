//! Embedding on this machine, by every core or by a device: parts of many documents together, longest chunks first.
//!
//! Nothing is padded here: an [`Embedder`](quipu_embed::Embedder) is given sequences of any lengths. Where something
//! fails, parts are embedded one after the other, so that only the guilty one fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use quipu_compute::panic_message;
use quipu_embed::{BATCH_TOKENS, EmbedError, TokenIds, plan_batches};
use rayon::prelude::*;

use super::item::with_causes;
use super::part::{Embedded, Part};
use super::stages::Stages;
use super::stopwatch::Stopwatch;
use crate::store::{FailureKind, Vector};

/// A chunk that waits: the place of its part, its place in its document, its tokens.
type Waiting<'a> = (usize, usize, &'a TokenIds);

/// Vectors, by their place among those that wait.
type Vectors = Vec<(usize, Vector)>;

impl Stages {
    /// Embeds parts on every core, in batches that fit its cache.
    pub(crate) fn embed(&self, parts: &[Part]) -> Vec<Embedded> {
        all_or_each(parts, |parts| {
            let waiting = waiting(parts);
            let batches = plan_batches(&lengths(&waiting), BATCH_TOKENS).into_par_iter();
            let vectors: Vec<Vectors> = batches
                .map(|batch| self.embed_batch(&batch, &waiting, Stopwatch::of_this_core))
                .collect::<Result<_, _>>()?;
            Ok(self.put(parts, &waiting, vectors))
        })
    }

    /// Has a device embed parts, all in one launch.
    pub(crate) fn launch(&self, parts: &[Part]) -> Vec<Embedded> {
        all_or_each(parts, |parts| {
            let waiting = waiting(parts);
            let launches = plan_batches(&lengths(&waiting), usize::MAX).into_iter();
            let vectors: Vec<Vectors> = launches
                .map(|launch| self.embed_batch(&launch, &waiting, Stopwatch::of_the_wall))
                .collect::<Result<_, _>>()?;
            Ok(self.put(parts, &waiting, vectors))
        })
    }

    fn embed_batch(
        &self,
        batch: &[usize],
        waiting: &[Waiting<'_>],
        begin: fn() -> Stopwatch,
    ) -> Result<Vectors, EmbedError> {
        let dimensions = self.embedder.info().dimensions;
        let chunks: Vec<TokenIds> = batch.iter().map(|&index| waiting[index].2.clone()).collect();
        let mut vectors = vec![0.0; chunks.len() * dimensions];
        let stopwatch = begin();
        self.embedder.embed_into(&chunks, &mut vectors)?;
        let took = stopwatch.ns();
        let lengths = chunks.iter().map(|chunk| chunk.len() as u64);
        let (tokens, squares) =
            lengths.fold((0, 0), |(tokens, squares), length| (tokens + length, squares + length * length));
        self.tally.computed_ns.fetch_add(took, Ordering::Relaxed);
        self.tally.computed_tokens.fetch_add(tokens, Ordering::Relaxed);
        self.tally.computed_squares.fetch_add(squares, Ordering::Relaxed);
        Ok(batch.iter().copied().zip(vectors.chunks(dimensions).map(Vector::quantise)).collect())
    }

    /// The vectors, each in its part.
    fn put(&self, parts: &[Part], waiting: &[Waiting<'_>], vectors: Vec<Vectors>) -> Vec<Embedded> {
        let mut embedded: Vec<Vectors> =
            parts.iter().map(|Part(waiting)| Vec::with_capacity(waiting.len())).collect();
        for (index, vector) in vectors.into_iter().flatten() {
            let (part, chunk, _) = waiting[index];
            embedded[part].push((chunk, vector));
        }
        let tokens: usize = parts.iter().map(Part::tokens).sum();
        self.tally.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
        self.tally.embedded.fetch_add(waiting.len() as u64, Ordering::Relaxed);
        embedded.into_iter().map(|vectors| Embedded(Ok(vectors))).collect()
    }
}

/// What came of all parts together; or, where that fails, of each by itself.
fn all_or_each(
    parts: &[Part],
    embed: impl Fn(&[Part]) -> Result<Vec<Embedded>, EmbedError>,
) -> Vec<Embedded> {
    if let Ok(Ok(embedded)) = catch_unwind(AssertUnwindSafe(|| embed(parts))) {
        return embedded;
    }
    let alone = |part| match catch_unwind(AssertUnwindSafe(|| embed(std::slice::from_ref(part)))) {
        Ok(Ok(mut embedded)) => embedded.pop().unwrap_or(Embedded(Ok(Vec::new()))),
        Ok(Err(error)) => Embedded(Err((FailureKind::Embed, with_causes(&error)))),
        Err(panic) => {
            let message = format!("embedding it panicked: {}", panic_message(&*panic));
            Embedded(Err((FailureKind::Panic, message)))
        }
    };
    parts.iter().map(alone).collect()
}

fn waiting(parts: &[Part]) -> Vec<Waiting<'_>> {
    let parts = parts.iter().enumerate();
    parts
        .flat_map(|(part, Part(waiting))| {
            waiting.iter().map(move |waiting| (part, waiting.chunk, &waiting.tokens))
        })
        .collect()
}

fn lengths(waiting: &[Waiting<'_>]) -> Vec<usize> {
    waiting.iter().map(|(_, _, tokens)| tokens.len()).collect()
}
