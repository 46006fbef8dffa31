//! What a user says about an endpoint, checked before anybody is called.

use std::time::Duration;

use super::error::{EndpointError, Trouble};

/// Texts in one call unless more or fewer are asked for: what text-embeddings-inference takes by default.
pub const TEXTS_MAX: usize = 32;

/// From here on a rate is so many calls in a second; below, one call in so many milliseconds, which is even.
const EVEN_RATE_MAX: f64 = 10.0;

/// Where vectors are asked for, and how.
#[derive(Clone)]
pub struct EndpointSettings {
    /// The whole address: `http://host:8080/v1/embeddings`.
    pub url: String,
    /// The model's name as the server knows it; else the local model's.
    pub model: Option<String>,
    /// Sent as bearer token.
    pub key: Option<String>,
    /// Texts in one call at most.
    pub texts_max: usize,
    /// Calls begun per second at most.
    pub calls_per_second: Option<f64>,
    /// Longest time to reach the server.
    pub connect_time_max: Duration,
    /// Longest time of one call in all, its answer included.
    pub call_time_max: Duration,
    /// Pause before the first of the engine's retries; it doubles with each.
    pub backoff: Duration,
}

impl EndpointSettings {
    /// The address, and else what serves most servers.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: None,
            key: None,
            texts_max: TEXTS_MAX,
            calls_per_second: None,
            connect_time_max: Duration::from_secs(5),
            call_time_max: Duration::from_secs(120),
            backoff: Duration::from_millis(100),
        }
    }

    /// Refuses what no server could be asked with.
    pub(super) fn check(&self) -> Result<(), EndpointError> {
        let wrong = |what: &str| {
            Err(EndpointError { url: self.url.clone(), trouble: Trouble::Setting(what.to_owned()) })
        };
        let uri: Result<ureq::http::Uri, _> = self.url.parse();
        let Some(uri) = uri.ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty())) else {
            return wrong("it is no address; one looks like http://host:8080/v1/embeddings");
        };
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return wrong("its address must begin with http:// or https://");
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) || uri.query().is_some()
        {
            return wrong(
                "an address is shown and kept, so it has no user and no ?; a key goes into QUIPU_EMBED_KEY",
            );
        }
        let is_token = |key: &String| key.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.key.as_ref().is_none_or(is_token) {
            return wrong("the key in QUIPU_EMBED_KEY has white space or other characters that no key has");
        }
        if self.texts_max == 0 {
            return wrong("no texts in a call are none at all");
        }
        match self.calls_per_second {
            Some(rate) if !(rate.is_finite() && rate > 0.0) => wrong("its rate must be above 0"),
            _ => Ok(()),
        }
    }

    /// The rate as the engine takes it: so many starts in such a period.
    pub(crate) fn rate(&self) -> Option<(u32, Duration)> {
        let calls = self.calls_per_second?;
        Some(if calls > EVEN_RATE_MAX {
            (calls.min(1e6) as u32, Duration::from_secs(1))
        } else {
            (1, Duration::try_from_secs_f64(calls.recip()).unwrap_or(Duration::MAX))
        })
    }
}

impl std::fmt::Debug for EndpointSettings {
    /// Without the key.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("EndpointSettings")
            .field("url", &self.url)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut EndpointSettings), part: Option<&str>) {
        let mut settings = EndpointSettings::new("http://host:8080/v1/embeddings");
        change(&mut settings);
        let said = settings.check().err().map(|error| error.to_string());
        match (&said, part) {
            (None, None) => {}
            (Some(said), Some(part)) => assert!(said.contains(part), "{said}"),
            _ => panic!("{settings:?}: {said:?}"),
        }
    }

    #[test]
    fn what_cannot_be_is_refused_before_anybody_is_called() {
        check(|_| (), None);
        check(|settings| settings.url = "https://[::1]/embed".to_owned(), None);
        check(|settings| settings.url = "host:8080".to_owned(), Some("address"));
        check(|settings| settings.url = "ftp://host/x".to_owned(), Some("must begin with http"));
        check(|settings| settings.url = "http://me:secret@host/".to_owned(), Some("QUIPU_EMBED_KEY"));
        check(|settings| settings.url = "http://host/embed?key=secret".to_owned(), Some("QUIPU_EMBED_KEY"));
        check(|settings| settings.key = Some("two words".to_owned()), Some("white space"));
        check(|settings| settings.key = Some("sk-1_x.y".to_owned()), None);
        check(|settings| settings.calls_per_second = Some(0.0), Some("above 0"));
        check(|settings| settings.calls_per_second = Some(f64::NAN), Some("above 0"));
        check(|settings| settings.texts_max = 0, Some("none at all"));
    }

    #[test]
    fn slow_rates_are_even() {
        let rate = |calls_per_second| {
            EndpointSettings { calls_per_second, ..EndpointSettings::new("http://host/") }.rate()
        };
        assert_eq!(rate(None), None);
        assert_eq!(rate(Some(4.0)), Some((1, Duration::from_millis(250))));
        assert_eq!(rate(Some(0.5)), Some((1, Duration::from_secs(2))));
        assert_eq!(rate(Some(50.0)), Some((50, Duration::from_secs(1))));
    }

    #[test]
    fn a_key_is_not_shown() {
        let settings =
            EndpointSettings { key: Some("secret".to_owned()), ..EndpointSettings::new("http://h/") };
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
