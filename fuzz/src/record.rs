//! Inputs that are a sequence: each record is a tag byte, a length in two bytes (big endian) and its contents.

/// One step of an input.
pub(crate) struct Record<'a> {
    pub(crate) tag: u8,
    /// The length as written; the contents may be shorter at the end of the input.
    pub(crate) length: u16,
    pub(crate) contents: &'a [u8],
}

/// Records of one input; more would only make the fuzzer slow.
const MAX_RECORDS: usize = 64;

/// Cuts an input into records. Every input is a sequence of records.
pub(crate) fn records(mut input: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let ([tag, high, low], rest) = input.split_first_chunk()?;
        let length = u16::from_be_bytes([*high, *low]);
        let (contents, rest) = rest.split_at(usize::from(length).min(rest.len()));
        input = rest;
        Some(Record {
            tag: *tag,
            length,
            contents,
        })
    })
    .take(MAX_RECORDS)
}
