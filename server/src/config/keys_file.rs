//! API keys in a file of their own, as secret mounts provide them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::ConfigError;
use super::secret::Secret;

/// Bytes of a keys file; thousands of keys. Guards against a path that leads to something endless.
const MAX_BYTES: u64 = 1024 * 1024;
/// Permission bits of others.
const OTHERS: u32 = 0o007;

/// Reads `key: secret` lines.
///
/// # Errors
/// The file cannot be read, others can read it, or a line is not `key: secret` (named by number, never by content).
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Secret>, ConfigError> {
    let unreadable = |error: std::io::Error| ConfigError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(ConfigError::OpenToOthers {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(unreadable)?;

    let mut keys = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pair = line
            .split_once(':')
            .map(|(key, secret)| (key.trim(), secret.trim()));
        let Some((key, secret)) =
            pair.filter(|(key, secret)| !key.is_empty() && !secret.is_empty())
        else {
            let advice = format!("line {}: write it as `key: secret`", number + 1);
            return Err(ConfigError::KeysFile {
                path: path.to_owned(),
                advice,
            });
        };
        keys.insert(unquoted(key).to_owned(), Secret::from(unquoted(secret)));
    }
    if keys.is_empty() {
        let advice = "holds no keys: write one `key: secret` a line".to_owned();
        return Err(ConfigError::KeysFile {
            path: path.to_owned(),
            advice,
        });
    }
    Ok(keys)
}

fn unquoted(text: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(text)
}
