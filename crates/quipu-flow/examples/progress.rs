//! Looks into a run that would never end, pauses it, lets it go on, and drains it.
use quipu_flow::{Controls, Flow, RunError};

async fn after(millis: u64, number: u64) -> Result<u64, RunError> {
    tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
    Ok(number)
}

#[tokio::main]
async fn main() -> Result<(), RunError> {
    let fetched = Flow::from_iter(0..).io(|number| after(2, number)).named("fetch").limit(16);
    let squares = fetched.map(|number| number * number).named("square");
    let store = squares.sink(async |square| after(5, square).await.map(drop)).named("store");
    let run = store.in_flight(40).start()?;
    for turn in [Controls::pause, Controls::resume, Controls::drain] {
        after(100, 0).await?;
        println!("{}", run.progress());
        turn(&run.controls());
    }
    println!("{}", run.join().await?);
    Ok(())
}
