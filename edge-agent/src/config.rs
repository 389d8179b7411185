//! What can be configured: defaults, then a YAML file, then `TRADEWIND_EDGE__A__B` variables. Unknown keys are refused.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Environment, File, FileFormat};
use serde::{Deserialize, Deserializer};
use tradewind_fleet::{NatsSettings, NodeId};

/// Fleet keys shorter than this can be guessed.
const MIN_KEY: usize = 16;

/// The effective configuration of an edge agent.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) node: Node,
    pub(crate) fleet: FleetSettings,
    #[serde(default)]
    pub(crate) probe: ProbeSettings,
    #[serde(default)]
    pub(crate) server: Server,
    #[serde(default)]
    pub(crate) metrics: Metrics,
    #[serde(default)]
    pub(crate) drain: Drain,
    #[serde(default)]
    pub(crate) log: Log,
}

/// The node the agent stands beside.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    /// As in the server's own configuration.
    pub(crate) id: NodeId,
}

/// How to reach the other edges.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FleetSettings {
    /// NATS servers, comma-separated in a variable, such as `nats://10.0.0.5:4222`.
    #[serde(deserialize_with = "list")]
    pub(crate) nats: Vec<String>,
    /// Secret that all edges of the fleet share: probes without it are not answered.
    #[serde(default)]
    key: String,
    /// File that holds the secret instead.
    key_file: Option<PathBuf>,
    prefix: Option<String>,
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
    credentials_file: Option<PathBuf>,
    #[serde(default)]
    require_tls: bool,
    tls_ca_file: Option<PathBuf>,
    tls_certificate_file: Option<PathBuf>,
    tls_key_file: Option<PathBuf>,
}

/// Probes between edges and from clients.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProbeSettings {
    /// UDP probes, and HTTP probes on the same port.
    pub(crate) bind: SocketAddr,
    /// Where the world reaches `bind` over UDP. Unset = the address that other edges see, with the port of `bind`.
    pub(crate) advertise: Option<SocketAddr>,
    /// Where browsers reach `/probe`, such as `https://tokyo.example.com/probe`.
    pub(crate) http_url: Option<String>,
    /// The node counts as ready only if another edge has reached `advertise`. Off for a fleet of one.
    pub(crate) required: bool,
}

/// The server beside the agent.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Its metrics port, which has `/healthz` and `/admin/drain`.
    pub(crate) url: String,
    /// Path that makes it drain.
    pub(crate) drain_path: String,
}

/// Health and metrics of the agent, and the command to drain; not for the public.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Metrics {
    pub(crate) bind: SocketAddr,
}

/// Leaving.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Drain {
    /// Seconds after which the agent exits although participants are left.
    pub(crate) deadline_s: u64,
}

/// Logs on standard error.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`, also per module.
    pub(crate) level: String,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self {
            bind: (Ipv4Addr::UNSPECIFIED, 9791).into(),
            advertise: None,
            http_url: None,
            required: true,
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:9780".to_owned(),
            drain_path: "/admin/drain".to_owned(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            bind: (IpAddr::from(Ipv4Addr::LOCALHOST), 9790).into(),
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { deadline_s: 3600 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{path}: cannot be read ({reason}): check --config and the file's permissions")]
    Unreadable { path: String, reason: String },
    #[error("configuration: {0}")]
    Value(#[from] ConfigError),
    #[error("configuration: {key}: {advice}")]
    Advice {
        key: &'static str,
        advice: &'static str,
    },
}

/// Reads and checks the configuration.
///
/// # Errors
/// What is wrong with it and what to do.
pub(crate) fn load(
    file: Option<&Path>,
    environment: Vec<(String, String)>,
) -> Result<Settings, SettingsError> {
    let mut builder = Config::builder();
    if let Some(path) = file {
        builder = builder.add_source(File::from_str(&read(path)?, FileFormat::Yaml));
    }
    let environment = Environment::with_prefix("TRADEWIND_EDGE")
        .prefix_separator("__")
        .separator("__")
        .source(Some(environment.into_iter().collect()));
    let mut settings: Settings = builder.add_source(environment).build()?.try_deserialize()?;
    if let Some(path) = &settings.fleet.key_file {
        settings.fleet.key = read(path)?.trim().to_owned();
    }
    if settings.fleet.key.len() < MIN_KEY {
        return Err(SettingsError::Advice {
            key: "fleet.key",
            advice: "set it, or fleet.key_file, to at least 16 characters that all edges share",
        });
    }
    if settings.fleet.nats.is_empty() {
        return Err(SettingsError::Advice {
            key: "fleet.nats",
            advice: "name at least one server: without a fleet there is nothing to measure",
        });
    }
    Ok(settings)
}

/// A list, or one comma-separated text as a variable gives it.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Items(Vec<String>),
        Text(String),
    }
    let items = match Either::deserialize(deserializer)? {
        Either::Items(items) => items,
        Either::Text(text) => text.split(',').map(str::to_owned).collect(),
    };
    let trimmed = items.iter().map(|item| item.trim().to_owned());
    Ok(trimmed.filter(|item| !item.is_empty()).collect())
}

fn read(path: &Path) -> Result<String, SettingsError> {
    std::fs::read_to_string(path).map_err(|error| SettingsError::Unreadable {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

impl FleetSettings {
    /// The secret that edges share.
    pub(crate) fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }

    pub(crate) fn to_nats(&self, node: &NodeId) -> NatsSettings {
        let defaults = NatsSettings::default();
        NatsSettings {
            urls: self.nats.clone(),
            name: format!("tradewind-edge-agent {node}"),
            prefix: self.prefix.clone().unwrap_or(defaults.prefix),
            user: self.user.clone(),
            password: self.password.clone(),
            token: self.token.clone(),
            credentials_file: self.credentials_file.clone(),
            require_tls: self.require_tls,
            ca_file: self.tls_ca_file.clone(),
            certificate_file: self.tls_certificate_file.clone(),
            key_file: self.tls_key_file.clone(),
            replicas: defaults.replicas,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let needed = [
            ("TRADEWIND_EDGE__NODE__ID", "tokyo"),
            ("TRADEWIND_EDGE__FLEET__NATS", "nats://a:4222,nats://b:4222"),
            // Digits that would not survive being read as a number.
            ("TRADEWIND_EDGE__FLEET__KEY", "0012345678901234"),
            ("OTHER__KEY", "x"),
        ];
        let all = needed.iter().chain(variables);
        load(
            None,
            all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn variables_alone_configure_an_agent() {
        let settings = with(&[("TRADEWIND_EDGE__PROBE__BIND", "127.0.0.1:5")]).unwrap();
        assert_eq!(settings.node.id.as_str(), "tokyo");
        assert_eq!(settings.fleet.nats.len(), 2);
        assert_eq!(settings.probe.bind.port(), 5);
        assert!(settings.probe.required);
        assert_eq!(settings.fleet.key(), b"0012345678901234");
        let relaxed = [
            ("TRADEWIND_EDGE__PROBE__REQUIRED", "false"),
            ("TRADEWIND_EDGE__DRAIN__DEADLINE_S", "60"),
        ];
        let relaxed = with(&relaxed).unwrap();
        assert_eq!(
            (relaxed.probe.required, relaxed.drain.deadline_s),
            (false, 60)
        );
    }

    #[test]
    fn the_example_is_good() {
        let file = Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/edge-agent.example.yaml"
        ));
        let settings = load(Some(file), Vec::new()).unwrap();
        assert_eq!(settings.node.id.as_str(), "ND_tokyo1");
        assert_eq!(settings.metrics.bind, Metrics::default().bind);
    }

    #[test]
    fn what_is_misspelt_or_weak_is_refused() {
        assert!(with(&[("TRADEWIND_EDGE__PROBE__BINDD", "127.0.0.1:5")]).is_err());
        assert!(with(&[("TRADEWIND_EDGE__NODE__ID", "a.b")]).is_err());
        let Err(weak) = with(&[("TRADEWIND_EDGE__FLEET__KEY", "short")]) else {
            panic!("a weak key was taken");
        };
        assert!(weak.to_string().contains("fleet.key"), "{weak}");
    }
}
