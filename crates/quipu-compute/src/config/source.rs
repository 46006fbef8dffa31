//! Settings from the environment and, with the feature `toml`, from TOML. What they mean is `ComputeConfig`'s.

use super::{ComputeConfig, size};
use crate::error::ComputeError;
use std::str::FromStr;
use std::time::Duration;

/// What each variable of [`ComputeConfig::from_env`] begins with.
pub const ENV_PREFIX: &str = "QUIPU_COMPUTE_";

impl ComputeConfig {
    /// The defaults, changed by the environment: `QUIPU_COMPUTE_THREADS`, `_STACK_SIZE` (`4MB`), `_THREAD_NAME`,
    /// `_PIN_CORES`, `_QUEUE_JOBS_MAX`, `_SLOW_JOB_MS`, `_ENABLED` and `_VALIDATE` (`true`/`false`, `1`/`0`, `on`/`off`,
    /// `yes`/`no`). An empty variable counts as unset.
    ///
    /// # Errors
    /// A variable whose text means nothing, or settings that are invalid.
    pub fn from_env() -> Result<Self, ComputeError> {
        Self::default().with_env()
    }

    /// These settings, changed by the environment as in [`from_env`](Self::from_env).
    ///
    /// # Errors
    /// As of [`from_env`](Self::from_env).
    pub fn with_env(self) -> Result<Self, ComputeError> {
        self.with_variables(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    fn with_variables(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ComputeError> {
        let variable = |name: &str| {
            let name = format!("{ENV_PREFIX}{name}");
            let value = variable(&name).map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty()).map(|value| (name, value))
        };
        if let Some((name, value)) = variable("THREADS") {
            self.threads = Some(number(&name, &value)?);
        }
        if let Some((name, value)) = variable("STACK_SIZE") {
            self.stack_bytes = Some(size::setting(&name, &value)?);
        }
        if let Some((_, value)) = variable("THREAD_NAME") {
            self.thread_name = value;
        }
        if let Some((name, value)) = variable("QUEUE_JOBS_MAX") {
            self.queue_jobs_max = number(&name, &value)?;
        }
        if let Some((name, value)) = variable("SLOW_JOB_MS") {
            self.slow_job = Duration::from_millis(number(&name, &value)?);
        }
        for (name, field) in [
            ("PIN_CORES", &mut self.pin_cores),
            ("ENABLED", &mut self.enabled),
            ("VALIDATE", &mut self.validate),
        ] {
            if let Some((name, value)) = variable(name) {
                *field = switch(&name, &value)?;
            }
        }
        self.validate()?;
        Ok(self)
    }
}

fn number<N: FromStr>(setting: &str, value: &str) -> Result<N, ComputeError> {
    let unknown = |_| ComputeError::Setting {
        setting: setting.to_owned(),
        value: value.to_owned(),
        expected: "a whole number",
    };
    value.parse().map_err(unknown)
}

fn switch(setting: &str, value: &str) -> Result<bool, ComputeError> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" => Ok(true),
        "0" | "false" | "off" | "no" => Ok(false),
        _ => Err(ComputeError::Setting {
            setting: setting.to_owned(),
            value: value.to_owned(),
            expected: "true or false",
        }),
    }
}

#[cfg(feature = "toml")]
pub(super) mod file {
    use super::{ComputeConfig, ComputeError, Duration, size};

    /// The keys of a TOML table; those that are absent change nothing.
    #[derive(Default, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    pub(in crate::config) struct Table {
        threads: Option<usize>,
        stack_size: Option<Size>,
        thread_name: Option<String>,
        pin_cores: Option<bool>,
        queue_jobs_max: Option<usize>,
        slow_job_ms: Option<u64>,
        enabled: Option<bool>,
        validate: Option<bool>,
    }

    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Size {
        Bytes(usize),
        Written(String),
    }

    impl ComputeConfig {
        /// The defaults, changed by a TOML table: `threads`, `stack_size` (`"4MB"` or bytes), `thread_name`,
        /// `pin_cores`, `queue_jobs_max`, `slow_job_ms`, `enabled`, `validate`. (As a part of settings of your own, it
        /// is `Deserialize`, with the same keys.)
        ///
        /// ```
        /// # use quipu_compute::ComputeConfig;
        /// let config = ComputeConfig::from_toml("threads = 8\nstack_size = \"4MB\"")?;
        /// assert_eq!(config, ComputeConfig::default().threads(8).stack_size("4MB")?);
        /// # Ok::<(), quipu_compute::ComputeError>(())
        /// ```
        ///
        /// # Errors
        /// A text that is no TOML, an unknown key, a value that means nothing, or settings that are invalid.
        pub fn from_toml(text: &str) -> Result<Self, ComputeError> {
            let table: Table = toml::from_str(text).map_err(Box::new)?;
            Self::try_from(table)
        }
    }

    impl TryFrom<Table> for ComputeConfig {
        type Error = ComputeError;

        fn try_from(table: Table) -> Result<Self, ComputeError> {
            let default = Self::default();
            let config = Self {
                threads: table.threads,
                stack_bytes: match table.stack_size {
                    Some(Size::Bytes(bytes)) => Some(bytes),
                    Some(Size::Written(text)) => Some(size::setting("stack_size", &text)?),
                    None => None,
                },
                thread_name: table.thread_name.unwrap_or(default.thread_name),
                pin_cores: table.pin_cores.unwrap_or(default.pin_cores),
                queue_jobs_max: table.queue_jobs_max.unwrap_or(default.queue_jobs_max),
                slow_job: table.slow_job_ms.map_or(default.slow_job, Duration::from_millis),
                enabled: table.enabled.unwrap_or(default.enabled),
                validate: table.validate.unwrap_or(default.validate),
            };
            config.validate()?;
            Ok(config)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<ComputeConfig, ComputeError> {
        ComputeConfig::default().with_variables(|asked| {
            let found = variables.iter().find(|(name, _)| asked.strip_prefix(ENV_PREFIX) == Some(name));
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn variables_change_the_defaults() {
        let config = from(&[
            ("THREADS", "3"),
            ("STACK_SIZE", "512KiB"),
            ("THREAD_NAME", "embed"),
            ("PIN_CORES", "yes"),
            ("QUEUE_JOBS_MAX", "9"),
            ("SLOW_JOB_MS", "20"),
            ("ENABLED", "off"),
            ("VALIDATE", ""),
        ]);
        let expected = ComputeConfig::default().threads(3).stack_size("512KiB").unwrap().thread_name("embed");
        let expected =
            expected.pin_cores(true).queue_jobs_max(9).slow_job(Duration::from_millis(20)).enabled(false);
        assert_eq!(config.unwrap(), expected);
        assert_eq!(from(&[]).unwrap(), ComputeConfig::default());
    }

    #[test]
    fn a_wrong_variable_is_named() {
        for (name, value) in [("THREADS", "many"), ("STACK_SIZE", "4 apples"), ("PIN_CORES", "perhaps")] {
            let error = from(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(&format!("QUIPU_COMPUTE_{name} is {value:?}")), "{error}");
        }
        assert!(matches!(from(&[("THREADS", "0")]), Err(ComputeError::Zero("threads"))));
        assert!(from(&[("STACK_SIZE", "1KiB")]).unwrap_err().to_string().contains("at least 64KiB"));
    }

    #[cfg(feature = "toml")]
    #[test]
    fn toml_tells_sizes_and_unknown_keys() {
        let config =
            ComputeConfig::from_toml("stack_size = 1048576\nenabled = false\nslow_job_ms = 5").unwrap();
        assert_eq!((config.stack_bytes, config.enabled), (Some(1 << 20), false));
        assert!(matches!(ComputeConfig::from_toml("thread = 2"), Err(ComputeError::Toml(_))));
        assert!(matches!(ComputeConfig::from_toml("threads = 0"), Err(ComputeError::Zero(_))));
        assert!(matches!(ComputeConfig::from_toml("stack_size = \"x\""), Err(ComputeError::Setting { .. })));
        // As a part of a program's own settings.
        let all: std::collections::BTreeMap<String, ComputeConfig> =
            toml::from_str("[compute]\nthreads = 2\nstack_size = \"4MiB\"").unwrap();
        assert_eq!((all["compute"].threads, all["compute"].stack_bytes), (Some(2), Some(4 << 20)));
    }
}
