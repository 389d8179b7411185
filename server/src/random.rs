//! Random identifiers from the operating system.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Text of `length` characters with 6 unguessable bits each.
///
/// # Panics
/// The operating system has no randomness: nothing secret can be made then.
pub(crate) fn text(length: usize) -> String {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes)
        .unwrap_or_else(|error| panic!("no randomness from the operating system: {error}"));
    bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 64)]))
        .collect()
}

/// A number from 0 to 1, for jitter.
pub(crate) fn fraction() -> f64 {
    let number = getrandom::u32()
        .unwrap_or_else(|error| panic!("no randomness from the operating system: {error}"));
    f64::from(number) / f64::from(u32::MAX)
}
