//! Where a run's vectors are made: on the cores of this machine, on a device, or by a server.

use std::sync::Arc;
use std::time::Duration;

use quipu_embed::{Embedder, Kernel, Work};

use crate::configuration;
use crate::endpoint::{Endpoint, EndpointSettings};
use crate::store::Configuration;

/// Who makes vectors.
#[derive(Clone)]
pub enum Embedding {
    /// The model, on every core.
    Cores {
        /// The model.
        embedder: Arc<dyn Embedder>,
        /// What its speed is held against, where that is known.
        yardstick: Option<Yardstick>,
    },
    /// A device, or whatever is fastest when it is given much at once by one thread: the model behind a queue.
    Device {
        /// The model. Only one thread calls it, and that waits in the call.
        embedder: Arc<dyn Embedder>,
        /// Tokens that are handed over in one call at most. What is handed over is never cut below a document's part,
        /// which has up to 4,096.
        tokens_max: usize,
    },
    /// A server; the model that it serves is here too and cuts the chunks.
    Endpoint(Arc<Endpoint>),
}

/// What the speed of a model on this machine is held against.
#[derive(Debug, Clone, Copy)]
pub struct Yardstick {
    /// What a token costs.
    pub work: Work,
    /// What computes it.
    pub kernel: Kernel,
}

/// How the pipeline embeds: what of an [`Embedding`] its plan shows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Way {
    /// On every core.
    Cores,
    /// On a device's thread, at most so many tokens at once.
    Device {
        /// The most.
        tokens_max: usize,
    },
    /// By calls of an endpoint.
    Endpoint(WayOfEndpoint),
}

/// What the engine knows of an endpoint's calls.
#[derive(Debug, Clone, PartialEq)]
pub struct WayOfEndpoint {
    /// Numbers in a vector.
    pub(crate) dimensions: usize,
    /// So many calls begun in such a period.
    pub(crate) rate: Option<(u32, Duration)>,
    /// Pause before a call is made again.
    pub(crate) backoff: Duration,
}

impl Way {
    /// The way of an endpoint with these settings, whose vectors have so many numbers.
    pub fn by_endpoint(settings: &EndpointSettings, dimensions: usize) -> Self {
        Self::Endpoint(WayOfEndpoint { dimensions, rate: settings.rate(), backoff: settings.backoff })
    }
}

impl Embedding {
    /// The model on every core, with nothing to hold its speed against.
    pub fn cores(embedder: Arc<dyn Embedder>) -> Self {
        Self::Cores { embedder, yardstick: None }
    }

    pub(crate) fn yardstick(&self) -> Option<Yardstick> {
        match self {
            Self::Cores { yardstick, .. } => *yardstick,
            Self::Device { .. } | Self::Endpoint(_) => None,
        }
    }

    /// The model whose tokenizer, limits and dimensions hold, wherever vectors are made.
    pub fn model(&self) -> &Arc<dyn Embedder> {
        match self {
            Self::Cores { embedder, .. } | Self::Device { embedder, .. } => embedder,
            Self::Endpoint(endpoint) => endpoint.local(),
        }
    }

    /// What an index is made with whose vectors come from here.
    pub fn configuration(&self) -> Configuration {
        match self {
            Self::Cores { embedder, .. } | Self::Device { embedder, .. } => configuration(embedder.info()),
            Self::Endpoint(endpoint) => endpoint.configuration(),
        }
    }

    /// How the pipeline embeds.
    pub fn way(&self) -> Way {
        match self {
            Self::Cores { .. } => Way::Cores,
            Self::Device { tokens_max, .. } => Way::Device { tokens_max: *tokens_max },
            Self::Endpoint(endpoint) => {
                Way::by_endpoint(endpoint.settings(), endpoint.local().info().dimensions)
            }
        }
    }
}
