//! The effective configuration as YAML that could be read back, each key with where it comes from.

use std::fmt::{Result, Write};

use serde_json::Value;

use super::Loaded;

/// YAML with the origin of each key as a comment; secrets are redacted.
pub(crate) fn print(loaded: &Loaded) -> String {
    let mut text = String::new();
    if let Ok(Value::Object(tree)) = serde_json::to_value(&loaded.settings) {
        for (name, value) in &tree {
            // Writing to a String does not fail.
            let _ = write_value(&mut text, loaded, name, value, 0);
        }
    }
    text
}

fn write_value(
    text: &mut String,
    loaded: &Loaded,
    path: &str,
    value: &Value,
    depth: usize,
) -> Result {
    let indent = "  ".repeat(depth);
    let name = path.rsplit('.').next().unwrap_or(path);
    match value {
        Value::Object(section) if !section.is_empty() => {
            writeln!(text, "{indent}{name}:")?;
            for (key, value) in section {
                write_value(text, loaded, &format!("{path}.{key}"), value, depth + 1)?;
            }
            Ok(())
        }
        // JSON is YAML, so values need no writer of their own.
        leaf => {
            let origin = loaded
                .origins
                .get(path)
                .map_or(loaded.preset, String::as_str);
            writeln!(text, "{indent}{name}: {leaf}  # {origin}")
        }
    }
}
