//! How to reach and enter NATS.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::Client;
use async_nats::{ConnectOptions, Event, ServerAddr};
use serde::Deserialize;
use tokio::sync::watch;

use super::super::{Connection, Result};
use crate::FleetError;

/// Where NATS is and how to enter it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsSettings {
    /// Servers such as `nats://10.0.0.5:4222` or `tls://nats.example.com`; the nearest first.
    pub urls: Vec<String>,
    /// Name of the connection in NATS's own lists.
    pub name: String,
    /// First part of all subjects and buckets, so that several fleets can share one NATS.
    pub prefix: String,
    pub user: Option<String>,
    pub password: Option<String>,
    pub token: Option<String>,
    /// File with a JWT and its seed.
    pub credentials_file: Option<PathBuf>,
    /// Refuse servers without TLS.
    pub require_tls: bool,
    /// Authority that signed the server's certificate. Unset = the system's.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key to show to the server.
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// Copies that a NATS cluster keeps of each bucket, 1 to 5.
    pub replicas: usize,
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            name: "tradewind".to_owned(),
            prefix: "tradewind".to_owned(),
            user: None,
            password: None,
            token: None,
            credentials_file: None,
            require_tls: false,
            ca_file: None,
            certificate_file: None,
            key_file: None,
            replicas: 1,
        }
    }
}

/// Starts connecting; tells by the receiver when it is up or down.
pub(super) async fn start(
    settings: &NatsSettings,
) -> Result<(Client, watch::Receiver<Connection>)> {
    let (sender, receiver) = watch::channel(Connection::Down);
    let connections = AtomicU64::new(0);
    let servers = servers(settings)?;
    let options = options(settings).await?.event_callback(move |event| {
        match event {
            Event::Connected => {
                let number = connections.fetch_add(1, Ordering::Relaxed);
                sender.send_replace(Connection::Up(number));
            }
            Event::Disconnected | Event::Closed => {
                sender.send_replace(Connection::Down);
            }
            other => tracing::debug!(%other, "NATS"),
        }
        std::future::ready(())
    });
    let client = options
        .connect(servers)
        .await
        .map_err(|error| FleetError::Settings {
            key: "nats",
            advice: format!("{error}: check addresses, credentials and certificates"),
        })?;
    Ok((client, receiver))
}

fn servers(settings: &NatsSettings) -> Result<Vec<ServerAddr>> {
    if settings.urls.is_empty() {
        return Err(FleetError::Settings {
            key: "nats",
            advice: "name at least one server, such as nats://127.0.0.1:4222".to_owned(),
        });
    }
    let parse = |url: &String| {
        url.parse().map_err(|error| FleetError::Settings {
            key: "nats",
            // The address may hold a password, so it is not repeated.
            advice: format!("{error}: write servers as nats://HOST:PORT or tls://HOST:PORT"),
        })
    };
    settings.urls.iter().map(parse).collect()
}

async fn options(settings: &NatsSettings) -> Result<ConnectOptions> {
    let mut options = ConnectOptions::new()
        .name(&settings.name)
        .retry_on_initial_connect()
        .retain_servers_order()
        .max_reconnects(None)
        .connection_timeout(Duration::from_secs(3))
        // A server that vanished without a word is noticed after two missed answers.
        .ping_interval(Duration::from_secs(2))
        .reconnect_delay_callback(backoff)
        .require_tls(settings.require_tls);
    if let (Some(user), Some(password)) = (&settings.user, &settings.password) {
        options = options.user_and_password(user.clone(), password.clone());
    }
    if let Some(token) = &settings.token {
        options = options.token(token.clone());
    }
    if let Some(path) = &settings.credentials_file {
        options = options
            .credentials_file(path)
            .await
            .map_err(|error| FleetError::Settings {
                key: "credentials_file",
                advice: format!("{}: {error}", path.display()),
            })?;
    }
    if let Some(path) = &settings.ca_file {
        options = options.add_root_certificates(path.clone());
    }
    match (&settings.certificate_file, &settings.key_file) {
        (Some(certificate), Some(key)) => {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        (None, None) => {}
        _ => {
            return Err(FleetError::Settings {
                key: "certificate_file",
                advice: "set key_file too: a certificate is of no use without its key".to_owned(),
            });
        }
    }
    Ok(options)
}

/// Waits a little longer each time, at most two seconds: a fleet without its backbone should be one again soon.
fn backoff(attempts: usize) -> Duration {
    let step = u64::try_from(attempts.min(10)).unwrap_or(10);
    Duration::from_millis(200 * step)
}
