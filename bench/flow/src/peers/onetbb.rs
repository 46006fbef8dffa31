//! oneTBB's `parallel_pipeline`, in its own program (`onetbb/pipeline.cpp`).

use super::program::Program;
use crate::arguments::Program as Where;
use crate::workloads::fused::{Item, Run};
use crate::workloads::skew::{Shape, Way};
use anyhow::Context;
use std::cell::RefCell;
use std::time::Duration;

/// Token limits that are tried before it is measured; the fastest stays.
const TOKENS: [u64; 4] = [16, 64, 256, 1024];
/// Items of one such try.
const TRY_ITEMS: u64 = 100_000;

/// How the four stages are given to it: it fuses nothing by itself, but a user can.
#[derive(Clone, Copy)]
pub(crate) enum Filters {
    One,
    Four,
}

/// The running program.
pub(crate) struct OneTbb(Program);

impl OneTbb {
    pub(crate) fn start(place: &Where) -> Self {
        Self(Program::start("oneTBB", place))
    }

    /// A run of `count` items, with the token limit that suits it best.
    pub(crate) fn tuned<'a, I: Item>(
        this: &'a RefCell<Self>,
        threads: usize,
        filters: Filters,
    ) -> impl FnMut(u64) -> anyhow::Result<Run> + 'a {
        let mut tokens = None;
        move |count| {
            let mut this = this.borrow_mut();
            let tokens = match tokens {
                Some(tokens) => tokens,
                None => *tokens.insert(this.best_tokens::<I>(threads, filters)?),
            };
            this.run::<I>(threads, filters, tokens, count)
        }
    }

    /// Each stage a parallel filter.
    pub(crate) fn skewed(&mut self, shape: &Shape) -> anyhow::Result<Duration> {
        let Shape { way, stages, start, items, workers } = shape;
        let way = match way {
            Way::Burnt => "burnt",
            Way::Slept => "slept",
        };
        let (start, count) = (start.as_nanos(), stages.len());
        let times: Vec<String> = stages.iter().map(|time| time.as_nanos().to_string()).collect();
        let question = format!("skew {way} {workers} {items} {start} {count} {}", times.join(" "));
        let answer = self.0.ask(&question)?;
        let [took_ns] = answer[..] else { anyhow::bail!("oneTBB answered {answer:?}") };
        Ok(Duration::from_nanos(took_ns))
    }

    fn best_tokens<I: Item>(&mut self, threads: usize, filters: Filters) -> anyhow::Result<u64> {
        let mut tries = Vec::new();
        for tokens in TOKENS {
            let (took, _) = self.run::<I>(threads, filters, tokens, TRY_ITEMS)?;
            tries.push((took, tokens));
        }
        tries.into_iter().min().map(|(_, tokens)| tokens).context("no token limit to try")
    }

    fn run<I: Item>(
        &mut self,
        threads: usize,
        filters: Filters,
        tokens: u64,
        count: u64,
    ) -> anyhow::Result<Run> {
        let filters = match filters {
            Filters::One => 1,
            Filters::Four => 4,
        };
        let answer = self.0.ask(&format!("fused {} {filters} {threads} {tokens} {count}", I::NUMBERS))?;
        let [took_ns, sum] = answer[..] else { anyhow::bail!("oneTBB answered {answer:?}") };
        Ok((Duration::from_nanos(took_ns), sum))
    }
}
