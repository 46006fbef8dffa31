//! The stages that have a server embed: documents go together into requests, come out of the answers again, and keep
//! what went wrong for themselves.
//!
//! 1. [`Remote::split`] cuts the waiting chunks of several documents into requests of like lengths.
//! 2. [`Remote::ask`] is one call. It fails for the engine to try again, and answers with an error that would stay.
//! 3. [`Remote::judge`] looks, where a request was lost for good, whether the endpoint as a whole is: that stops the run.
//! 4. [`Remote::split_alone`] asks again for what is missing, one document a request, so that only the guilty one fails.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use quipu_embed::plan_batches;
use quipu_flow::{ItemError, Weigh};

use super::item::{Content, Item};
use super::report::Tally;
use crate::chunk::lead;
use crate::endpoint::{Endpoint, EndpointError, passing};
use crate::store::{FailureKind, Vector};

/// Tokens of one request at most, but where one chunk alone has more.
const REQUEST_TOKENS: usize = 16_384;

/// An endpoint at work in a run.
pub(crate) struct Remote {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) tally: Arc<Tally>,
}

/// Documents whose chunks are asked for together.
pub(crate) struct Together {
    items: Vec<Item>,
    /// Whether a request of theirs was lost.
    is_in_trouble: bool,
    /// Of requests for one document each: for which.
    owners: Vec<usize>,
}

/// A document and a chunk of it, by their places.
type Place = (usize, usize);

/// What one call asks for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    places: Vec<Place>,
    texts: Vec<String>,
    tokens: usize,
}

/// What came of one call: vectors, or an error that asking again would not mend.
pub(crate) struct Answered(Result<Vec<(Place, Vec<f32>)>, EndpointError>);

/// Requests, each made when it is asked for: texts are copied only as the memory budget allows.
pub(crate) struct Requests {
    together: Option<Arc<Together>>,
    remote: Arc<Remote>,
    plan: std::vec::IntoIter<Vec<(Place, usize)>>,
}

impl Remote {
    /// The documents, and requests for all of their chunks that wait.
    pub(crate) fn split(self: Arc<Self>, items: Vec<Item>) -> (Arc<Together>, Requests) {
        let together = Together { items, is_in_trouble: false, owners: Vec::new() };
        let plan = self.plan(&together.waiting(0..together.items.len()));
        self.requests(together, plan)
    }

    /// The documents, and requests for what they still lack, none for more than one of them.
    pub(crate) fn split_alone(self: Arc<Self>, mut together: Together) -> (Arc<Together>, Requests) {
        let mut plan = Vec::new();
        for item in 0..together.items.len() {
            let requests = self.plan(&together.waiting(item..item + 1));
            together.owners.extend(requests.iter().map(|_| item));
            plan.extend(requests);
        }
        self.requests(together, plan)
    }

    fn requests(
        self: Arc<Self>,
        together: Together,
        plan: Vec<Vec<(Place, usize)>>,
    ) -> (Arc<Together>, Requests) {
        let together = Arc::new(together);
        let shared = (!plan.is_empty()).then(|| Arc::clone(&together));
        (together, Requests { together: shared, remote: self, plan: plan.into_iter() })
    }

    /// Longest first, at most so many tokens and texts each: a server that pads has little to pad.
    fn plan(&self, waiting: &[(Place, usize)]) -> Vec<Vec<(Place, usize)>> {
        let lengths: Vec<usize> = waiting.iter().map(|(_, tokens)| *tokens).collect();
        let batches = plan_batches(&lengths, REQUEST_TOKENS);
        let texts_max = self.endpoint.settings().texts_max;
        let requests = batches.iter().flat_map(|batch| batch.chunks(texts_max));
        requests.map(|request| request.iter().map(|&index| waiting[index]).collect()).collect()
    }

    /// Has the endpoint embed the texts.
    ///
    /// # Errors
    /// What may pass: the engine asks again.
    pub(crate) async fn ask(self: Arc<Self>, request: Request) -> Result<Answered, EndpointError> {
        let Request { places, texts, tokens } = request;
        let answer = passing(Arc::clone(&self.endpoint).ask(texts).await)?;
        if answer.is_ok() {
            self.tally.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
            self.tally.embedded.fetch_add(places.len() as u64, Ordering::Relaxed);
        }
        Ok(Answered(answer.map(|vectors| places.into_iter().zip(vectors).collect())))
    }

    /// Passes on documents that got all they asked for; else makes sure that the endpoint is well.
    ///
    /// # Errors
    /// It is not.
    pub(crate) async fn judge(self: Arc<Self>, together: Together) -> Result<Together, EndpointError> {
        if together.is_in_trouble {
            self.endpoint.check().await?;
        }
        Ok(together)
    }
}

impl Together {
    /// Chunks of these documents that wait, and their tokens.
    fn waiting(&self, items: std::ops::Range<usize>) -> Vec<(Place, usize)> {
        let mut places = Vec::new();
        for item in items {
            if let Content::Chunks(_, waiting) = &self.items[item].content {
                places.extend(waiting.iter().map(|waiting| ((item, waiting.chunk), waiting.tokens.len())));
            }
        }
        places
    }

    /// Puts in what came of the requests; what was lost waits still.
    pub(crate) fn gather(shared: Arc<Self>, parts: Vec<Result<Answered, ItemError>>) -> Self {
        let mut together = Self::alone(shared);
        for part in parts {
            match part {
                Ok(Answered(Ok(vectors))) => together.put(vectors),
                Ok(Answered(Err(_))) | Err(_) => together.is_in_trouble = true,
            }
        }
        for item in &mut together.items {
            if let Content::Chunks(document, waiting) = &mut item.content {
                waiting.retain(|waiting| document.chunks[waiting.chunk].vector.is_none());
            }
        }
        together
    }

    /// Puts in what came of the requests for one document each. What was lost fails its document.
    pub(crate) fn gather_alone(shared: Arc<Self>, parts: Vec<Result<Answered, ItemError>>) -> Vec<Item> {
        let mut together = Self::alone(shared);
        let mut lost: Vec<Option<(FailureKind, String)>> = together.items.iter().map(|_| None).collect();
        let owners = std::mem::take(&mut together.owners);
        for (part, owner) in parts.into_iter().zip(owners) {
            match part {
                Ok(Answered(Ok(vectors))) => together.put(vectors),
                Ok(Answered(Err(error))) => lost[owner] = Some((FailureKind::Endpoint, error.to_string())),
                Err(error @ ItemError::Panic(_)) => {
                    lost[owner] = Some((FailureKind::Panic, error.to_string()));
                }
                Err(error) => lost[owner] = Some((FailureKind::Endpoint, error.to_string())),
            }
        }
        let fates = together.items.into_iter().zip(lost);
        fates
            .map(|(item, lost)| match lost {
                Some((kind, reason)) => item.fail(kind, &reason),
                None => item,
            })
            .collect()
    }

    /// The documents, when the last request has been made of them.
    fn alone(shared: Arc<Self>) -> Self {
        Arc::into_inner(shared).expect("requests let go of their documents with the last of them")
    }

    fn put(&mut self, vectors: Vec<(Place, Vec<f32>)>) {
        for ((item, chunk), vector) in vectors {
            if let Content::Chunks(document, _) = &mut self.items[item].content {
                document.chunks[chunk].vector = Some(Vector::quantise(&vector));
            }
        }
    }
}

impl Iterator for Requests {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        let (next, together) = (self.plan.next()?, self.together.as_ref()?);
        let model = self.remote.endpoint.local();
        let (tokenizer, prompt) = (model.tokenizer(), &model.info().prompts.document);
        let mut request = Request { places: Vec::new(), texts: Vec::with_capacity(next.len()), tokens: 0 };
        let mut leads = HashMap::new();
        for ((item, chunk), tokens) in next {
            let Content::Chunks(document, _) = &together.items[item].content else { continue };
            let lead =
                leads.entry(item).or_insert_with(|| lead(document.title.as_deref(), tokenizer, prompt));
            request.texts.push(format!("{lead}{}", document.chunks[chunk].text));
            request.places.push((item, chunk));
            request.tokens += tokens;
        }
        if self.plan.len() == 0 {
            self.together = None;
        }
        Some(request)
    }
}

impl Item {
    /// Tokens that wait for vectors; 1 for a document that waits for none, so that these do not gather without end.
    pub(crate) fn tokens_waiting(&self) -> usize {
        match &self.content {
            Content::Chunks(_, waiting) => {
                waiting.iter().map(|waiting| waiting.tokens.len()).sum::<usize>().max(1)
            }
            _ => 1,
        }
    }
}

impl Weigh for Together {
    fn heap_bytes(&self) -> usize {
        self.items.heap_bytes() + self.owners.heap_bytes()
    }
}

impl Weigh for Request {
    fn heap_bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>() + self.texts.heap_bytes()
    }
}

impl Request {
    /// Bytes that its answer will take.
    pub(crate) fn answer_bytes(&self, dimensions: usize) -> usize {
        self.places.len() * (size_of::<(Place, Vec<f32>)>() + dimensions * size_of::<f32>())
    }
}

impl Weigh for Answered {
    fn heap_bytes(&self) -> usize {
        match &self.0 {
            Ok(vectors) => {
                let numbers: usize = vectors.iter().map(|(_, vector)| vector.heap_bytes()).sum();
                vectors.capacity() * size_of::<(Place, Vec<f32>)>() + numbers
            }
            Err(error) => error.url.capacity(),
        }
    }
}
