//! What unit tests of several rooms share: the model, found as the program finds it.

use std::sync::OnceLock;

use quipu_embed::{Encoder, model};

/// The default model; fetched where it is not on this machine yet.
pub(crate) fn encoder() -> &'static Encoder {
    static ENCODER: OnceLock<Encoder> = OnceLock::new();
    ENCODER.get_or_init(|| {
        let located =
            model::locate(&model::Settings::from_environment(), None).expect("the model is found or fetched");
        Encoder::load(&located.folder).expect("the model loads")
    })
}
