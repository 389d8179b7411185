//! One source of configuration as a tree of values that know where they come from.

use std::path::Path;

use config::{ConfigError as ValueError, File, FileFormat, Map, Source, Value, ValueKind};

use super::error::ConfigError;

/// Variables that start so are configuration; `__` separates the parts of a key.
const ENVIRONMENT_PREFIX: &str = "TRADEWIND__";

/// Values of one source.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    origin: String,
    pub(super) values: Map<String, Value>,
}

impl Layer {
    pub(super) fn new(origin: &str, values: Map<String, Value>) -> Self {
        Self {
            origin: origin.to_owned(),
            values,
        }
    }

    /// Reads a YAML file.
    ///
    /// # Errors
    /// The file cannot be read, or is not YAML: then with line and column.
    pub(super) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let values = File::from_str(&text, FileFormat::Yaml)
            .collect()
            .map_err(|error| ConfigError::NotYaml {
                path: path.to_owned(),
                reason: match error {
                    ValueError::FileParse { cause, .. } => cause.to_string(),
                    other => other.to_string(),
                },
            })?;
        Ok(Self {
            origin: path.display().to_string(),
            values,
        })
    }

    /// Reads `TRADEWIND__A__B=value` as key `a.b`.
    pub(super) fn from_environment(variables: &[(String, String)]) -> Self {
        let mut layer = Self::new("environment", Map::new());
        for (name, value) in variables {
            let Some(name) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            let mut path: Vec<String> = name.split("__").map(str::to_lowercase).collect();
            if let ([first, _], Some((_, key))) = (&path[..], name.split_once("__"))
                && first == "keys"
            {
                // API keys are names of the operator's choice: their case counts.
                path = vec!["keys".to_owned(), key.to_owned()];
            }
            layer.insert(&path, value);
        }
        layer
    }

    /// Reads `a.b=value`.
    ///
    /// # Errors
    /// A flag without `=`.
    pub(super) fn from_flags(flags: &[String]) -> Result<Self, ConfigError> {
        let mut layer = Self::new("flag", Map::new());
        for flag in flags {
            let (key, value) = flag.split_once('=').ok_or_else(|| {
                // Only what may be a key is shown: the rest may be a secret.
                ConfigError::problem(
                    "--set",
                    "write it as --set key=value, such as --set http.bind=127.0.0.1:7880",
                )
            })?;
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            layer.insert(&path, value);
        }
        Ok(layer)
    }

    /// Full key and source of each value.
    pub(super) fn origins(&self) -> Vec<(String, String)> {
        self.leaves()
            .into_iter()
            .map(|key| (key, self.origin.clone()))
            .collect()
    }

    /// The source, for messages.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Full keys of all values.
    pub(super) fn leaves(&self) -> Vec<String> {
        let mut keys = Vec::new();
        collect_leaves("", &self.values, &mut keys);
        keys.sort();
        keys
    }

    fn insert(&mut self, path: &[String], value: &str) {
        let Some((last, parents)) = path.split_last() else {
            return;
        };
        let mut table = &mut self.values;
        for part in parents {
            let entry = table
                .entry(part.clone())
                .or_insert_with(|| Value::new(None, ValueKind::Table(Map::new())));
            if !matches!(entry.kind, ValueKind::Table(_)) {
                entry.kind = ValueKind::Table(Map::new());
            }
            let ValueKind::Table(inner) = &mut entry.kind else {
                return;
            };
            table = inner;
        }
        table.insert(
            last.clone(),
            Value::new(Some(&self.origin), ValueKind::String(value.to_owned())),
        );
    }
}

fn collect_leaves(prefix: &str, table: &Map<String, Value>, keys: &mut Vec<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match &value.kind {
            ValueKind::Table(inner) if !inner.is_empty() => collect_leaves(&path, inner, keys),
            _ => keys.push(path),
        }
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ValueError> {
        Ok(self.values.clone())
    }
}
