//! One contestant in a process of its own, so that allocators, thread pools and crashes stay its own: reads requests
//! from standard input until it ends, answers on standard output.

use std::io::{BufRead, Write};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use quipu_embed::{TokenIds, plan_batches};

use crate::arguments::Places;
use crate::clock;
use crate::contestants::{Contestant, Engine, Library, is_library, load};
use crate::protocol::{Cosines, Pass, Reply, Request};
use crate::texts::{Profile, QUERY, Reference, mixed};

pub(crate) fn serve(name: &str, places: &Places) -> anyhow::Result<()> {
    if is_library(name) {
        on_two_cores();
    }
    let mut contestant = match first_vector(name, places) {
        Ok(contestant) => contestant,
        Err(error) => return say(&Reply::Failed(format!("{error:#}"))),
    };
    say(&Reply::Ready)?;
    for line in std::io::stdin().lock().lines() {
        let request = serde_json::from_str(&line?)?;
        say(&answer(&mut contestant, request).unwrap_or_else(|error| Reply::Failed(format!("{error:#}"))))?;
    }
    Ok(())
}

/// On a machine with more, libraries that use all they have would be compared with two threads.
fn on_two_cores() {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        let Ok(all) = sched_getaffinity(None) else { return };
        let mut two = CpuSet::new();
        let allowed = (0..CpuSet::MAX_CPU).filter(|&core| all.is_set(core));
        allowed.take(2).for_each(|core| two.set(core));
        // Refused, it stays as it was: on two cores that is the same.
        let _ = sched_setaffinity(None, &two);
    }
}

fn say(reply: &Reply) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(reply)?)?;
    Ok(out.flush()?)
}

fn first_vector(name: &str, places: &Places) -> anyhow::Result<Contestant> {
    let mut contestant = load(name, places)?;
    match &mut contestant {
        Contestant::Engine(engine) => drop(query(engine.as_mut())?),
        Contestant::Library(library) => drop(library.embed(&[QUERY.to_owned()])?),
    }
    Ok(contestant)
}

fn answer(contestant: &mut Contestant, request: Request) -> anyhow::Result<Reply> {
    Ok(match (request, contestant) {
        (Request::Memory, _) => Reply::Memory(peak_bytes()),
        (Request::Pass { profile, tokens, budget, threads }, Contestant::Engine(engine)) => {
            Reply::Passed(pass(engine.as_mut(), profile, tokens, budget, threads)?)
        }
        (Request::Query { repetitions }, Contestant::Engine(engine)) => {
            let times: anyhow::Result<Vec<Duration>> =
                (0..repetitions).map(|_| query(engine.as_mut())).collect();
            let mut times = times?;
            times.sort_unstable();
            Reply::Query(times.get(times.len() / 2).context("no repetition")?.as_secs_f64())
        }
        (Request::Cosines { budget }, contestant) => Reply::Cosines(cosines(contestant, budget)?),
        (Request::Mixed { texts }, Contestant::Library(library)) => {
            Reply::Passed(pass_mixed(library.as_mut(), texts)?)
        }
        (Request::Pass { .. } | Request::Query { .. } | Request::Mixed { .. }, _) => {
            bail!("it does not work that way")
        }
    })
}

/// From words to vector.
fn query(engine: &mut dyn Engine) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let sequence = engine.tokenizer().encode(QUERY);
    let mut vector = vec![0.0; engine.dimensions()];
    engine.embed(&[sequence], &mut vector)?;
    Ok(start.elapsed())
}

fn pass(
    engine: &mut dyn Engine,
    profile: Profile,
    tokens: usize,
    budget: usize,
    threads: usize,
) -> anyhow::Result<Pass> {
    let sequences = profile.sequences(engine.tokenizer(), tokens);
    let tokens = sequences.iter().map(TokenIds::len).sum();
    let batches = batches(&sequences, budget);
    let longest = |batch: &Vec<(usize, TokenIds)>| batch.iter().map(|(_, ids)| ids.len()).max().unwrap_or(0);
    let computed = match engine.pads() {
        true => batches.iter().map(|batch| longest(batch) * batch.len()).sum(),
        false => tokens,
    };
    let batches: Vec<Vec<TokenIds>> =
        batches.into_iter().map(|batch| batch.into_iter().map(|(_, ids)| ids).collect()).collect();
    let (start, cpu_s) = if threads == 1 {
        let (start, cpu) = (Instant::now(), clock::process());
        embed_all(engine, &batches)?;
        (start, vec![(clock::process() - cpu).as_secs_f64()])
    } else {
        on_threads(engine, &batches, threads)?
    };
    Ok(Pass { tokens, computed, wall_s: start.elapsed().as_secs_f64(), cpu_s })
}

/// Batches of sequences with their places, longest first, so that padding is least.
fn batches(sequences: &[TokenIds], budget: usize) -> Vec<Vec<(usize, TokenIds)>> {
    let lengths: Vec<usize> = sequences.iter().map(TokenIds::len).collect();
    let with_place = |index: usize| (index, sequences[index].clone());
    plan_batches(&lengths, budget)
        .into_iter()
        .map(|batch| batch.into_iter().map(with_place).collect())
        .collect()
}

fn embed_all(engine: &mut dyn Engine, batches: &[Vec<TokenIds>]) -> anyhow::Result<()> {
    for batch in batches {
        let mut vectors = vec![0.0; batch.len() * engine.dimensions()];
        engine.embed(batch, &mut vectors)?;
        std::hint::black_box(&vectors);
    }
    Ok(())
}

/// Each thread embeds all batches, on the same weights; when they started, and the CPU time of each.
fn on_threads(
    engine: &dyn Engine,
    batches: &[Vec<TokenIds>],
    threads: usize,
) -> anyhow::Result<(Instant, Vec<f64>)> {
    let engines: Option<Vec<_>> = (0..threads).map(|_| engine.second()).collect();
    let engines = engines.context("its weights are not shared between threads")?;
    let (gate, start) = (Barrier::new(threads), Instant::now());
    let work = |mut engine: Box<dyn Engine>| -> anyhow::Result<f64> {
        gate.wait();
        let start = clock::thread();
        embed_all(engine.as_mut(), batches)?;
        Ok((clock::thread() - start).as_secs_f64())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = engines.into_iter().map(|engine| scope.spawn(|| work(engine))).collect();
        let times = threads.into_iter().map(|thread| thread.join().expect("an engine does not panic"));
        Ok((start, times.collect::<anyhow::Result<_>>()?))
    })
}

fn pass_mixed(library: &mut dyn Library, texts: usize) -> anyhow::Result<Pass> {
    let texts = mixed(library.tokenizer(), texts);
    let tokens = texts.iter().map(|text| library.tokenizer().encode(text).len()).sum();
    let (start, cpu) = (Instant::now(), clock::process());
    std::hint::black_box(library.embed(&texts)?);
    let (wall_s, cpu_s) = (start.elapsed().as_secs_f64(), (clock::process() - cpu).as_secs_f64());
    Ok(Pass { tokens, computed: 0, wall_s, cpu_s: vec![cpu_s] })
}

/// In batches, as when it is measured: padding must not show in a vector.
fn cosines(contestant: &mut Contestant, budget: usize) -> anyhow::Result<Cosines> {
    let reference = Reference::read()?;
    let texts = reference.texts();
    let vectors = match contestant {
        Contestant::Library(library) => library.embed(&texts)?,
        Contestant::Engine(engine) => {
            let sequences: Vec<TokenIds> = texts.iter().map(|text| engine.tokenizer().encode(text)).collect();
            let dimensions = engine.dimensions();
            let mut all = vec![0.0; sequences.len() * dimensions];
            for batch in batches(&sequences, budget) {
                let (places, batch): (Vec<usize>, Vec<TokenIds>) = batch.into_iter().unzip();
                let mut vectors = vec![0.0; batch.len() * dimensions];
                engine.embed(&batch, &mut vectors)?;
                for (place, vector) in places.into_iter().zip(vectors.chunks_exact(dimensions)) {
                    all[place * dimensions..][..dimensions].copy_from_slice(vector);
                }
            }
            all
        }
    };
    let (mean, min) = reference.cosines(&vectors);
    Ok(Cosines { mean, min })
}

/// The most that this process ever had in memory, as Linux counts it.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok().map(|kilobytes: u64| kilobytes * 1024)
}
