//! Keys nobody reads are misspelt keys: they are refused, with the likeliest meaning.

use super::error::Problem;
use super::layer::Layer;

/// Similarity (Jaro-Winkler, 0 to 1) from which a known key is worth suggesting; below it are chance resemblances.
const SUGGEST_FROM: f64 = 0.8;

/// Problems for all keys of `layer` that `known` does not have.
pub(super) fn find(known: &Layer, layer: &Layer) -> Vec<Problem> {
    let known: Vec<String> = known
        .leaves()
        .into_iter()
        .filter(|key| !is_api_key(key))
        .collect();
    layer
        .leaves()
        .into_iter()
        .filter(|key| !known.contains(key) && !is_api_key(key) && !is_empty_section(key, &known))
        .map(|key| Problem {
            origin: layer.origin().to_owned(),
            advice: advice(&key, &known),
            key,
        })
        .collect()
}

/// `keys` holds names of the operator's choice.
fn is_api_key(key: &str) -> bool {
    key == "keys" || key.starts_with("keys.")
}

/// A section whose keys are all commented out is still a section.
fn is_empty_section(key: &str, known: &[String]) -> bool {
    known.iter().any(|name| {
        name.strip_prefix(key)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

fn advice(key: &str, known: &[String]) -> String {
    let likeness = |name: &String| strsim::jaro_winkler(key, name);
    // The same last part in another section is the likelier slip, however unlike the sections are.
    let last = key.rsplit('.').next();
    let moved = known.iter().find(|name| name.rsplit('.').next() == last);
    let nearest = known
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match moved.or(nearest.filter(|name| likeness(name) >= SUGGEST_FROM)) {
        Some(name) => format!("unknown key: did you mean `{name}`?"),
        None => "unknown key: `tradewind config print` lists all keys".to_owned(),
    }
}
