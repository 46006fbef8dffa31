//! What can go wrong between a text and the vector that a server makes of it, and whether trying again may help.

use std::time::Duration;

/// Why an endpoint gave no vectors that can be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the embedding endpoint {url} {trouble}")]
pub struct EndpointError {
    /// Its address.
    pub url: String,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What is wrong with an endpoint, or with one answer of it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// A setting that no server could be asked with.
    #[error("cannot be used: {0}")]
    Setting(String),
    /// There is nobody, or no way to get there.
    #[error("cannot be reached: {0}; is the server running, and the address right?")]
    Unreachable(String),
    /// The answer was not whole in time.
    #[error("did not answer within {0:?}")]
    TimedOut(Duration),
    /// The connection ended before the answer did.
    #[error("broke off: {0}")]
    Broken(String),
    /// It asks for fewer calls, or for a pause.
    #[error("is too busy (status {status}): {said}; a lower --embed-rate may help")]
    Busy {
        /// 429 or 503.
        status: u16,
        /// The beginning of its answer.
        said: String,
        /// How long it wants not to be called.
        pause: Duration,
    },
    /// It says that the fault is its own.
    #[error("failed (status {status}): {said}")]
    Failing {
        /// 408, 425 or 5xx.
        status: u16,
        /// The beginning of its answer.
        said: String,
    },
    /// It answered, but not with the vectors that were asked for.
    #[error("gave no vectors: {0}")]
    Garbled(String),
    /// It says that the fault is ours.
    #[error("refused (status {status}): {said}{}", hint(*status))]
    Refused {
        /// 4xx.
        status: u16,
        /// The beginning of its answer.
        said: String,
    },
    /// It sends elsewhere, which is not followed: the key is meant for this address alone.
    #[error("redirects to {to}: give that address")]
    Redirects {
        /// Where to.
        to: String,
    },
    /// Its answer was larger than these vectors can be, and was not read to its end.
    #[error("answered with more than {bytes_max} bytes, more than these vectors can take")]
    TooLarge {
        /// What was read of it.
        bytes_max: u64,
    },
    /// Its vectors have another length than the model's.
    #[error("gave vectors of {found} numbers, the model has {expected}: does it serve what --model names?")]
    Dimensions {
        /// The model's.
        expected: usize,
        /// The endpoint's.
        found: usize,
    },
    /// Its vector of a known text is far from the one that the model makes here.
    #[error(
        "serves another model than --model names: the cosine between its vector of a known text and the model's own is \
         {cosine:.3}"
    )]
    OtherModel {
        /// Between the two vectors.
        cosine: f64,
    },
    /// The model on this machine could not embed the known text.
    #[error("cannot be compared with the model: {0}")]
    Local(String),
    /// The process is ending.
    #[error("was not heard to the end: interrupted")]
    Interrupted,
}

impl Trouble {
    /// Whether the same question may well be answered when it is asked again.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::TimedOut(_)
            | Self::Broken(_)
            | Self::Busy { .. }
            | Self::Failing { .. }
            | Self::Garbled(_) => true,
            Self::Setting(_)
            | Self::Refused { .. }
            | Self::Redirects { .. }
            | Self::TooLarge { .. }
            | Self::Dimensions { .. }
            | Self::OtherModel { .. }
            | Self::Local(_)
            | Self::Interrupted => false,
        }
    }
}

/// What a person can do about a refusal.
fn hint(status: u16) -> &'static str {
    match status {
        400 | 413 | 422 => "; where it takes fewer texts at once, lower --embed-batch",
        401 | 403 => "; its key goes into QUIPU_EMBED_KEY",
        404 | 405 => {
            "; the address is to be whole, as in http://host:8080/v1/embeddings, the model as it knows it"
        }
        _ => "",
    }
}
