//! A question outside of a run: through the engine all the same, so that it is tried again as a run would.

use std::sync::{Arc, Mutex, PoisonError};

use quipu_flow::{Flow, Pipeline, RunError};

use super::RETRIES;
use super::error::{EndpointError, Trouble};
use super::settings::EndpointSettings;

/// A question that can be asked once.
pub(super) struct Once<T> {
    url: String,
    pipeline: Pipeline,
    answer: Arc<Mutex<Option<Result<T, EndpointError>>>>,
}

impl<T: Send + 'static> Once<T> {
    /// `ask` is called again, by the engine, while its error may pass.
    pub(super) fn new<F, Fut>(settings: &EndpointSettings, ask: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, EndpointError>> + Send + 'static,
    {
        let answer = Arc::new(Mutex::new(None));
        let heard = Arc::clone(&answer);
        let ask = move |()| {
            let answer = ask();
            async move { passing(answer.await) }
        };
        let keep = move |answer| *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        let flow = Flow::from_iter([()]).io(ask).retry(RETRIES).backoff(settings.backoff).weigh(|_| 0);
        Self { url: settings.url.clone(), pipeline: flow.for_each(keep), answer }
    }

    pub(super) async fn run(self) -> Result<T, EndpointError> {
        let Self { url, pipeline, answer } = self;
        heard(url, pipeline.run().await.map(drop), &answer)
    }

    /// Waits for the answer; not for async code.
    pub(super) fn run_blocking(self) -> Result<T, EndpointError> {
        let Self { url, pipeline, answer } = self;
        heard(url, pipeline.run_blocking().map(drop), &answer)
    }
}

/// What was heard of the endpoint at `url`, when the run has ended.
fn heard<T>(
    url: String,
    ended: Result<(), RunError>,
    answer: &Mutex<Option<Result<T, EndpointError>>>,
) -> Result<T, EndpointError> {
    let trouble = match ended {
        Err(error) => match endpoint_error(&error) {
            Some(error) => return Err(error),
            None => Trouble::Broken(error.to_string()),
        },
        Ok(()) => match answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(answer) => return answer,
            None => Trouble::Interrupted,
        },
    };
    Err(EndpointError { url, trouble })
}

/// An answer for the engine: an error is what it is to try again, all else has been said.
pub(crate) fn passing<T>(
    answer: Result<T, EndpointError>,
) -> Result<Result<T, EndpointError>, EndpointError> {
    match answer {
        Err(error) if error.trouble.may_pass() => Err(error),
        answer => Ok(answer),
    }
}

/// The endpoint's error that stopped a run.
pub(crate) fn endpoint_error(error: &RunError) -> Option<EndpointError> {
    match error {
        RunError::Failed { failed, .. } => failed.error.downcast_ref::<EndpointError>().cloned(),
        _ => None,
    }
}
