//! What unit tests of several rooms share: the model, found as the program finds it.

use quipu_embed::{Embedder, Encoder, Tokenizer, model};

/// The default model; fetched where it is not on this machine yet.
pub(crate) fn encoder() -> Encoder {
    let located =
        model::locate(&model::Settings::from_environment(), None).expect("the model is found or fetched");
    Encoder::load(&located.folder).expect("the model loads")
}

/// Its tokenizer.
pub(crate) fn tokenizer() -> Tokenizer {
    encoder().tokenizer().clone()
}
