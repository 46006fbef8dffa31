//! Our encoder with one of its kernels: as an engine, and as a library with two threads that tokenise and embed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use quipu_embed::{BATCH_TOKENS, Embedder, Encoder, Kernel, TokenIds, Tokenizer, plan_batches};

use super::{Engine, Library};

/// Texts that a thread tokenises at a time.
const TEXTS: usize = 32;

pub(super) struct Ours(Arc<Encoder>);

impl Ours {
    pub(super) fn load(model: &Path, kernel: &str) -> anyhow::Result<Self> {
        let mut kernels = Kernel::available().into_iter();
        let kernel = kernels.find(|known| known.name() == kernel).context("this machine lacks the kernel")?;
        Ok(Self(Arc::new(Encoder::load_with(model, kernel)?)))
    }
}

impl Engine for Ours {
    fn tokenizer(&self) -> &Tokenizer {
        self.0.tokenizer()
    }

    fn embed(&mut self, batch: &[TokenIds], vectors: &mut [f32]) -> anyhow::Result<()> {
        Ok(self.0.embed_into(batch, vectors)?)
    }

    fn pads(&self) -> bool {
        false
    }

    fn second(&self) -> Option<Box<dyn Engine>> {
        Some(Box::new(Self(self.0.clone())))
    }

    fn dimensions(&self) -> usize {
        self.0.info().dimensions
    }
}

impl Library for Ours {
    fn tokenizer(&self) -> &Tokenizer {
        self.0.tokenizer()
    }

    /// Both threads tokenise, then both take batches, until none is left.
    fn embed(&mut self, texts: &[String]) -> anyhow::Result<Vec<f32>> {
        let encoder = self.0.as_ref();
        let groups: Vec<&[String]> = texts.chunks(TEXTS).collect();
        let encode = |group: &&[String]| -> Vec<TokenIds> {
            group.iter().map(|text| encoder.tokenizer().encode(text)).collect()
        };
        let sequences: Vec<TokenIds> = on_two_threads(&groups, encode).into_iter().flatten().collect();
        let lengths: Vec<usize> = sequences.iter().map(TokenIds::len).collect();
        let dimensions = encoder.info().dimensions;
        let batches = plan_batches(&lengths, BATCH_TOKENS);
        let embedded = on_two_threads(&batches, |batch| {
            let chunks: Vec<TokenIds> = batch.iter().map(|&index| sequences[index].clone()).collect();
            let mut vectors = vec![0.0; chunks.len() * dimensions];
            encoder.embed_into(&chunks, &mut vectors).map(|()| vectors)
        });
        let mut out = vec![0.0; texts.len() * dimensions];
        for (batch, vectors) in batches.iter().zip(embedded) {
            for (&index, vector) in batch.iter().zip(vectors?.chunks_exact(dimensions)) {
                out[index * dimensions..][..dimensions].copy_from_slice(vector);
            }
        }
        Ok(out)
    }
}

/// `work` on each of `items`, in their order.
fn on_two_threads<I: Sync, O: Send>(items: &[I], work: impl Fn(&I) -> O + Sync) -> Vec<O> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        while let Some((index, item)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (index, item))
        } {
            done.push((index, work(item)));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let second = scope.spawn(take);
        let mut done = take();
        done.extend(second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done
    });
    done.sort_unstable_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, output)| output).collect()
}
