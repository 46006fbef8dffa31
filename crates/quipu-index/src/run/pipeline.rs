//! The whole way of a document: [`pipeline`] is what all have in common, and below it stand the ways to embed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use quipu_flow::stage::Io;
use quipu_flow::{Batch, Failed, Flow, OnError, Pipeline};
use tokio::sync::mpsc::Receiver;

use super::embedding::{Way, WayOfEndpoint};
use super::item::Item;
use super::part::Part;
use super::remote::{Answered, Remote, Request, Together};
use super::stages::Stages;
use super::writer::{Desk, Writer};
use crate::endpoint::RETRIES;

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
pub(crate) fn pipeline(files: Receiver<Item>, hands: &Hands, way: Way, workers: usize) -> Pipeline {
    let Hands { stages, writer, .. } = hands;
    let (reading, working, extracting, chunking, recalling) =
        (stages.clone(), stages.clone(), stages.clone(), stages.clone(), stages.clone());
    let chunks = Flow::from_channel(files)
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
        .on_error(OnError::Stop);
    match way {
        Way::Cores => written(on_cores(chunks, stages), writer),
        Way::Device { tokens_max } => written(on_a_device(chunks, stages, tokens_max), writer),
        Way::Endpoint(endpoint) => written(by_endpoint(chunks, &hands.remote, &endpoint), writer),
    }
}

/// Embeds on every core: the parts of many documents together, sorted by length.
fn on_cores<S>(chunks: Flow<Item, S>, stages: &Given<Stages>) -> Flow<Item, impl Sized> {
    let embedding = stages.clone();
    chunks.scatter(
        Item::split,
        |parts| {
            let batch = Batch::weight(EMBED_TOKENS, Part::tokens).within(EMBED_WITHIN);
            parts.map_batch(batch, move |parts| embedding.get().embed(&parts)).named("embed")
        },
        Item::gather,
    )
}

/// Embeds on a device: one launch at a time, as full as there is work for; while it computes, the next fills.
fn on_a_device<S>(
    chunks: Flow<Item, S>,
    stages: &Given<Stages>,
    tokens_max: usize,
) -> Flow<Item, impl Sized> {
    let embedding = stages.clone();
    chunks.scatter(
        Item::split,
        |parts| {
            let launch = Batch::weight(tokens_max, Part::tokens);
            let load = || Ok::<_, Infallible>(());
            parts.device(launch, load, move |(), parts| embedding.get().launch(&parts)).named("embed")
        },
        Item::gather,
    )
}

/// Has a server embed: many documents together, then, if it is well, each by itself whose request it did not answer.
fn by_endpoint<S>(
    chunks: Flow<Item, S>,
    remote: &Given<Remote>,
    endpoint: &WayOfEndpoint,
) -> Flow<Item, impl Sized> {
    let (splitting, judging, splitting_alone) = (remote.clone(), remote.clone(), remote.clone());
    let together = Batch::weight(EMBED_TOKENS, Item::tokens_waiting).within(EMBED_WITHIN);
    chunks
        .batch(together)
        .named("together")
        .scatter_partial(
            move |items| splitting.get().split(items),
            |requests| asked(requests, remote, endpoint).named("embed"),
            Together::gather,
        )
        .io(move |together| judging.get().judge(together))
        .named("judge")
        .limit(1)
        .on_error(OnError::Stop)
        .scatter_partial(
            move |together| splitting_alone.get().split_alone(together),
            |requests| asked(requests, remote, endpoint).named("embed alone"),
            Together::gather_alone,
        )
        .flat_map(|items| items)
        .named("apart")
}

/// Calls an endpoint: many calls at once, as fast as it may be, each again while its error may pass.
fn asked<S>(
    requests: Flow<Request, S>,
    remote: &Given<Remote>,
    endpoint: &WayOfEndpoint,
) -> Flow<Answered, Io<Request>> {
    let (asking, dimensions) = (remote.clone(), endpoint.dimensions);
    let asked = requests
        .io(move |request| asking.get().ask(request))
        .retry(RETRIES)
        .backoff(endpoint.backoff)
        .output_at_most(move |request| request.answer_bytes(dimensions));
    match endpoint.rate {
        Some((calls, period)) => asked.rate(calls, period),
        None => asked,
    }
}

/// Gathers documents into transactions.
fn written<S>(documents: Flow<Item, S>, writer: &Given<Desk>) -> Pipeline {
    let (writing, failing) = (writer.clone(), writer.clone());
    documents
        .batch(Batch::bytes(WRITE_BYTES).within(WRITE_WITHIN))
        .named("collect")
        .sink(move |items| Writer::write(writing.get(), items))
        .named("write")
        .on_error(OnError::Stop)
        .on_any_error(OnError::dead_letter(move |failed: Failed| Writer::failed(failing.get(), failed)))
}

/// Who does a pipeline's work.
pub(crate) struct Hands {
    pub(crate) stages: Given<Stages>,
    /// Where an endpoint embeds.
    pub(crate) remote: Given<Remote>,
    pub(crate) writer: Given<Desk>,
}

impl Hands {
    /// Nobody: the pipeline is only to be shown.
    pub(crate) fn to_show() -> Self {
        Self { stages: Given(None), remote: Given(None), writer: Given(None) }
    }
}

/// What a run gives to its pipeline; nothing, where the pipeline is only to be shown.
pub(crate) struct Given<T>(Option<Arc<T>>);

impl<T> Given<T> {
    pub(crate) fn to_run(what: &Arc<T>) -> Self {
        Self(Some(Arc::clone(what)))
    }

    /// Something that a run of this kind has no need of.
    pub(crate) fn none() -> Self {
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
