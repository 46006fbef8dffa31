//! The program: index a folder, ask it a question.
fn main() {}
