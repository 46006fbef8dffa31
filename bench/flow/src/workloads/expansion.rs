//! Memory: items that each become 10,000 of a kilobyte, in front of a slow sink, under a budget of 1 MiB.
//!
//! What the engine charges is held to the bound that `Pipeline::memory` states; the process's heap, counted by the
//! global allocator, shows whether the charge is true. The peer's channel bounds items, not bytes.

use crate::allocator::peak_during;
use crate::arguments::Arguments;
use crate::measure::Figure;
use crate::ours;
use crate::peers::tokio_channels;
use crate::table::{Better, Group, Row};
use anyhow::ensure;
use quipu_flow::{Report, Weigh};
use std::time::Duration;

/// Source items; each is expanded.
const SEEDS: u64 = 2;
const CHILDREN: u64 = 10_000;
const CHILD_BYTES: usize = 1000;
pub(crate) const BUDGET_BYTES: u64 = 1 << 20;
/// The sink sleeps a millisecond after so many children.
const CHILDREN_A_NAP: u64 = 32;

/// What one source item becomes, made one by one.
pub(crate) fn children(seed: u64) -> impl Iterator<Item = Vec<u8>> + Send {
    (0..CHILDREN).map(move |number| vec![(seed + number) as u8; CHILD_BYTES])
}

/// Takes children more slowly than they can be made.
#[derive(Default)]
pub(crate) struct SlowSink {
    children: u64,
}

impl SlowSink {
    pub(crate) fn take(&mut self, child: Vec<u8>) {
        std::hint::black_box(child);
        self.children += 1;
        if self.children.is_multiple_of(CHILDREN_A_NAP) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.children
    }
}

/// The bound of `Pipeline::memory`: B + (D + W + G)·L. D is 2, one for the path and one for the `flat_map`; G is 0, for
/// there is no io.
fn bound_bytes(workers: usize) -> u64 {
    let largest = vec![0_u8; CHILD_BYTES].weight() as u64;
    BUDGET_BYTES + (2 + workers as u64) * largest
}

pub(crate) fn rows(arguments: &Arguments) -> anyhow::Result<Group> {
    let repetitions = if arguments.quick { 1 } else { 3 };
    let runtime = tokio_channels::runtime(quipu_compute::usable_cores())?;
    let (mut charged, mut heap, mut peer) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..repetitions {
        let (report, peak) = peak_during(|| ours::expanded(SEEDS));
        let report: Report = report?;
        ensure!(report.ends.delivered == SEEDS * CHILDREN, "ours delivered {}", report.ends.delivered);
        charged.push(kibibytes(report.bytes_peak));
        heap.push(kibibytes(peak));
        let (delivered, peak) = peak_during(|| tokio_channels::expanded(&runtime, SEEDS));
        let delivered = delivered?;
        ensure!(delivered == SEEDS * CHILDREN, "the channels delivered {delivered}");
        peer.push(kibibytes(peak));
    }
    let bound = Some(kibibytes(bound_bytes(quipu_compute::usable_cores())));
    let ours = |values| Figure::of("ours", Ok(values));
    let rows = vec![
        Row::new("charged, peak".into(), "KiB", Better::Less, bound, vec![ours(charged)]),
        Row::new(
            "heap, peak".into(),
            "KiB",
            Better::Less,
            bound,
            vec![ours(heap), Figure::of("Tokio mpsc + mutex", Ok(peer))],
        ),
    ];
    let note = format!(
        "{SEEDS} items × {CHILDREN} children of {CHILD_BYTES} bytes, budget {} KiB; the goal is the stated bound",
        BUDGET_BYTES >> 10
    );
    Ok(Group { name: "memory", note, rows })
}

fn kibibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}
