//! An OpenAI-compatible endpoint that embeds: a GPU server such as text-embeddings-inference, or a service.
//!
//! In reading order: `settings` is what a user says, `call` one request and its answer, `answer` what is in it, `error`
//! what all of that can come to, `once` a question outside of a run. This file owns an endpoint: that it serves the model which the index is made with, and
//! that it is left alone as long as it asks to be. It never tries again and keeps no rate: whoever calls is a stage of
//! the engine, which does both (`run/pipeline.rs`, and [`Endpoint::check`] here).
//!
//! Which model an endpoint serves cannot be seen, so it is *asked*: before its first vectors are used, its vector of a
//! known text is held against the local model's. See `docs/decisions/0010-vectors-from-an-endpoint.md`.

mod answer;
mod call;
mod error;
mod once;
mod settings;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use quipu_embed::{EmbedError, Embedder};

use self::call::Caller;
pub use self::error::{EndpointError, Trouble};
use self::once::Once;
pub(crate) use self::once::{endpoint_error, passing};
pub use self::settings::{EndpointSettings, TEXTS_MAX};
use crate::chunk::first_tokens;
use crate::search::words;
use crate::store::Configuration;

/// How often the engine tries a call again that may pass; with the usual backoff that takes a second and a half.
pub(crate) const RETRIES: u32 = 4;

/// The known text. Any would do; this one has common and rare words, digits and a hyphen.
const PROBE: &str =
    "The keeper of the quipus counted 144 llamas, re-tied one knot, and sent the runner to Cuzco.";

/// The least cosine between the endpoint's and the local vector of the known text. Servers in 16 or 8 bits stay above
/// 0.98; another model is near 0, another pooling below 0.9.
const COSINE_MIN: f64 = 0.95;

/// How far from 1 the length of a normalised vector may be.
const UNIT_TOLERANCE: f64 = 1e-3;

/// What is lost of a length where its numbers are rounded to f32.
const ROUNDING: f64 = 1e-6;

/// An endpoint, and the local model that it serves a copy of: its tokenizer cuts the chunks.
pub struct Endpoint {
    settings: EndpointSettings,
    local: Arc<dyn Embedder>,
    model: String,
    caller: Caller,
    /// The local model's vector of the known text.
    expected: Vec<f32>,
    is_verified: AtomicBool,
    /// It asked not to be called before this.
    resumes_at: Mutex<Option<Instant>>,
}

impl Endpoint {
    /// An endpoint that serves the model `local`. Nobody is called yet.
    ///
    /// # Errors
    /// A setting that cannot be, or a local model that cannot embed.
    pub fn new(settings: EndpointSettings, local: Arc<dyn Embedder>) -> Result<Self, EndpointError> {
        settings.check()?;
        let broken = |error: EmbedError| EndpointError {
            url: settings.url.clone(),
            trouble: Trouble::Local(error.to_string()),
        };
        let mut expected = vec![0.0; local.info().dimensions];
        local.embed_into(&[local.tokenizer().encode(PROBE)], &mut expected).map_err(broken)?;
        let model = settings.model.clone().unwrap_or_else(|| local.info().name.clone());
        Ok(Self {
            caller: Caller::new(&settings, model.clone()),
            settings,
            local,
            model,
            expected,
            is_verified: AtomicBool::new(false),
            resumes_at: Mutex::new(None),
        })
    }

    /// How it is asked.
    pub fn settings(&self) -> &EndpointSettings {
        &self.settings
    }

    /// The model on this machine: tokenizer, limits, dimensions.
    pub fn local(&self) -> &Arc<dyn Embedder> {
        &self.local
    }

    /// What an index is made with whose vectors come from here. Not the address: a server may move. Not the local
    /// weights and kernels either: they make none of these vectors.
    pub fn configuration(&self) -> Configuration {
        let info = self.local.info();
        let mut hasher = blake3::Hasher::new();
        let dimensions = info.dimensions.to_string();
        for part in ["endpoint", &self.model, &dimensions, &info.prompts.query, &info.prompts.document] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        crate::configuration_of(format!("{} (by an endpoint)", self.model), info.dimensions, hasher)
    }

    /// Asks whether it answers and serves the local model, trying again as a run would.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn check(self: &Arc<Self>) -> Result<(), EndpointError> {
        let asked = Arc::clone(self);
        Once::new(&self.settings, move || Arc::clone(&asked).verify()).run().await
    }

    /// The vector of a query's text as the model wants a query, for [`crate::search::search_with_vector`]. It waits for
    /// the answer, and is not for async code.
    ///
    /// # Errors
    /// Why there is none.
    pub fn embed_query(self: &Arc<Self>, text: &str) -> Result<Vec<f32>, EndpointError> {
        let (tokenizer, prompts) = (self.local.tokenizer(), &self.local.info().prompts);
        let query = format!("{}{}", prompts.query, words(text));
        let query = first_tokens(&query, tokenizer, tokenizer.tokens_max() - tokenizer.specials());
        let (asked, query) = (Arc::clone(self), query.to_owned());
        let ask = move || Arc::clone(&asked).ask_query(query.clone());
        Once::new(&self.settings, ask).run_blocking()
    }

    /// One call, in which the known text goes with the query; or two, where a call takes one text.
    async fn ask_query(self: Arc<Self>, query: String) -> Result<Vec<f32>, EndpointError> {
        if self.settings.texts_max == 1 {
            return Ok(self.ask(vec![query]).await?.pop().unwrap_or_default());
        }
        let mut vectors = self.call(vec![PROBE.to_owned(), query]).await?;
        let vector = vectors.pop().unwrap_or_default();
        self.compare(&vectors.pop().unwrap_or_default())?;
        Ok(vector)
    }

    /// The vectors of `texts`, in their order. The first call is preceded by one that verifies the model.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) async fn ask(self: Arc<Self>, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EndpointError> {
        if !self.is_verified.load(Ordering::Relaxed) {
            Arc::clone(&self).verify().await?;
        }
        self.call(texts).await
    }

    async fn verify(self: Arc<Self>) -> Result<(), EndpointError> {
        let vectors = self.call(vec![PROBE.to_owned()]).await?;
        self.compare(vectors.first().map_or(&[], Vec::as_slice))?;
        self.is_verified.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn compare(&self, vector: &[f32]) -> Result<(), EndpointError> {
        let cosine = dot(vector, &self.expected) / (length(vector) * length(&self.expected));
        if cosine >= COSINE_MIN { Ok(()) } else { Err(self.error(Trouble::OtherModel { cosine })) }
    }

    /// One call, when it may be called again.
    async fn call(self: &Arc<Self>, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EndpointError> {
        // Another call's answer may ask for longer meanwhile.
        while let Some(at) = self.resumes_at().filter(|&at| at > Instant::now()) {
            tokio::time::sleep_until(at.into()).await;
        }
        let (caller, dimensions) = (Arc::clone(self), self.expected.len());
        let called = tokio::task::spawn_blocking(move || caller.caller.call(&texts, dimensions)).await;
        let answer = match called.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(answer) => answer,
            // The engine contains panics and sees this one as the stage's own.
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_)) => Err(Trouble::Interrupted),
        };
        if let Err(Trouble::Busy { pause, .. }) = &answer {
            let at = Instant::now() + *pause;
            let mut resumes_at = self.resumes_at.lock().unwrap_or_else(PoisonError::into_inner);
            *resumes_at = resumes_at.max(Some(at));
        }
        let mut vectors = answer.map_err(|trouble| self.error(trouble))?;
        if (length(&self.expected) - 1.0).abs() < UNIT_TOLERANCE {
            vectors.iter_mut().for_each(|vector| normalise(vector));
        }
        Ok(vectors)
    }

    fn resumes_at(&self) -> Option<Instant> {
        *self.resumes_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, trouble: Trouble) -> EndpointError {
        EndpointError { url: self.settings.url.clone(), trouble }
    }
}

/// In f64: the squares of any numbers that are finite have a sum.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

fn length(vector: &[f32]) -> f64 {
    dot(vector, vector).sqrt()
}

/// Gives a vector the length 1, unless rounding is all that it is away from that.
fn normalise(vector: &mut [f32]) {
    let length = length(vector);
    if (length - 1.0).abs() > ROUNDING {
        vector.iter_mut().for_each(|number| *number = (f64::from(*number) / length) as f32);
    }
}
