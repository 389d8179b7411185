//! The server beside the agent, over its metrics port.

use std::time::Duration;

use reqwest::{Client, StatusCode};

/// Time between two checks, and how long one may take: two failures in a row fit into a second.
pub(crate) const CHECK_EVERY: Duration = Duration::from_millis(200);
const CHECK_PATIENCE: Duration = Duration::from_millis(250);
const DRAIN_PATIENCE: Duration = Duration::from_secs(5);

/// Why the server could not be asked to drain.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DrainError {
    #[error(
        "the server has no {0}: upgrade it, or set server.drain_path; waiting until it is empty"
    )]
    Unknown(String),
    #[error("the server refuses to drain ({0}): see its log; waiting until it is empty")]
    Refused(StatusCode),
    #[error("the server cannot be asked to drain ({0}): is server.url its metrics port?")]
    Unreachable(reqwest::Error),
}

/// The server's health and drain endpoints.
#[derive(Clone)]
pub(crate) struct ServerClient {
    client: Client,
    url: String,
    drain_path: String,
}

impl ServerClient {
    /// # Errors
    /// The system's TLS configuration cannot be read.
    pub(crate) fn new(url: &str, drain_path: &str) -> reqwest::Result<Self> {
        Ok(Self {
            // A proxy between an agent and the server beside it would hide what is to be seen.
            client: Client::builder().no_proxy().build()?,
            url: url.trim_end_matches('/').to_owned(),
            drain_path: drain_path.to_owned(),
        })
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// How it does not, for people.
    pub(crate) async fn check(&self) -> Result<(), String> {
        let asking = self.client.get(format!("{}/healthz", self.url));
        match asking.timeout(CHECK_PATIENCE).send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("/healthz says {}", answer.status())),
            Err(error) if error.is_timeout() => {
                Err(format!("/healthz took longer than {CHECK_PATIENCE:?}"))
            }
            Err(_) => Err("/healthz refuses connections".to_owned()),
        }
    }

    /// Asks the server to drain.
    ///
    /// # Errors
    /// [`DrainError`].
    pub(crate) async fn drain(&self) -> Result<(), DrainError> {
        let url = format!("{}{}", self.url, self.drain_path);
        let asking = self.client.post(&url).timeout(DRAIN_PATIENCE);
        let answer = asking.send().await.map_err(DrainError::Unreachable)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Err(DrainError::Unknown(url)),
            status => Err(DrainError::Refused(status)),
        }
    }
}
