//! Runs whose model is a device: one launch at a time, as full as there is work for. The device is simulated: a thread
//! with a queue and a memory of its own, which computes with the real encoder, later.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use quipu_embed::{EmbedError, Embedder, Encoder, ModelInfo, TokenIds, Tokenizer};
use quipu_index::run::{Embedding, Run, RunControls, RunEnded};
use quipu_index::store::{FailureKind, State, Store};

use support::{Place, check_agrees, configuration, encoder, runtime, vectors};

/// Tokens in one launch, which is also what the device has memory for.
const TOKENS_MAX: usize = 6_000;

/// A launch, and where its vectors are awaited.
type Launch = (Vec<TokenIds>, SyncSender<Result<Vec<f32>, EmbedError>>);

/// A device that does nothing but keep its promises, and count.
struct Simulated {
    encoder: Arc<Encoder>,
    queue: SyncSender<Launch>,
    in_flight: AtomicUsize,
    launches: Mutex<Vec<Seen>>,
}

/// What was seen of a launch.
struct Seen {
    tokens: usize,
    in_flight: usize,
    thread: ThreadId,
}

impl Simulated {
    /// A device whose launches take `latency`; one with a sequence of three tokens fails.
    fn start(latency: Duration) -> Arc<Self> {
        let (queue, launches) = sync_channel::<Launch>(1);
        std::thread::spawn(move || {
            for (sequences, answer) in launches {
                std::thread::sleep(latency);
                let _ = answer.send(compute(&sequences));
            }
        });
        Arc::new(Self {
            encoder: encoder(),
            queue,
            in_flight: AtomicUsize::new(0),
            launches: Mutex::default(),
        })
    }

    fn embedding(self: &Arc<Self>) -> Embedding {
        Embedding::Device { embedder: Arc::<Self>::clone(self), tokens_max: TOKENS_MAX }
    }
}

fn compute(sequences: &[TokenIds]) -> Result<Vec<f32>, EmbedError> {
    let refused = |problem: &str| EmbedError::Input { index: 0, problem: problem.to_owned() };
    if sequences.iter().map(TokenIds::len).sum::<usize>() > TOKENS_MAX {
        return Err(refused("out of device memory"));
    }
    if sequences.iter().any(|sequence| sequence.len() == 3) {
        return Err(refused("the launch failed"));
    }
    let mut vectors = vec![0.0; sequences.len() * encoder().info().dimensions];
    encoder().embed_into(sequences, &mut vectors)?;
    Ok(vectors)
}

impl Embedder for Simulated {
    fn info(&self) -> &ModelInfo {
        self.encoder.info()
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.encoder.tokenizer()
    }

    fn embed_into(&self, chunks: &[TokenIds], out: &mut [f32]) -> Result<(), EmbedError> {
        let in_flight = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let tokens = chunks.iter().map(TokenIds::len).sum();
        let seen = Seen { tokens, in_flight, thread: std::thread::current().id() };
        self.launches.lock().expect("no panic").push(seen);
        let (answer, awaited) = sync_channel(1);
        self.queue.send((chunks.to_vec(), answer)).expect("the device is there");
        let vectors = awaited.recv().expect("the device answers");
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        out.copy_from_slice(&vectors?);
        Ok(())
    }
}

/// Texts of several lengths, and one of several parts.
fn documents(count: usize) -> Place {
    let mut files: Vec<(String, String)> = (0..count)
        .map(|n| (format!("{n:03}.txt"), format!("Text {n} tells of knots. ").repeat(1 + n % 9)))
        .collect();
    files.push(("long.txt".into(), (0..1_000).map(|n| format!("Line {n} of a long text.\n")).collect()));
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    Place::with(&files)
}

#[test]
fn a_device_is_fed_full_launches_one_at_a_time_and_gives_the_same_vectors() {
    let (here, there) = (documents(60), documents(60));
    let local = here.run(&here.plain());
    let device = Simulated::start(Duration::from_millis(250));
    let report = there.run_on(device.embedding(), &there.plain());
    assert!(report.is_well(), "{report:?}");
    assert_eq!((report.files, report.run.tokens), (local.files, local.run.tokens));
    assert_eq!(vectors(&here.db()), vectors(&there.db()), "bit for bit");
    check_agrees(&there.db(), 61);
    let launches = device.launches.lock().expect("no panic");
    assert!(launches.iter().all(|launch| launch.tokens <= TOKENS_MAX && launch.in_flight == 1));
    assert!(launches.iter().all(|launch| launch.thread == launches[0].thread));
    // Documents that came while it computed went together: a launch each would be more than sixty.
    assert!(launches.len() <= 15, "{} launches", launches.len());
}

#[test]
fn a_launch_that_fails_fails_only_its_files() {
    let place = documents(20);
    std::fs::write(place.files().join("guilty.txt"), "word").expect("a file");
    let device = Simulated::start(Duration::from_millis(5));
    let report = place.run_on(device.embedding(), &place.plain());
    assert_eq!((report.files.indexed, report.files.failed), (21, 1), "{report:?}");
    let entry = place.entry("guilty.txt");
    assert_eq!((entry.state, entry.kind), (State::Failed, Some(FailureKind::Embed)));
    assert!(entry.message.is_some_and(|why| why.contains("the launch failed")));
    check_agrees(&place.db(), 21);
}

/// A run on a device that is stopped loses nothing: the next, on cores, does the rest.
fn check_stopped(stop: impl Fn(&RunControls), ended: RunEnded) {
    let place = documents(600);
    let store = Store::create(&place.db(), &configuration()).expect("a store");
    let device = Simulated::start(Duration::from_millis(20));
    let report = runtime().block_on(async {
        let run = Run::start(store, device.embedding(), &place.plain()).expect("it starts");
        let controls = run.controls();
        while controls.progress().counts.tokens == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        stop(&controls);
        run.join().await.expect("it ends")
    });
    assert_eq!(report.ended, ended, "{report:?}");
    assert_eq!(report.files.failed, 0, "{report:?}");
    let report = place.run(&place.plain());
    assert_eq!((report.files.indexed, report.files.pending), (601, 0), "{report:?}");
    check_agrees(&place.db(), 601);
}

#[test]
fn a_device_is_drained() {
    check_stopped(RunControls::drain, RunEnded::Drained);
}

#[test]
fn a_device_is_cancelled() {
    check_stopped(RunControls::cancel, RunEnded::Cancelled);
}
