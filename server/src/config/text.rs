//! Lists that may also be one comma-separated text, as environment variables and flags give them.

use std::fmt::Display;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

/// A list in either form.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum List<T> {
    Items(Vec<T>),
    Text(String),
}

/// Reads a list in either form, each item by its `FromStr`.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    items(deserializer, |item| {
        item.parse().map_err(|error: T::Err| error.to_string())
    })
}

/// Reads a list of networks, in which an address stands for itself alone.
pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    items(deserializer, |item| match item.parse::<IpAddr>() {
        Ok(address) => Ok(address.into()),
        Err(_) => item
            .parse()
            .map_err(|_| "not an IP address or network such as 10.0.0.0/8".to_owned()),
    })
}

fn items<'de, D, T>(
    deserializer: D,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
{
    let items = match List::<String>::deserialize(deserializer)? {
        List::Items(items) => items,
        List::Text(text) => text.split(',').map(str::to_owned).collect(),
    };
    items
        .iter()
        .map(|item| item.trim())
        .filter(|item| !item.is_empty())
        .map(|item| parse(item).map_err(|error| de::Error::custom(format!("\"{item}\": {error}"))))
        .collect()
}
