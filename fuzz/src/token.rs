//! Access tokens of anybody.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use tradewind_signalling::token::{Claims, Keys, MAX_IDENTITY_CHARS, sign, verify};

use crate::Verdict;
use crate::call::NOW_UNIX_S;

const KEY: &str = "devkey";
const SECRET: &str = "secret";
/// `{"alg":"HS256","typ":"JWT"}`
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Input: a byte, then by its lowest bit 0 = a token, 1 = claims in JSON that are signed first.
///
/// Rules: an accepted token names the key it was signed with and has not expired; and a refreshed token says what the
/// first one said.
pub fn token(input: &[u8]) -> Verdict {
    let Some((form, rest)) = input.split_first() else {
        return Verdict::Refused;
    };
    let token = match form & 1 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        _ => signed(rest),
    };
    let keys: Keys = [(KEY.to_owned(), SECRET.to_owned())].into_iter().collect();
    let Ok(claims) = verify(&keys, &token, NOW_UNIX_S) else {
        return Verdict::Refused;
    };
    assert_eq!(claims.api_key, KEY);
    assert!(claims.expires_at_s > NOW_UNIX_S - 60);
    assert!(claims.identity.chars().count() <= MAX_IDENTITY_CHARS);

    let refreshed = sign(&keys, &claims, NOW_UNIX_S, 600).expect("the key is known");
    // A refreshed token writes out what was left to defaults, so it may have become too long.
    if let Ok(again) = verify(&keys, &refreshed, NOW_UNIX_S) {
        assert_eq!(essence(again), essence(claims));
    }
    Verdict::Accepted
}

/// The claims without what a refresh changes.
fn essence(claims: Claims) -> Claims {
    Claims {
        expires_at_s: 0,
        other: Default::default(),
        ..claims
    }
}

fn signed(claims: &[u8]) -> String {
    let message = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature =
        crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("HS256 is supported");
    format!("{message}.{signature}")
}
