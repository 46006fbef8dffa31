//! The whole way of a document, on one screen.

use std::sync::Arc;
use std::time::Duration;

use quipu_flow::{Batch, Failed, Flow, OnError, Pipeline};
use tokio::sync::mpsc::Receiver;

use super::item::Item;
use super::part::Part;
use super::stages::Stages;
use super::writer::{Desk, Writer};

/// Tokens collected across documents before they are embedded together: several parts.
const EMBED_TOKENS: usize = 16_384;

/// How long a part waits for others to be embedded with.
const EMBED_WITHIN: Duration = Duration::from_millis(100);

/// Bytes of documents that one transaction takes.
const WRITE_BYTES: usize = 4 << 20;

/// How long a finished document waits for others to be written with.
const WRITE_WITHIN: Duration = Duration::from_secs(1);

/// Files that are being opened and read at once.
const READS_MAX: usize = 32;

/// Questions to the store under way at once.
const QUESTIONS_MAX: usize = 4;

/// From the files that a scout sends to rows in the store; at most `workers` documents in worker processes.
pub(crate) fn pipeline(
    files: Receiver<Item>,
    stages: &Given<Stages>,
    writer: &Given<Desk>,
    workers: usize,
) -> Pipeline {
    let (reading, working, extracting, chunking) =
        (stages.clone(), stages.clone(), stages.clone(), stages.clone());
    let (recalling, embedding) = (stages.clone(), stages.clone());
    let (writing, failing) = (writer.clone(), writer.clone());
    Flow::from_channel(files)
        .named("walk")
        .key(|item: &Item| item.path.clone())
        .io(move |item| reading.get().read(item))
        .named("read")
        .limit(READS_MAX)
        .output_at_most(Item::bytes_to_read)
        .on_error(OnError::Stop)
        .io(move |item| working.get().extract_in_worker(item))
        .named("worker")
        .limit(workers)
        .map(move |item| extracting.get().extract(item))
        .named("extract")
        .map(move |item| chunking.get().chunk(item))
        .named("chunk")
        .io(move |item| recalling.get().recall(item))
        .named("recall")
        .limit(QUESTIONS_MAX)
        .on_error(OnError::Stop)
        .scatter(
            Item::split,
            |parts| {
                let batch = Batch::weight(EMBED_TOKENS, Part::tokens).within(EMBED_WITHIN);
                parts.map_batch(batch, move |parts| embedding.get().embed(&parts)).named("embed")
            },
            Item::gather,
        )
        .batch(Batch::bytes(WRITE_BYTES).within(WRITE_WITHIN))
        .named("collect")
        .sink(move |items| Writer::write(writing.get(), items))
        .named("write")
        .on_error(OnError::Stop)
        .on_any_error(OnError::dead_letter(move |failed: Failed| Writer::failed(failing.get(), failed)))
}

/// What a run gives to its pipeline; nothing, where the pipeline is only to be shown.
pub(crate) struct Given<T>(Option<Arc<T>>);

impl<T> Given<T> {
    pub(crate) fn to_run(what: &Arc<T>) -> Self {
        Self(Some(Arc::clone(what)))
    }

    pub(crate) fn to_show() -> Self {
        Self(None)
    }

    fn get(&self) -> Arc<T> {
        self.0.clone().expect("a pipeline that is only shown is never run")
    }
}

impl<T> Clone for Given<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
