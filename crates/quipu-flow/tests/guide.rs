//! The code of `docs/engine.md`. The guide shows the body of each test here up to its first empty line; the last test
//! holds it to that, and to what the engine prints.

#![allow(clippy::unwrap_used)]

use futures_util::StreamExt;
use quipu_compute::{ComputeConfig, ComputePool};
use quipu_flow::{Batch, Controls, Failed, Flow, OnError, Reduce, RunError, Weigh};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;

const PATHS: [&str; 3] = ["a", "b", "c"];

type Answer<T> = Result<T, std::io::Error>;

async fn read(path: &'static str) -> Answer<String> {
    tokio::task::yield_now().await;
    Ok(format!("{path} knot and {path} cord"))
}

async fn fetch(page: u32) -> Answer<String> {
    tokio::task::yield_now().await;
    Ok(format!("page {page}"))
}

async fn store<T>(_item: T) -> Answer<()> {
    tokio::task::yield_now().await;
    Ok(())
}

fn parse(text: &str) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

fn embed(sentences: Vec<&'static str>) -> Vec<f32> {
    sentences.into_iter().map(|sentence| sentence.len() as f32).collect()
}

#[tokio::test]
async fn five_lines() -> Result<(), RunError> {
    let counting = Flow::from_iter(PATHS)
        .io(read)
        .map(|text| text.split_whitespace().count())
        .for_each(|words| println!("{words} words"));
    let report = counting.run().await?;

    assert_eq!(report.ends.delivered, 3);
    Ok(())
}

#[tokio::test]
async fn a_type_says_what_it_weighs() -> Result<(), RunError> {
    struct Page {
        number: u64,
        text: String,
    }
    impl Weigh for Page {
        fn heap_bytes(&self) -> usize {
            self.text.heap_bytes()
        }
    }
    let pages = Flow::from_iter(1..=3).map(|number| Page { number, text: "a knot ".repeat(100) });

    let pages = pages.for_each(|page| assert!(page.number > 0 && page.weight() >= 700));
    assert_eq!(pages.run().await?.ends.delivered, 3);
    Ok(())
}

#[tokio::test]
async fn a_function_says_what_it_weighs() -> Result<(), RunError> {
    let bodies = Flow::from_iter(PATHS)
        .io(async |path| read(path).await.map(String::into_boxed_str))
        .output_at_most(|_path| 1 << 10)
        .weigh(|body| body.len());

    assert_eq!(bodies.for_each(drop).run().await?.ends.delivered, 3);
    Ok(())
}

#[tokio::test]
async fn nothing_to_spare() -> Result<(), RunError> {
    let report = Flow::from_iter(1..=3u64)
        .flat_map(|count| 0..count * 1000)
        .map(|number| vec![0u8; number as usize])
        .for_each(drop)
        .memory(0)
        .run()
        .await?;
    assert_eq!(report.ends.delivered, 6000);
    assert!(report.stalls > 0);

    Ok(())
}

#[tokio::test]
async fn in_order() -> Result<(), RunError> {
    let mut expected = 0;
    let report = Flow::from_iter(0..1000u64)
        .map(|number| number * number)
        .for_each(move |square| {
            assert_eq!(square, expected * expected);
            expected += 1;
        })
        .ordered()
        .run()
        .await?;

    assert_eq!(report.ends.delivered, 1000);
    Ok(())
}

#[tokio::test]
async fn acknowledged() -> Result<(), Box<dyn std::error::Error>> {
    let (orders, receiver) = mpsc::channel(8);
    let (acknowledge, mut acknowledged) = mpsc::channel(100);
    let run = Flow::from_channel(receiver)
        .on_ack(|order: &u64| *order, move |order| acknowledge.try_send(order).unwrap_or_default())
        .unacknowledged(100)
        .flat_map(|order| (0..3).map(move |line| (order, line)))
        .sink(store)
        .start()?;
    orders.send(7).await?;
    assert_eq!(acknowledged.recv().await, Some(7));

    run.drain();
    assert_eq!(run.join().await?.ends.delivered, 3);
    Ok(())
}

#[tokio::test]
async fn errors_have_a_policy() -> Result<(), RunError> {
    let refuse = async |failed: Failed| {
        println!("{failed}, tried {} times", failed.attempts);
        Ok::<(), String>(())
    };
    let report = Flow::from_iter(["1", "two", "3"])
        .key(|text| *text)
        .io(async |text| Ok::<_, String>(text))
        .retry(2)
        .try_map(parse)
        .on_error(OnError::dead_letter(refuse))
        .map(|number| 10 / (number - 1))
        .for_each(drop)
        .on_any_error(OnError::Skip)
        .run()
        .await?;
    let ends = report.ends;
    assert_eq!((ends.delivered, ends.skipped, ends.dead_lettered), (1, 1, 1));

    Ok(())
}

#[tokio::test]
async fn batches() -> Result<(), RunError> {
    let report = Flow::from_iter(["a knot", "three cords", "a rope"])
        .map_batch(Batch::weight(16, |text: &&str| text.len()), embed)
        .batch(Batch::items(100).within(Duration::from_secs(1)))
        .sink(async |rows: Vec<f32>| store(rows).await)
        .run()
        .await?;
    assert_eq!(report.ends.delivered, 3);

    Ok(())
}

#[tokio::test]
async fn scatter_and_gather() -> Result<(), RunError> {
    let report = Flow::from_iter([("knots", "They hold. They slip."), ("dyes", "Indigo is blue.")])
        .scatter(
            |(title, text)| (title, text.split_inclusive(". ")),
            |sentences| sentences.map_batch(Batch::items(64), embed),
            |title, vectors| (title, vectors),
        )
        .for_each(|(title, vectors)| println!("{title}: {vectors:?}"))
        .run()
        .await?;
    assert_eq!((report.births, report.ends.gathered, report.ends.delivered), (5, 3, 2));

    Ok(())
}

#[tokio::test]
async fn branches() -> Result<(), RunError> {
    let report = Flow::from_iter(["a knot", "three cords and a knot"])
        .fork_zip(|text| text.map(str::len), |text| text.map(|text| text.split(' ').count()))
        .route_if(
            |(_, words)| *words > 2,
            |long| long.map(|(letters, _)| format!("long, {letters} letters")),
            |short| short.map(|_| "short".to_string()),
        )
        .merge(Flow::from_iter(["from elsewhere".to_string()]))
        .for_each(|text| println!("{text}"))
        .run()
        .await?;

    assert_eq!(report.ends.delivered, 3);
    Ok(())
}

#[tokio::test]
async fn joined_flows() -> Result<(), RunError> {
    let prices = Flow::from_iter([("cord", 3), ("knot", 5)]);
    let report = Flow::from_iter(["knot", "cord", "knot"])
        .join_with(
            prices,
            HashMap::new(),
            |table, (name, price)| {
                table.insert(name, price);
            },
            |table, name| table[name],
        )
        .for_each(|price| assert!(price == 3 || price == 5))
        .run()
        .await?;

    assert_eq!(report.ends.delivered, 3);
    Ok(())
}

#[tokio::test]
async fn states() -> Result<(), RunError> {
    let report = Flow::from_iter(["knot", "cord", "knot"])
        .keyed(|word| *word, |_word| 0, |seen: &mut u64, word| (word, std::mem::replace(seen, *seen + 1)))
        .filter(|(_word, before)| *before == 0)
        .fold(Vec::new(), |distinct, (word, _)| distinct.push(word))
        .ordered()
        .for_each(|distinct| assert_eq!(distinct, ["knot", "cord"]))
        .run()
        .await?;

    assert_eq!((report.ends.absorbed, report.ends.delivered), (2, 1));
    Ok(())
}

#[tokio::test]
async fn groups() -> Result<(), RunError> {
    let top_two = Reduce::new(
        Vec::new,
        |scores, score| scores.push(score),
        |mut scores: Vec<u64>| {
            scores.sort_unstable_by(|a, b| b.cmp(a));
            scores.into_iter().take(2)
        },
    );
    let report = Flow::from_iter([10u64, 3, 1])
        .group(|count| 0..count, |members| members.map(|member| member * member), top_two)
        .for_each(|score| println!("{score}"))
        .ordered()
        .run()
        .await?;

    assert_eq!(report.ends.delivered, 5);
    Ok(())
}

#[tokio::test]
async fn a_limit_and_a_rate() -> Result<(), RunError> {
    let report = Flow::from_iter(1..=6)
        .io(async |page: u32| fetch(page).await)
        .limit(2)
        .rate(3, Duration::from_millis(100))
        .for_each(|text| println!("{text}"))
        .run()
        .await?;
    assert!(report.elapsed >= Duration::from_millis(100));

    assert_eq!(report.ends.delivered, 6);
    Ok(())
}

#[tokio::test]
async fn a_device() -> Result<(), RunError> {
    let load = || Ok::<_, std::io::Error>(std::rc::Rc::new("a model that must stay on its thread"));
    let report = Flow::from_iter(["a knot", "a cord"])
        .device(Batch::items(64).within(Duration::from_millis(5)), load, |_model, texts| embed(texts))
        .for_each(drop)
        .run()
        .await?;

    assert_eq!(report.ends.delivered, 2);
    Ok(())
}

#[tokio::test]
async fn a_stream() -> Result<(), RunError> {
    let squares = Flow::from_iter(1..=10u64).map(|number| number * number).stream().ordered();
    let mut squares = squares.with(|run| run.memory(1 << 20)).start()?;
    while let Some(square) = squares.next().await {
        println!("{square}");
    }
    let report = squares.close().await?;

    assert_eq!(report.ends.delivered, 10);
    Ok(())
}

#[tokio::test]
async fn a_handle() -> Result<(), RunError> {
    let run = Flow::from_iter(0u64..).sink(store).start()?;
    let controls: Controls = run.controls();
    controls.pause();
    let paused = controls.progress();
    controls.resume();
    controls.drain();
    let report = run.join().await?;
    assert_eq!(report.births, report.ends.total());

    assert!(paused.births <= report.births);
    Ok(())
}

/// The guide's graph.
fn planned() -> quipu_flow::Plan {
    let pipeline = Flow::from_iter(PATHS)
        .io(read)
        .named("read")
        .limit(8)
        .retry(3)
        .fork_zip(
            |text| text.map(|text| text.len()).filter(|letters| *letters > 0).named("not empty"),
            |text| text.map(|text| text.to_uppercase()).named("shout"),
        )
        .batch(Batch::items(100).within(Duration::from_secs(1)))
        .sink(store)
        .ordered()
        .on_error(OnError::Skip)
        .memory(64 << 20);
    println!("{}", pipeline.explain());

    pipeline.explain()
}

#[test]
fn a_run_that_a_thread_waits_for() -> Result<(), RunError> {
    let lines = Flow::from_iter(["12 7", "3 4 5"]).try_map(|line| {
        let words = Flow::from_iter(line.split(' ')).try_map(parse);
        let report = words.for_each(|number| println!("{number}")).run_blocking()?;
        Ok::<_, RunError>(report.ends.delivered)
    });
    let report =
        lines.fold(0, |sum, numbers| *sum += numbers).for_each(|sum| assert_eq!(sum, 5)).run_blocking()?;

    assert_eq!(report.ends.delivered, 1);
    Ok(())
}

#[tokio::test]
async fn a_pool_alone() -> Result<(), quipu_compute::ComputeError> {
    let pool = ComputePool::new(ComputeConfig::default().threads(2))?;
    let squares = pool.execute(|| {
        use rayon::prelude::*;
        (1..=10u64).into_par_iter().map(|number| number * number).sum::<u64>()
    });
    assert_eq!(squares.await?, 385);
    println!("{:?} in the queue, {:?} on a core", pool.metrics().wait.mean(), pool.metrics().run.mean());

    Ok(())
}

#[tokio::test]
async fn a_run_on_a_pool() -> Result<(), Box<dyn std::error::Error>> {
    let pool = ComputePool::new(ComputeConfig::default().threads(1))?;
    let report =
        Flow::from_iter(1..=100u64).map(|number| number * number).for_each(drop).on(&pool).run().await?;

    assert_eq!(report.ends.delivered, 100);
    Ok(())
}

#[test]
fn the_guide_shows_this_code_and_what_it_prints() {
    let (guide, here) = (include_str!("../../../docs/engine.md"), lines(include_str!("guide.rs")));
    let blocks = |language: &'static str| {
        let after = guide.split(&format!("```{language}\n")).skip(1).collect::<Vec<_>>();
        after.into_iter().filter_map(|rest| rest.split_once("```")).map(|(block, _)| block)
    };
    for block in blocks("rust") {
        assert!(
            here.contains(&lines(block)),
            "docs/engine.md shows what tests/guide.rs does not run:\n{block}"
        );
    }
    let plan = planned();
    for printed in [format!("```text\n{plan}```"), format!("```mermaid\n{}```", plan.mermaid())] {
        assert!(guide.contains(&printed), "docs/engine.md should show\n{printed}");
    }
}

/// The lines of a text without their margin.
fn lines(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}
