//! Text to vectors: tokenizer, sentence encoder, and the model's files.
