//! Requests as they arrive, and what is made of them once every bound is checked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tradewind_signalling::token::MAX_IDENTITY_CHARS;

use crate::calls::book::MAX_PARTIES;
use crate::calls::call::{Details, Party, Presence, Probe, Role, Stamp, UnixMs};
use crate::http::problem::{Kind, Problem};

/// Characters of a person's name; the rest is cut.
const MAX_NAME_CHARS: usize = 80;
/// Characters of a language tag (RFC 5646 section 4.4.1).
const MAX_LANGUAGE_CHARS: usize = 35;
/// Characters of scenario, tenant, residency and region.
const MAX_WORD_CHARS: usize = 128;
/// Bytes of an application's own data about a call, as JSON.
const MAX_CUSTOM_BYTES: usize = 16 * 1024;
/// Nodes a client may have measured.
const MAX_PROBES: usize = 64;
/// Samples of one probe that count.
const MAX_SAMPLES: u32 = 100;
/// Round trip that is a mistake, milliseconds.
const MAX_RTT_MS: f64 = 60_000.0;
/// Seconds a token for a party is good for at least and at most.
const TOKEN_TTL_S: std::ops::RangeInclusive<u64> = 30..=86_400;
/// Seconds a token is good for unless the request says otherwise: time to pass it on and to join.
const DEFAULT_TOKEN_TTL_S: u64 = 900;

/// A JSON body; what is wrong with it is a typed problem.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(refused(&rejection)),
        }
    }
}

fn refused(rejection: &JsonRejection) -> Problem {
    let text = rejection.body_text();
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::of(
            Kind::TooLarge,
            format!("{text}: leave out custom data or parties, and add parties afterwards"),
        ),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send JSON with Content-Type: application/json",
        ),
        _ => Problem::of(Kind::InvalidRequest, text),
    }
}

/// Body of `POST /v1/calls`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateCall {
    #[serde(default)]
    language: String,
    #[serde(default)]
    scenario: String,
    #[serde(default)]
    residency: String,
    #[serde(default)]
    tenant: String,
    #[serde(default)]
    custom: Map<String, Value>,
    parties: Vec<NewParty>,
}

/// A party as an application describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewParty {
    role: Role,
    #[serde(default)]
    identity: String,
    #[serde(default)]
    name: String,
    /// An address, or a network as `203.0.113.0/24`.
    address: Option<String>,
    #[serde(default)]
    region: String,
    #[serde(default)]
    probes: Vec<NewProbe>,
    token_ttl_s: Option<u64>,
}

/// What a client measured to one node.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProbe {
    node: String,
    rtt_ms: f64,
    #[serde(default = "one")]
    samples: u32,
}

fn one() -> u32 {
    1
}

/// Somebody to be let into a call, and for how long the token is good.
pub(super) struct Guest {
    pub(super) party: Party,
    pub(super) token_ttl_s: u64,
}

impl CreateCall {
    /// Reads a body that was kept as a value for its fingerprint.
    pub(super) fn read(body: Value) -> Result<Self, Problem> {
        serde_json::from_value(body)
            .map_err(|error| Problem::of(Kind::InvalidRequest, error.to_string()))
    }

    /// Checks everything. `id` gives parties without identity one that is the same in a repeat.
    pub(super) fn check(
        self,
        id: &str,
        now_ms: UnixMs,
    ) -> Result<(Details, BTreeMap<String, Guest>), Problem> {
        let custom = Value::Object(self.custom);
        if custom.to_string().len() > MAX_CUSTOM_BYTES {
            return Err(Problem::of(
                Kind::TooLarge,
                format!(
                    "custom: more than {MAX_CUSTOM_BYTES} bytes: keep an id here and the rest with you"
                ),
            ));
        }
        let Value::Object(custom) = custom else {
            return Err(invalid("custom", "write an object"));
        };
        let details = Details {
            language: language(&self.language)
                .ok_or_else(|| invalid("language", "write a tag such as ja or pt-BR"))?,
            scenario: word("scenario", self.scenario)?,
            residency: word("residency", self.residency)?,
            tenant: word("tenant", self.tenant)?,
            custom,
        };
        if self.parties.is_empty() {
            return Err(invalid("parties", "name at least one"));
        }
        if self.parties.len() > MAX_PARTIES {
            let detail = format!("parties: at most {MAX_PARTIES}: create another call");
            return Err(Problem::of(Kind::TooManyParties, detail));
        }
        let mut guests = BTreeMap::new();
        for (index, party) in self.parties.into_iter().enumerate() {
            let field = format!("parties[{index}]");
            let guest = party.check(&field, &format!("{id}{index}"), now_ms)?;
            if let Some(twin) = guests.insert(guest.party.identity.clone(), guest) {
                let advice = format!("\"{}\" is named twice", twin.party.identity);
                return Err(invalid(&format!("{field}.identity"), &advice));
            }
        }
        Ok((details, guests))
    }
}

impl NewParty {
    /// Checks everything. A party without identity gets one made of `seed`.
    pub(super) fn check(self, field: &str, seed: &str, now_ms: UnixMs) -> Result<Guest, Problem> {
        let at = |name: &str| format!("{field}.{name}");
        let identity = if self.identity.is_empty() {
            format!(
                "{}-{}",
                self.role.as_str(),
                fingerprint(&[seed.as_bytes()], 12)
            )
        } else if self.identity.chars().count() <= MAX_IDENTITY_CHARS {
            self.identity
        } else {
            let advice = format!("at most {MAX_IDENTITY_CHARS} characters");
            return Err(invalid(&at("identity"), &advice));
        };
        let token_ttl_s = self.token_ttl_s.unwrap_or(DEFAULT_TOKEN_TTL_S);
        if !TOKEN_TTL_S.contains(&token_ttl_s) {
            let (least, most) = TOKEN_TTL_S.into_inner();
            let advice = format!("choose {least} to {most} seconds");
            return Err(invalid(&at("token_ttl_s"), &advice));
        }
        let address = self.address.as_deref().map(|text| {
            let address = text.parse::<IpAddr>();
            let address = address.or_else(|_| text.parse::<IpNet>().map(|net| net.network()));
            address.map_err(|_| invalid(&at("address"), "write 203.0.113.7 or 203.0.113.0/24"))
        });
        let party = Party {
            identity,
            role: self.role,
            name: cleaned(&self.name),
            region: word(&at("region"), self.region)?,
            address: address.transpose()?,
            place: None,
            probes: probes(&at("probes"), self.probes, now_ms)?,
            node: String::new(),
            presence: Presence::Expected {
                until_ms: now_ms.saturating_add(token_ttl_s * 1_000),
            },
            predicted_rtt_ms: None,
            measured_rtt_ms: None,
            stamp: Stamp::default(),
        };
        Ok(Guest { party, token_ttl_s })
    }
}

/// Checks measurements of a client.
pub(super) fn probes(
    field: &str,
    probes: Vec<NewProbe>,
    now_ms: UnixMs,
) -> Result<BTreeMap<String, Probe>, Problem> {
    if probes.len() > MAX_PROBES {
        return Err(invalid(field, &format!("at most {MAX_PROBES}")));
    }
    let mut checked = BTreeMap::new();
    for probe in probes {
        if !(probe.rtt_ms > 0.0 && probe.rtt_ms <= MAX_RTT_MS) {
            let advice = format!(
                "rtt_ms is no round trip: leave out nodes that gave no answer (up to {MAX_RTT_MS} ms)"
            );
            return Err(invalid(field, &advice));
        }
        let measured = Probe {
            rtt_ms: probe.rtt_ms,
            samples: probe.samples.clamp(1, MAX_SAMPLES),
            at_ms: now_ms,
        };
        checked.insert(word(field, probe.node)?, measured);
    }
    Ok(checked)
}

/// A name as people write it: no control characters, no endless text.
pub(super) fn cleaned(name: &str) -> String {
    let visible: String = name
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_NAME_CHARS)
        .collect();
    visible.trim().to_owned()
}

/// A language tag, if it is one.
pub(super) fn language(tag: &str) -> Option<String> {
    let good = tag.len() <= MAX_LANGUAGE_CHARS
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    good.then(|| tag.to_owned())
}

fn word(field: &str, text: String) -> Result<String, Problem> {
    if text.chars().count() > MAX_WORD_CHARS || text.chars().any(char::is_control) {
        let advice = format!("at most {MAX_WORD_CHARS} visible characters");
        return Err(invalid(field, &advice));
    }
    Ok(text)
}

pub(super) fn invalid(field: &str, advice: &str) -> Problem {
    Problem::of(Kind::InvalidRequest, format!("{field}: {advice}"))
}

/// Text of `length` characters that follows from `parts` and tells nothing about them.
pub(super) fn fingerprint(parts: &[&[u8]], length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut hash = Sha256::new();
    for part in parts {
        // With the length in front, ("a", "bc") and ("ab", "c") differ.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    digest
        .iter()
        .take(length)
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(json: &str) -> Result<Guest, Problem> {
        let party: NewParty = serde_json::from_str(json).unwrap();
        party.check("parties[0]", "CL_a0", 1_000)
    }

    #[test]
    fn a_party_may_give_an_address_or_its_network() {
        let address = |text: &str| {
            let json = format!(r#"{{"role":"shopper","address":"{text}"}}"#);
            party(&json).ok().and_then(|guest| guest.party.address)
        };
        assert_eq!(address("203.0.113.7"), "203.0.113.7".parse().ok());
        assert_eq!(address("203.0.113.7/24"), "203.0.113.0".parse().ok());
        assert_eq!(address("2001:db8:1::/48"), "2001:db8:1::".parse().ok());
        assert_eq!(address("example.com"), None);
    }

    #[test]
    fn a_party_without_identity_gets_the_same_one_in_a_repeat() {
        let identity = || {
            party(r#"{"role":"agent"}"#)
                .ok()
                .map(|guest| guest.party.identity)
        };
        assert!(identity().is_some_and(|identity| identity.starts_with("agent-")));
        assert_eq!(identity(), identity());
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        for json in [
            r#"{"role":"agent","token_ttl_s":5}"#,
            r#"{"role":"agent","probes":[{"node":"a","rtt_ms":0}]}"#,
            r#"{"role":"agent","probes":[{"node":"a","rtt_ms":-3}]}"#,
            r#"{"role":"agent","region":"a\u0000b"}"#,
        ] {
            assert!(party(json).is_err(), "{json}");
        }
        let long = format!(r#"{{"role":"agent","identity":"{}"}}"#, "x".repeat(300));
        assert!(party(&long).is_err());
    }

    #[test]
    fn fingerprints_tell_where_one_part_ends() {
        assert_ne!(
            fingerprint(&[b"a", b"bc"], 20),
            fingerprint(&[b"ab", b"c"], 20)
        );
        assert_eq!(fingerprint(&[b"a"], 20).len(), 20);
    }
}
