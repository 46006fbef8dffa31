//! What is refused before anything runs: graphs that could not be held to the laws, and limits of nought.
//!
//! Some things cannot even be written. A `Flow` is taken by value and is no `Clone`, so it cannot be joined with itself
//! (`self_join`); a stream ends its flow, so a flow cannot have two (`two_streams`); `on_ack` stands on sources alone,
//! and what a fold takes in is acknowledged then (`ack_through_fold_output`). That they do not compile is shown where
//! their reader looks for it: at `Flow::zip`, `Flow::stream` and `Flow::on_ack`. The tests with these names show what can
//! be written instead.

use crate::{Store, everywhere};
use quipu_flow::{Batch, Flow, Pipeline, Reduce, RunError, stage};
use std::time::Duration;

fn source() -> Flow<u64> {
    Flow::from_iter((0..9u64).inspect(|_| panic!("it runs")))
}

fn other() -> Flow<u64> {
    source().named("other")
}

async fn sink(_: u64) -> Result<(), String> {
    Ok(())
}

type Build = Box<dyn Fn() -> Pipeline>;

/// Checks that a pipeline is refused, that nothing of it runs, and that the error names the stage.
fn refused(pipeline: impl Fn() -> Pipeline, stage: &str) {
    everywhere(async |pool| {
        let end = pipeline().on(&pool).run().await;
        match end {
            Err(RunError::Refused { stage: named, why }) => assert_eq!(named, stage, "{why}"),
            other => panic!("{stage}: {other:?}"),
        }
    });
}

/// The same within one sub-flow over an item's parts.
fn refused_in_scatter<S, W>(body: impl Fn(Flow<u64, stage::Entry>) -> Flow<u64, S, W>, stage: &str)
where
    W: quipu_flow::Weighing<u64>,
{
    refused(|| source().scatter(|n| (n, [n]), &body, |n, _| n).sink(sink), stage);
}

#[test]
fn barrier_branch_meets_sibling() {
    // x − mean(x): the mean is known when every x has gone by, and would have to wait for the x that waits for it.
    let mean = || {
        let flow = source().fork_zip(|x| x.map(|x| x), |x| x.fold(0, |sum, x| *sum += x).named("mean"));
        flow.map(|(x, mean)| x - mean).sink(sink)
    };
    refused(mean, "mean");
    let batches =
        || source().fork_zip(|x| x.map(|x| x), |x| x.batch(Batch::items(2))).map(|(x, _)| x).sink(sink);
    refused(batches, "batch");
    let groups = || {
        let reduce = Reduce::new(|| 0, |sum, n| *sum += n, Some);
        source()
            .fork_zip(|x| x.map(|x| x), |x| x.group(|n| [n], |n| n, reduce))
            .map(|(x, _): (u64, u64)| x)
            .sink(sink)
    };
    refused(groups, "group");
    // What makes several of one has no single partner.
    refused(
        || source().fork_zip(|x| x.flat_map(|x| [x]), |x| x.map(|x| x)).map(|(x, _)| x).sink(sink),
        "flat_map",
    );
    // In branches that only meet again, each is an item of its own, and nobody waits.
    everywhere(async |pool| {
        let store = Store::new();
        let flow = Flow::from_iter(0..4u64).fork(|x| x.map(|x| x), |x| x.fold(100, |sum, x| *sum += x));
        flow.sink(store.put()).in_flight(1).on(&pool).run().await.unwrap();
        assert_eq!(store.sorted(), [0, 1, 2, 3, 106]);
    });
}

#[test]
fn another_flow_in_a_paired_branch() {
    // A clone that is paired with an outside item, or mixed with some, is no more the partner of its sibling.
    let zip =
        || source().fork_zip(|x| x.zip(other()).map(|(x, _)| x), |x| x.map(|x| x)).map(|(x, _)| x).sink(sink);
    refused(zip, "other");
    let concat = || source().fork_zip(|x| x.concat(other()), |x| x.map(|x| x)).map(|(x, _)| x).sink(sink);
    refused(concat, "other");
    let merge = || source().fork_zip(|x| x.merge(other()), |x| x.map(|x| x)).map(|(x, _)| x).sink(sink);
    refused(merge, "other");
}

#[test]
fn another_flow_in_a_sub_flow() {
    refused_in_scatter(|parts| parts.zip(other()).map(|(part, _)| part), "other");
    refused_in_scatter(|parts| parts.concat(other()), "other");
    refused_in_scatter(|parts| parts.merge(other()), "other");
}

#[test]
fn another_flow_in_a_group() {
    let reduce = || Reduce::new(|| 0, |sum, n: u64| *sum += n, Some);
    refused(|| source().group(|n| [n], |n| n.zip(other()).map(|(n, _)| n), reduce()).sink(sink), "other");
    refused(|| source().group(|n| [n], |n| n.merge(other()), reduce()).sink(sink), "other");
    // A fold takes in the members of all groups, and what it gives out is of none of them.
    refused(|| source().group(|n| [n], |n| n.fold(0, |sum, n| *sum += n), reduce()).sink(sink), "fold");
}

#[test]
fn a_joined_flow_in_one_of_several_branches() {
    // Its items are numbered anew, so they have no place among their siblings'.
    let fork = || {
        source()
            .fork(|a| a.zip(other()).map(|(a, _)| a).named("pairs"), |b| b.map(|n| n).named("plain"))
            .sink(sink)
    };
    refused(fork, "plain");
}

#[test]
fn a_branch_that_ignores_what_it_was_given() {
    // The other branch would wait for a place in the order that is nobody's; and which flow is it a branch of?
    refused(|| source().fork(|_| other(), |b| b.map(|n| n)).sink(sink), "fork");
    refused(|| source().fork(|a| a.map(|n| n), |_| other().map(|n| n)).sink(sink), "fork");
    refused(|| source().fork(|_| other(), |_| other()).named("both").sink(sink), "both");
    refused(|| source().fork_zip(|_| other(), |b| b.map(|n| n)).map(|(a, _)| a).sink(sink), "fork");
    refused(|| source().broadcast(3, |_, _| other()).sink(sink), "fork");
    let last = |branch, items: stage::Branch<u64>| {
        if branch < 2 { items.map(|n| n) } else { other().map(|n| n) }
    };
    refused(move || source().broadcast(3, last).sink(sink), "fork");
    refused(move || source().route(3, |n| *n as usize % 3, last).sink(sink), "route");
    refused(|| source().route_if(|n| *n > 3, |_| other(), |no| no).sink(sink), "route");
}

#[test]
fn a_branch_that_another_flow_takes_in() {
    // Its nodes are numbered anew there. Said the other way round, with the given flow first, it is lawful.
    refused(|| source().fork(|a| other().merge(a), |b| b).sink(sink), "fork");
    refused(|| source().scatter(|n| (n, [n]), |parts| other().merge(parts), |n, _| n).sink(sink), "scatter");
    everywhere(async |pool| {
        let store = Store::new();
        let three = || Flow::from_iter(0..3u64);
        let flow = three().fork(|a| a.merge(Flow::from_iter(10..12)), |b| b.map(|n| n + 100));
        flow.sink(store.put()).on(&pool).run().await.unwrap();
        assert_eq!(store.sorted(), [0, 1, 2, 10, 11, 100, 101, 102]);
    });
}

#[test]
fn a_sub_flow_that_ignores_what_it_was_given() {
    refused(|| source().scatter(|n| (n, [n]), |_| other(), |n, _| n).sink(sink), "scatter");
    refused(|| source().scatter(|n| (n, [n]), |_| other().map(|n| n), |n, _| n).sink(sink), "scatter");
    refused(|| source().scatter_partial(|n| (n, [n]), |_| other(), |n, _| n).sink(sink), "scatter");
    let reduce = || Reduce::new(|| 0, |sum, n: u64| *sum += n, Some);
    refused(move || source().group(|n| [n], |_| other(), reduce()).sink(sink), "group");
    // Inside of another one as well.
    let inner = |parts: Flow<u64, stage::Entry>| parts.scatter(|n| (n, [n]), |_| other(), |n, _| n);
    refused(move || source().scatter(|n| (n, [n]), inner, |n, _| n).sink(sink), "scatter");
}

#[test]
fn what_is_kept_beyond_its_closure() {
    // A second branch that goes on with what the first was given leaves items of the second nowhere to go.
    let swapped = || {
        let kept = std::cell::Cell::new(None);
        let first = |a| {
            kept.set(Some(a));
            other()
        };
        source().fork(first, |_| kept.take().unwrap().map(|n: u64| n)).sink(sink)
    };
    refused(swapped, "fork");
    // And nothing puts the items together again of which the parts have left.
    let branch = || {
        let mut kept = None;
        let keep = |no| {
            kept = Some(no);
            other()
        };
        drop(source().route_if(|n| *n > 3, |yes| yes, keep));
        kept.unwrap().sink(sink)
    };
    refused(branch, "route");
    let parts = || {
        let mut kept = None;
        let keep = |parts| {
            kept = Some(parts);
            other()
        };
        drop(source().scatter(|n| (n, [n]), keep, |n, _| n));
        kept.unwrap().sink(sink)
    };
    refused(parts, "scatter");
}

#[test]
fn self_join() {
    // The nearest that compiles: both sides are made of one flow by a fork. That pairs by ancestry, as it should.
    everywhere(async |pool| {
        let store = Store::new();
        let flow = Flow::from_iter(0..5u64).fork_zip(|a| a.map(|n| n), |b| b.map(|n| n));
        flow.sink(store.put()).on(&pool).run().await.unwrap();
        assert_eq!(store.sorted(), (0..5).map(|n| (n, n)).collect::<Vec<_>>());
    });
}

#[test]
fn two_streams() {
    // A stream is the only end of its flow; what else is to be told of an item goes with it, or through an inspect.
    everywhere(async |pool| {
        let seen = Store::new();
        let tell = seen.clone();
        let flow = Flow::from_iter(0..5u64).inspect(move |n| tell.0.lock().unwrap().push(*n));
        let stream = flow.stream().ordered().with(|pipeline| pipeline.on(&pool)).start().unwrap();
        let found: Vec<u64> = futures_util::StreamExt::collect(stream).await;
        assert_eq!((found, seen.sorted()), ((0..5).collect(), (0..5).collect()));
    });
}

#[test]
fn ack_through_fold_output() {
    // What a fold takes in is acknowledged then, not when its output is delivered: even if that never is.
    everywhere(async |pool| {
        let acknowledged = Store::new();
        let ack = acknowledged.clone();
        let end = Flow::from_iter(0..5u64)
            .on_ack(|n| *n, move |n| ack.0.lock().unwrap().push(n))
            .fold(0, |sum, n| *sum += n)
            .sink(async |_| Err::<(), _>("refused"))
            .on(&pool)
            .run()
            .await;
        assert!(matches!(end, Err(RunError::Failed { .. })));
        assert_eq!(acknowledged.sorted(), (0..5).collect::<Vec<_>>());
    });
}

#[test]
fn batch_in_a_sub_flow() {
    refused_in_scatter(|parts| parts.batch(Batch::items(2)).map(|parts| parts[0]), "batch");
    // Inside another sub-flow's branch it is inside, too.
    refused_in_scatter(|parts| parts.fork(|a| a, |b| b.batch(Batch::items(2)).flat_map(|b| b)), "batch");
}

#[test]
fn fold_in_a_sub_flow() {
    refused_in_scatter(|parts| parts.fold(0, |sum, part| *sum += part), "fold");
}

#[test]
fn group_in_a_sub_flow() {
    let reduce = || Reduce::new(|| 0, |sum, n: u64| *sum += n, Some);
    refused_in_scatter(move |parts| parts.group(|n| [n], |n| n, reduce()), "group");
}

#[test]
fn ordered_with_parallel_sink() {
    refused(|| source().sink(sink).ordered().limit(3), "sink");
    refused(|| source().sink(sink).limit(3).ordered(), "sink");
    refused(|| source().for_each(drop).limit(3), "sink");
    refused(|| source().for_each(drop).rate(3, Duration::from_secs(1)), "sink");
}

#[test]
fn counts_of_nought() {
    let io = async |n: u64| Ok::<u64, String>(n);
    let device = |size| source().device(size, || Ok::<_, String>(()), |(), batch: Vec<u64>| batch);
    let cases: Vec<(&str, Build)> = vec![
        ("limit", Box::new(move || source().io(io).limit(0).sink(sink))),
        ("limit", Box::new(|| source().sink(sink).limit(0))),
        ("rate", Box::new(move || source().io(io).rate(0, Duration::from_secs(1)).sink(sink))),
        ("rate's period", Box::new(move || source().io(io).rate(1, Duration::ZERO).sink(sink))),
        ("rate", Box::new(|| source().sink(sink).rate(0, Duration::from_secs(1)))),
        ("timeout", Box::new(move || source().io(io).timeout(Duration::ZERO).sink(sink))),
        ("batch", Box::new(|| source().batch(Batch::items(0)).map(|_| 0).sink(sink))),
        ("batch", Box::new(|| source().batch(Batch::bytes(0)).map(|_| 0).sink(sink))),
        ("batch", Box::new(|| source().map_batch(Batch::weight(0, |_| 1), |batch| batch).sink(sink))),
        ("batch", Box::new(move || device(Batch::items(0)).sink(sink))),
        ("batch's delay", Box::new(move || device(Batch::items(1).within(Duration::ZERO)).sink(sink))),
        ("branches", Box::new(|| source().broadcast(0, |_, items| items).sink(sink))),
        ("branches", Box::new(|| source().route(0, |_| 0, |_, items| items).sink(sink))),
        ("unacknowledged", Box::new(|| source().unacknowledged(0).sink(sink))),
        ("priority", Box::new(|| source().map(|n| n).priority(0).sink(sink))),
        ("priority", Box::new(|| source().map(|n| n).priority(0).map(|n| n).sink(sink))),
        ("in_flight", Box::new(|| source().sink(sink).in_flight(0))),
        // In a sub-flow as anywhere.
        (
            "limit",
            Box::new(move || source().scatter(|n| (n, [n]), |n| n.io(io).limit(0), |n, _| n).sink(sink)),
        ),
    ];
    for (expected, pipeline) in cases {
        everywhere(async |pool| {
            let end = pipeline().on(&pool).run().await;
            let is_expected = matches!(&end, Err(RunError::ZeroLimit { what, .. }) if *what == expected);
            assert!(is_expected, "{expected}: {end:?}");
        });
    }
}

#[test]
fn a_budget_of_nought_bytes_is_lawful() {
    everywhere(async |pool| {
        let flow = Flow::from_iter(0..5u64).map(|n| n).flat_map(|n| [n; 3]);
        let report = flow.sink(sink).memory(0).on(&pool).run().await.unwrap();
        assert_eq!(report.ends.delivered, 15);
    });
}
