//! One call of an OpenAI-compatible endpoint: a request, an answer within its bounds, and what a failure means.
//!
//! It blocks, so it runs on a thread that may. It never tries again: that is the engine's.

use std::io::{self, Read};
use std::time::Duration;

use serde::Serialize;
use ureq::http::Response;
use ureq::{Agent, Body, Timeout};

use super::answer;
use super::error::Trouble;
use super::settings::EndpointSettings;

/// Bytes of a refusal that are read, and characters of it that are shown.
const SAID_BYTES_MAX: u64 = 4_096;
const SAID_CHARS_MAX: usize = 160;

/// The pause after an answer that asks for one and does not say how long; and the longest that is granted.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Whoever calls.
pub(super) struct Caller {
    agent: Agent,
    url: String,
    authorization: Option<String>,
    model: String,
    call_time_max: Duration,
}

#[derive(Serialize)]
struct Question<'a> {
    model: &'a str,
    input: &'a [String],
    encoding_format: &'static str,
}

impl Caller {
    /// A caller that asks for `model`; connections are kept between calls.
    pub(super) fn new(settings: &EndpointSettings, model: String) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(settings.connect_time_max))
            .timeout_global(Some(settings.call_time_max))
            .build()
            .new_agent();
        Self {
            agent,
            url: settings.url.clone(),
            authorization: settings.key.as_ref().map(|key| format!("Bearer {key}")),
            model,
            call_time_max: settings.call_time_max,
        }
    }

    /// The vectors of `texts`, in their order, each of this length.
    pub(super) fn call(&self, texts: &[String], dimensions: usize) -> Result<Vec<Vec<f32>>, Trouble> {
        let question = Question { model: &self.model, input: texts, encoding_format: "float" };
        let question = serde_json::to_vec(&question).map_err(|error| Trouble::Garbled(error.to_string()))?;
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.send(&question[..]).map_err(|error| self.trouble(error))?;
        if !response.status().is_success() {
            return Err(self.refusal(&mut response));
        }
        let bytes_max = answer::bytes_max(texts.len(), dimensions);
        let body = response.body_mut().with_config().limit(bytes_max).read_to_vec();
        answer::read(&body.map_err(|error| self.trouble(error))?, texts.len(), dimensions)
    }

    /// What an answer that is no success means.
    fn refusal(&self, response: &mut Response<Body>) -> Trouble {
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        if (300..400).contains(&status) {
            return Trouble::Redirects {
                to: self.without_key(header("location").unwrap_or("nowhere").to_owned()),
            };
        }
        // A date, the other form of it, is taken for no number: then the pause is the usual one.
        let after =
            header("retry-after").and_then(|seconds| seconds.trim().parse().ok().map(Duration::from_secs));
        let said = shortened(self.without_key(said(response.body_mut())));
        match status {
            429 => Trouble::Busy { status, said, pause: after.unwrap_or(PAUSE).min(PAUSE_MAX) },
            503 if after.is_some() => {
                Trouble::Busy { status, said, pause: after.unwrap_or(PAUSE).min(PAUSE_MAX) }
            }
            408 | 425 | 500.. => Trouble::Failing { status, said },
            _ => Trouble::Refused { status, said },
        }
    }

    /// What a server says is shown and kept; some repeat what they were sent.
    fn without_key(&self, said: String) -> String {
        match self.authorization.as_ref().and_then(|header| header.strip_prefix("Bearer ")) {
            Some(key) if !key.is_empty() => said.replace(key, "[the key]"),
            _ => said,
        }
    }

    fn trouble(&self, error: ureq::Error) -> Trouble {
        let said = error.to_string();
        match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::Tls(_)
            | ureq::Error::Rustls(_)
            | ureq::Error::ConnectProxyFailed(_) => Trouble::Unreachable(said),
            ureq::Error::Timeout(_) => Trouble::TimedOut(self.call_time_max),
            ureq::Error::BodyExceedsLimit(bytes_max) => Trouble::TooLarge { bytes_max },
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Trouble::Setting(said),
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::AddrNotAvailable => Trouble::Unreachable(said),
                io::ErrorKind::TimedOut => Trouble::TimedOut(self.call_time_max),
                _ => Trouble::Broken(said),
            },
            _ => Trouble::Broken(said),
        }
    }
}

/// An answer on one line.
fn said(body: &mut Body) -> String {
    let mut bytes = Vec::new();
    // What came of it before it broke is said.
    let _ = body.as_reader().take(SAID_BYTES_MAX).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn shortened(line: String) -> String {
    match line.char_indices().nth(SAID_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.is_empty() => "it gives no reason".to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_a_server_repeats_is_not_shown() {
        let settings =
            EndpointSettings { key: Some("sk-secret".to_owned()), ..EndpointSettings::new("http://host/") };
        let caller = Caller::new(&settings, "model".to_owned());
        let answer = format!("{} authorization: Bearer sk-secret", "no ".repeat(40));
        let refused = Response::builder().status(401).body(Body::builder().data(answer)).expect("an answer");
        let said = caller.refusal(&mut { refused });
        let Trouble::Refused { status: 401, said } = said else { panic!("{said:?}") };
        assert!(!said.contains("sk-s") && said.contains("[the"), "{said}");
        let elsewhere = Response::builder().status(302).header("location", "http://a/?k=sk-secret");
        let elsewhere = elsewhere.body(Body::builder().data("")).expect("an answer");
        assert_eq!(
            caller.refusal(&mut { elsewhere }),
            Trouble::Redirects { to: "http://a/?k=[the key]".to_owned() }
        );
    }
}
