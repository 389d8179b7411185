//! What is wrong with a configuration, where, and what to do.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{}: cannot be read ({reason}): check --config and the file's permissions", path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{}: is not YAML: {reason}", path.display())]
    NotYaml { path: PathBuf, reason: String },
    #[error("{}: others can read the secrets in it (mode {mode:03o}): run `chmod o-rwx` on it", path.display())]
    OpenToOthers { path: PathBuf, mode: u32 },
    #[error("{}: {advice}", path.display())]
    KeysFile { path: PathBuf, advice: String },
    #[error("{}", Lines(.0))]
    Problems(Vec<Problem>),
}

/// One key that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// File name, `environment`, `flag`, or `configuration` for what no source has set.
    pub(crate) origin: String,
    /// Full key.
    pub(crate) key: String,
    pub(crate) advice: String,
}

impl ConfigError {
    pub(super) fn problem(key: &str, advice: &str) -> Self {
        Self::Problems(vec![Problem {
            origin: "flag".to_owned(),
            key: key.to_owned(),
            advice: advice.to_owned(),
        }])
    }

    /// A value of the wrong type, found while reading.
    pub(super) fn from_value(
        error: config::ConfigError,
        origins: &BTreeMap<String, String>,
    ) -> Self {
        let (key, advice) = match error {
            config::ConfigError::Type {
                unexpected,
                expected,
                key,
                ..
            } => (key, format!("found {unexpected}, expected {expected}")),
            config::ConfigError::At { error, key, .. } => (key, error.to_string()),
            other => (None, other.to_string()),
        };
        let key = key.unwrap_or_default();
        let advice = if key.starts_with("keys") {
            // What was written there may be a secret, so it is not repeated.
            "is of the wrong type: write each key as NAME: SECRET".to_owned()
        } else {
            advice
        };
        let origin = origins
            .get(&key)
            .map_or("configuration", String::as_str)
            .to_owned();
        Self::Problems(vec![Problem {
            origin,
            key,
            advice,
        }])
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.key, self.advice)
    }
}

/// Problems, one a line.
struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}
