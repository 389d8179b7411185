//! Access tokens: JSON Web Tokens (RFC 7519) that say who a client is and what it may do.
//!
//! The format is the one public SDKs write: signed with HS256 by the secret of the API key named in `iss`.

mod claims;
mod wire;

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde_json::{Map, Value};

pub use claims::{Claims, VideoGrant};
pub(crate) use wire::room_config;

/// Bytes of a token. Real ones are under 2 KiB; metadata and attributes make the largest.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Characters of an identity.
pub const MAX_IDENTITY_CHARS: usize = 256;
/// Seconds by which the clocks of the token's issuer and this server may differ.
pub const LEEWAY_S: u64 = 60;

/// API keys and their secrets.
#[derive(Clone, Default)]
pub struct Keys(BTreeMap<String, String>);

impl Keys {
    /// The secret of `api_key`. An empty secret is none: anybody could sign with it.
    pub fn secret(&self, api_key: &str) -> Option<&str> {
        self.0
            .get(api_key)
            .map(String::as_str)
            .filter(|secret| !secret.is_empty())
    }

    /// The first key in alphabetical order, for tokens the server itself issues.
    pub fn first(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }
}

impl From<BTreeMap<String, String>> for Keys {
    fn from(secrets: BTreeMap<String, String>) -> Self {
        Self(secrets)
    }
}

impl FromIterator<(String, String)> for Keys {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(secrets: I) -> Self {
        Self(secrets.into_iter().collect())
    }
}

impl fmt::Debug for Keys {
    // Secrets must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a token was refused, in words for the developer who holds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error(
        "the token is longer than {MAX_TOKEN_BYTES} bytes: put less into metadata and attributes"
    )]
    TooLong,
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    #[error("the token is not signed: sign it with HS256 and the API secret")]
    Unsigned,
    #[error("the token is signed with another algorithm than HS256")]
    WrongAlgorithm,
    #[error("the token's issuer is no API key of this server: check the API key")]
    UnknownApiKey,
    #[error("the token's signature does not match: check the API secret")]
    BadSignature,
    #[error("the token has no expiry: set `exp`")]
    NoExpiry,
    #[error("the token has expired: issue a new one")]
    Expired,
    #[error("the token is not valid yet: check the clock of its issuer")]
    NotYetValid,
    #[error("the identity is longer than {MAX_IDENTITY_CHARS} characters")]
    IdentityTooLong,
}

/// Checks a token's signature and times and reads its claims.
///
/// # Errors
/// The first reason to refuse it. Whatever the bytes, the work is bounded by [`MAX_TOKEN_BYTES`].
pub fn verify(keys: &Keys, token: &str, now_unix_s: u64) -> Result<Claims, TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong);
    }
    let (message, signature) = token
        .rsplit_once('.')
        .ok_or(TokenError::Malformed("three parts are needed"))?;
    let (header, payload) = message
        .split_once('.')
        .ok_or(TokenError::Malformed("three parts are needed"))?;
    check_header(&json_part(header)?)?;

    // The issuer is read before it is proven only to find the secret that proves it.
    let payload = json_part(payload)?;
    let api_key = payload
        .get("iss")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let secret = keys.secret(&api_key).ok_or(TokenError::UnknownApiKey)?;
    let key = DecodingKey::from_secret(secret.as_bytes());
    let genuine =
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, Algorithm::HS256);
    if !matches!(genuine, Ok(true)) {
        return Err(TokenError::BadSignature);
    }

    let claims = wire::read(api_key, payload)?;
    if claims.not_before_s > now_unix_s.saturating_add(LEEWAY_S) {
        return Err(TokenError::NotYetValid);
    }
    if now_unix_s >= claims.claims.expires_at_s.saturating_add(LEEWAY_S) {
        return Err(TokenError::Expired);
    }
    if claims.claims.identity.chars().count() > MAX_IDENTITY_CHARS {
        return Err(TokenError::IdentityTooLong);
    }
    Ok(claims.claims)
}

/// Issues a token that holds `claims`, valid from `now_unix_s` for `ttl_s` seconds, signed with the secret of
/// `claims.api_key`, or of [`Keys::first`] where that is empty. `claims.expires_at_s` is not used.
///
/// Claims that came from [`verify`] give a refreshed token that keeps everything the first one said.
///
/// # Errors
/// [`TokenError::UnknownApiKey`].
pub fn sign(
    keys: &Keys,
    claims: &Claims,
    now_unix_s: u64,
    ttl_s: u64,
) -> Result<String, TokenError> {
    let api_key = if claims.api_key.is_empty() {
        keys.first().unwrap_or_default()
    } else {
        &claims.api_key
    };
    let secret = keys.secret(api_key).ok_or(TokenError::UnknownApiKey)?;
    let payload = wire::write(api_key, claims, now_unix_s, ttl_s);
    jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &payload,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .map_err(|_| TokenError::Malformed("the claims cannot be written"))
}

fn json_part(part: &str) -> Result<Map<String, Value>, TokenError> {
    // SDKs write no padding (RFC 7515 section 2), so none is accepted.
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenError::Malformed("a part is not base64url"))?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed("a part is not a JSON object"))
}

fn check_header(header: &Map<String, Value>) -> Result<(), TokenError> {
    let algorithm = header
        .get("alg")
        .and_then(Value::as_str)
        .ok_or(TokenError::Malformed("no `alg`"))?;
    if algorithm.eq_ignore_ascii_case("none") {
        return Err(TokenError::Unsigned);
    }
    if algorithm != "HS256" {
        return Err(TokenError::WrongAlgorithm);
    }
    if header.contains_key("crit") {
        // RFC 7515 section 4.1.11: extensions that must be understood, and are not, refuse the token.
        return Err(TokenError::Malformed("`crit` is not supported"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
