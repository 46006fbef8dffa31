//! One command a file; what several of them need stands here.

pub(crate) mod explain;
pub(crate) mod forget;
pub(crate) mod index;
pub(crate) mod init;
pub(crate) mod model;
pub(crate) mod search;
pub(crate) mod status;
pub(crate) mod verify;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use quipu_embed::{Encoder, Kernel, Work, model as models};
use quipu_index::endpoint::{Endpoint, EndpointSettings};
use quipu_index::run::{Embedding, Yardstick};
use quipu_index::store::{Reader, StoreError};

use crate::args::Common;
use crate::location::{Location, Why, locate};

/// Opens the index that `common` means for reading.
fn open_reader(common: &Common) -> Result<Reader> {
    let location = locate(common)?;
    match Reader::open(&location.folder) {
        Err(error @ StoreError::NotFound { .. }) => {
            let hint = match location.why {
                Why::Own => "make one with `quipu index FOLDER`".to_owned(),
                Why::Named | Why::Nearest => {
                    format!("fill it with `quipu index --db {} FOLDER`", location.folder.display())
                }
            };
            Err(error).context(hint)
        }
        opened => Ok(opened?),
    }
}

/// Loads the model that `common` names, fetching it where it has to, and says who makes the vectors.
fn embedding(common: &Common) -> Result<Embedding> {
    let settings = models::Settings::from_environment();
    let name = common.model.as_deref().unwrap_or(models::DEFAULT);
    let was_here = models::path(&settings, name).is_ok_and(|folder| folder.is_dir());
    let located = models::locate(&settings, common.model.as_deref())?;
    if !was_here {
        eprintln!("{}", located.note);
    }
    let encoder = Encoder::load_with(&located.folder, common.kernel.unwrap_or_else(Kernel::best))?;
    let yardstick = Yardstick { work: Work::of(&located.folder)?, kernel: encoder.kernel() };
    let embedder = Arc::new(encoder);
    match endpoint_settings(common) {
        Some(settings) => Ok(Embedding::Endpoint(Arc::new(Endpoint::new(settings, embedder)?))),
        None => Ok(Embedding::Cores { embedder, yardstick: Some(yardstick) }),
    }
}

/// The server that is to make the vectors, where `common` names one.
fn endpoint_settings(common: &Common) -> Option<EndpointSettings> {
    let named = |text: &String| !text.is_empty();
    let server = &common.server;
    let url = server.embed_url.clone().filter(named)?;
    Some(EndpointSettings {
        model: server.embed_model.clone().filter(named),
        key: std::env::var("QUIPU_EMBED_KEY").ok().filter(named),
        texts_max: server.embed_batch as usize,
        calls_per_second: server.embed_rate,
        ..EndpointSettings::new(url)
    })
}

/// A path as the ledger writes it: absolute, links resolved in the part of it that still exists.
fn as_ledger_writes(path: &Path) -> Result<String> {
    let absolute = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
    let there = absolute.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    let resolved = match there {
        Some((part, resolved)) => match absolute.strip_prefix(part) {
            Ok(rest) if !rest.as_os_str().is_empty() => resolved.join(rest),
            _ => resolved,
        },
        None => absolute,
    };
    resolved.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", resolved.display()))
}

/// Where an index is, for messages.
fn name_of(location: &Location) -> String {
    match location.why {
        Why::Named | Why::Nearest => location.folder.display().to_string(),
        Why::Own => format!("{} (your own)", location.folder.display()),
    }
}
