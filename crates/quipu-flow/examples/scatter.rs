//! Documents are taken apart, their sentences worked on in batches across documents, and put together again in order.
use quipu_flow::{Batch, Flow, RunError};

const DOCUMENTS: [(&str, &str); 3] = [
    ("knots", "A bowline holds. It never slips. It unties by hand."),
    ("cords", "Cotton is soft. Llama wool is warm."),
    ("dyes", "Indigo is blue."),
];

fn lengths(sentences: Vec<&'static str>) -> Vec<usize> {
    println!("a batch of {}: {sentences:?}", sentences.len());
    sentences.into_iter().map(str::len).collect()
}

#[tokio::main]
async fn main() -> Result<(), RunError> {
    let report = Flow::from_iter(DOCUMENTS)
        .scatter(
            |(name, text)| (name, text.split_inclusive(". ")),
            |sentences| sentences.map_batch(Batch::items(4), lengths),
            |name, lengths| format!("{name}: {lengths:?}"),
        )
        .for_each(|document| println!("{document}"))
        .ordered()
        .run()
        .await?;
    println!("{} items born, {} of them parts that were gathered", report.births, report.ends.gathered);
    Ok(())
}
