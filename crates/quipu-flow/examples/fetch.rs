//! Fetches pages as the world is: some fail at first, some for ever, some never answer. None is lost.
use quipu_flow::{Failed, Flow, OnError, RunError};
use std::{sync::atomic, time::Duration};

async fn fetch(page: &'static str) -> Result<String, &'static str> {
    static CALLS: atomic::AtomicU32 = atomic::AtomicU32::new(0);
    match page {
        "/gone" => Err("404"),
        "/silent" => std::future::pending().await,
        "/flaky" if CALLS.fetch_add(1, atomic::Ordering::Relaxed) < 2 => Err("connection reset"),
        page => Ok(format!("<h1>{page}</h1>")),
    }
}

#[tokio::main]
async fn main() -> Result<(), RunError> {
    let lost = async |failed: Failed| {
        println!("lost: {failed}; {} tries", failed.attempts);
        Ok::<(), String>(())
    };
    let flow = Flow::from_iter(["/", "/flaky", "/gone", "/silent"]).key(|page| *page);
    let fetched =
        flow.io(fetch).timeout(Duration::from_millis(20)).retry(3).backoff(Duration::from_millis(5));
    let report =
        fetched.on_error(OnError::dead_letter(lost)).for_each(|page| println!("got:  {page}")).run().await?;
    println!("{} delivered, {} dead letters", report.ends.delivered, report.ends.dead_lettered);
    Ok(())
}
