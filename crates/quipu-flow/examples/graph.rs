//! A graph with branches: prints its plan, runs it and reports. `--mermaid` or `--dot` prints the plan for a drawing.
use quipu_flow::{Batch, Flow, RunError};

#[tokio::main]
async fn main() -> Result<(), RunError> {
    let read = Flow::from_iter(["a knot", "three cords and a knot", "a rope"])
        .io(async |text: &'static str| Ok::<_, String>(text));
    let counted = read.named("read").fork_zip(
        |text| text.map(|text| text.split(' ').count()).named("count words"),
        |text| text.map_batch(Batch::items(16), |texts| texts).named("embed"),
    );
    let routed = counted.route_if(
        |(words, _)| *words > 2,
        |long| long.map(|(words, text)| format!("{text} ({words} words)")).named("describe"),
        |short| short.map(|(_, text)| text.to_uppercase()).named("shout"),
    );
    let pipeline = routed.for_each(|text| println!("{text}")).named("show").ordered().memory(64 << 20);
    let plan = pipeline.explain();
    match std::env::args().nth(1).as_deref() {
        Some("--mermaid") => print!("{}", plan.mermaid()),
        Some("--dot") => print!("{}", plan.dot()),
        _ => {
            println!("{plan}");
            println!("\n{}", pipeline.run().await?);
        }
    }
    Ok(())
}
