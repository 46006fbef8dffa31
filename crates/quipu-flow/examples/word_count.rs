//! Counts the words of a text: they are cut and cleaned on every core, one fold adds them up.
use quipu_flow::Flow;
use std::collections::BTreeMap;

#[tokio::main]
async fn main() -> Result<(), quipu_flow::RunError> {
    let report = Flow::from_iter(include_str!("../../../ARCHITECTURE.md").lines())
        .flat_map(|line| line.split_whitespace())
        .map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase())
        .filter(|word| word.len() > 4)
        .fold(BTreeMap::new(), |counts, word| *counts.entry(word).or_insert(0) += 1)
        .for_each(|counts| {
            let mut counts: Vec<_> = counts.into_iter().collect();
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            counts.iter().take(8).for_each(|(word, count)| println!("{count:>4}  {word}"));
        })
        .run()
        .await?;
    println!("\n{report}");
    Ok(())
}
