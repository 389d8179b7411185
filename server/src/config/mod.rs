//! Configuration: preset, then file, then environment, then flags; what is misspelt or out of range is refused.

mod check;
mod defaults;
mod derived;
mod error;
mod keys_file;
mod layer;
mod print;
mod secret;
mod settings;
mod text;
mod unknown;

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::{Config, Map, Value};

use layer::Layer;

pub(crate) use derived::is_loopback_host;
pub(crate) use error::ConfigError;
pub(crate) use print::print;
pub(crate) use settings::*;

/// Where the configuration comes from, weakest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// Start from the preset of `--dev` instead of the defaults.
    pub(crate) dev: bool,
    pub(crate) file: Option<PathBuf>,
    /// All environment variables; those that do not start with `TRADEWIND__` are not looked at.
    pub(crate) environment: Vec<(String, String)>,
    /// `key=value`, as `--set` gives them.
    pub(crate) flags: Vec<String>,
}

/// The effective configuration, and which source each key comes from.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// By full key, for keys that do not come from the preset.
    pub(crate) origins: BTreeMap<String, String>,
    /// What the other keys come from: `default` or `--dev`.
    pub(crate) preset: &'static str,
}

/// Reads and checks the configuration.
///
/// # Errors
/// Everything that is wrong with it, by file and key, and what to do.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let preset = if sources.dev {
        Settings::dev()
    } else {
        Settings::default()
    };
    let known = preset.to_layer();
    let layers = [
        sources.file.as_deref().map(Layer::from_file).transpose()?,
        Some(Layer::from_environment(&sources.environment)),
        Some(Layer::from_flags(&sources.flags)?),
    ];

    let mut builder = Config::builder().add_source(known.clone());
    let mut origins = BTreeMap::new();
    let mut misspelt = Vec::new();
    for layer in layers.into_iter().flatten() {
        misspelt.extend(unknown::find(&known, &layer));
        origins.extend(layer.origins());
        builder = builder.add_source(layer);
    }
    if !misspelt.is_empty() {
        return Err(ConfigError::Problems(misspelt));
    }

    let read: Result<Settings, _> = builder.build().and_then(Config::try_deserialize);
    let mut settings = read.map_err(|error| ConfigError::from_value(error, &origins))?;
    if let Some(path) = &settings.keys_file {
        settings.keys.extend(keys_file::read(path)?);
    }
    check::check(&settings, sources.dev, &origins)?;
    if settings.is_local() {
        let lifted = settings.lift_limits_per_ip(|key| origins.contains_key(key));
        origins.extend(
            lifted
                .into_iter()
                .map(|key| (key.to_owned(), "loopback".to_owned())),
        );
    }
    if settings.node.id.is_empty() {
        settings.node.id = format!("ND_{}", crate::random::text(12));
        origins.insert("node.id".to_owned(), "random".to_owned());
    }
    Ok(Loaded {
        settings,
        origins,
        preset: if sources.dev { "--dev" } else { "default" },
    })
}

impl Settings {
    /// The settings as the weakest layer, secrets included.
    fn to_layer(&self) -> Layer {
        let tree =
            serde_json::to_value(self).and_then(serde_json::from_value::<Map<String, Value>>);
        let mut values = tree.unwrap_or_default();
        let keys: Map<String, String> = self
            .keys
            .iter()
            .map(|(key, secret)| (key.clone(), secret.expose().to_owned()))
            .collect();
        values.insert("keys".to_owned(), keys.into());
        Layer::new("preset", values)
    }
}

#[cfg(test)]
mod tests;
