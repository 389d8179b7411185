//! The effective configuration as YAML that could be read back, each key with where it comes from.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::Loaded;

/// YAML with the origin of each key as a comment; secrets are redacted.
pub(crate) fn print(loaded: &Loaded) -> String {
    let mut text = String::new();
    if let Ok(Value::Object(tree)) = serde_json::to_value(&loaded.settings) {
        for (name, value) in &tree {
            write_value(&mut text, &loaded.origins, name, name, value, 0);
        }
    }
    text
}

fn write_value(
    text: &mut String,
    origins: &BTreeMap<String, String>,
    path: &str,
    name: &str,
    value: &Value,
    depth: usize,
) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(section) if !section.is_empty() => {
            let _ = writeln!(text, "{indent}{name}:");
            for (key, value) in section {
                write_value(
                    text,
                    origins,
                    &format!("{path}.{key}"),
                    key,
                    value,
                    depth + 1,
                );
            }
        }
        // JSON is YAML, so values need no writer of their own.
        leaf => {
            let origin = origins.get(path).map_or("default", String::as_str);
            let _ = writeln!(text, "{indent}{name}: {leaf}  # {origin}");
        }
    }
}
