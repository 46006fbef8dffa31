//! Repository checks, evaluation and benchmark runs.
fn main() {}
