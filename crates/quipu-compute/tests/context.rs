//! Contexts and macros, used from outside as any other crate would: whatever a macro says is resolved in this crate.
#![allow(clippy::unwrap_used)]

mod support;

use quipu_compute::validation::{self, SizeClass};
use quipu_compute::{ComputeContext, ComputeError, compute_large, compute_medium, compute_small};
use std::sync::{Arc, Barrier};
use std::time::Duration;
use support::pool;
use tokio::runtime::Builder;

/// The name of the pool's thread that this thread's context leads to.
fn computed_on() -> Result<String, ComputeError> {
    let context = ComputeContext::current()?;
    context.pool().execute(|| std::thread::current().name().unwrap_or_default().to_owned()).wait()
}

#[test]
fn every_tokio_worker_has_the_context() {
    let context = ComputeContext::new(pool(1));
    let runtime = context.install(&mut Builder::new_multi_thread()).worker_threads(3).build().unwrap();
    runtime.block_on(async {
        let meet = Arc::new(Barrier::new(3));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let meet = meet.clone();
                tokio::spawn(async move {
                    // All three workers at once, so each is asked.
                    meet.wait();
                    assert_eq!(compute_large!(1 + 1).await.unwrap(), 2);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let blocking = tokio::task::spawn_blocking(computed_on).await.unwrap();
        assert!(blocking.unwrap().starts_with("quipu-compute-"));
    });
}

#[test]
fn the_block_on_thread_has_it_by_a_guard() {
    let (outer, inner) = (ComputeContext::new(pool(1)), ComputeContext::new(pool(2)));
    let runtime = Builder::new_current_thread().build().unwrap();
    let guard = outer.enter();
    assert_eq!(runtime.block_on(async { compute_medium!(3).await }).unwrap(), 3);
    let nested = inner.enter();
    assert_eq!(ComputeContext::current().unwrap().pool().num_threads(), 2);
    drop(nested);
    assert_eq!(ComputeContext::current().unwrap().pool().num_threads(), 1);
    drop(guard);
    assert!(matches!(ComputeContext::current(), Err(ComputeError::NoContext)));
}

#[tokio::test]
async fn pool_threads_have_it_and_keep_no_pool_alive() {
    let pool = pool(2);
    let inner = pool.execute(|| ComputeContext::current().unwrap().pool().num_threads());
    assert_eq!(inner.await.unwrap(), 2);
    assert_eq!(pool.execute(|| compute_large!(borrow: 5).unwrap()).await.unwrap(), 5);
}

#[tokio::test]
async fn without_a_context_the_error_names_the_fix() {
    let error = compute_large!(1).await.unwrap_err();
    assert!(matches!(error, ComputeError::NoContext));
    let text = error.to_string();
    assert!(text.contains("ComputeContext::install") && text.contains("ComputeContext::enter"), "{text}");
    assert!(matches!(compute_medium!(borrow: 1), Err(ComputeError::NoContext)));
}

#[tokio::test]
async fn awaited_forms_move() {
    let pool = pool(1);
    let words = ["knot".to_owned()];
    assert_eq!(compute_large!(&pool => words.len()).await.unwrap(), 1);
    let words = ["cord".to_owned()];
    let _guard = ComputeContext::new(pool).enter();
    assert_eq!(
        compute_medium!({
            let first = &words[0];
            first.len()
        })
        .await
        .unwrap(),
        4
    );
    let lost = compute_large!(panic!("awaited")).await;
    assert!(matches!(lost, Err::<(), _>(ComputeError::Panicked(_))));
}

#[test]
fn borrowing_forms_borrow() {
    let _guard = ComputeContext::new(pool(1)).enter();
    let mut words = vec!["knot", "cord"];
    compute_large!(borrow: words.sort_unstable()).unwrap();
    assert_eq!(compute_medium!(borrow: words[0].len()).unwrap(), 4);
    assert_eq!(words, ["cord", "knot"]);
}

#[test]
fn borrowing_forms_refuse_to_block_a_tokio_thread() {
    let context = ComputeContext::new(pool(1));
    let runtime = context.install(&mut Builder::new_multi_thread()).worker_threads(1).build().unwrap();
    let refused = runtime.block_on(async { tokio::spawn(async { compute_large!(borrow: 1) }).await });
    let panic = refused.unwrap_err().into_panic();
    assert!(quipu_compute::panic_message(&*panic).contains("Cannot block the current thread"));
    // Where Tokio lets a thread block, so do they.
    let allowed = runtime.block_on(async { tokio::task::spawn_blocking(|| compute_large!(borrow: 1)).await });
    assert_eq!(allowed.unwrap().unwrap(), 1);
}

#[test]
fn small_work_runs_where_it_stands() {
    fn first(words: &[String]) -> Option<usize> {
        let name = std::thread::current().name().map(str::to_owned);
        let length = compute_small!(words.first()?.len());
        assert_eq!(compute_small!(std::thread::current().name().map(str::to_owned)), name);
        Some(length)
    }
    assert_eq!((first(&[]), first(&["knot".to_owned()])), (None, Some(4)));
}

#[tokio::test]
async fn validation_counts_misclassified_work_in_a_crate_downstream() {
    let pool = pool(1);
    let sleep = |micros| std::thread::sleep(Duration::from_micros(micros));
    let count = |declared| {
        [SizeClass::Small, SizeClass::Medium, SizeClass::Large]
            .map(|measured| validation::count(declared, measured))
    };
    compute_large!(&pool => ()).await.unwrap();
    assert_eq!(count(SizeClass::Large), [0; 3], "off by default");
    validation::enable(true);
    compute_small!(sleep(2000));
    compute_medium!(&pool => sleep(2000)).await.unwrap();
    compute_large!(&pool => ()).await.unwrap();
    compute_large!(&pool => sleep(2000)).await.unwrap();
    validation::enable(false);
    // Other tests of this binary may count meanwhile, so these are least counts.
    assert!(count(SizeClass::Small)[2] >= 1);
    assert!(count(SizeClass::Medium)[2] >= 1);
    assert!(count(SizeClass::Large)[0] >= 1 && count(SizeClass::Large)[2] >= 1);
    assert!(validation::misclassified() >= 3);
}
