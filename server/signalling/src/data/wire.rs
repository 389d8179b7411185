//! The protobuf wire format, as far as fields must be told apart: <https://protobuf.dev/programming-guides/encoding/>.

use std::ops::Range;
use std::sync::Arc;

use prost::encoding::{WireType, decode_varint, encode_key, encode_varint};
use tradewind_rtc::DataError;

/// A field of a message, by its place in the message's bytes.
pub(super) struct Field {
    pub(super) number: u32,
    /// Key, length and content.
    pub(super) whole: Range<usize>,
    value: Value,
}

enum Value {
    Number(u64),
    Content(Range<usize>),
    Fixed,
}

impl Field {
    /// The place of the bytes of a string, a message or a byte field.
    pub(super) fn content(&self) -> Result<Range<usize>, DataError> {
        match &self.value {
            Value::Content(range) => Ok(range.clone()),
            Value::Number(_) | Value::Fixed => Err(DataError::Malformed),
        }
    }

    pub(super) fn text<'a>(&self, message: &'a [u8]) -> Result<&'a str, DataError> {
        let bytes = message.get(self.content()?).ok_or(DataError::Malformed)?;
        std::str::from_utf8(bytes).map_err(|_| DataError::Malformed)
    }

    pub(super) fn number_value(&self) -> Result<u64, DataError> {
        match self.value {
            Value::Number(number) => Ok(number),
            Value::Content(_) | Value::Fixed => Err(DataError::Malformed),
        }
    }
}

/// The fields within a range of a message's bytes; ends after the first malformed one.
pub(super) struct Fields<'a> {
    message: &'a [u8],
    rest: Range<usize>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'a [u8], range: Range<usize>) -> Self {
        Self {
            message,
            rest: range,
        }
    }

    fn read(&mut self) -> Result<Field, DataError> {
        let start = self.rest.start;
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| DataError::Malformed)?;
        if !(1..=MAX_FIELD_NUMBER).contains(&number) {
            return Err(DataError::Malformed);
        }
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.skip(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| DataError::Malformed)?;
                Value::Content(self.skip(length)?)
            }
            5 => self.skip(4).map(|_| Value::Fixed)?,
            // Groups are deprecated, and no message of the protocol has one.
            _ => return Err(DataError::Malformed),
        };
        Ok(Field {
            number,
            whole: start..self.rest.start,
            value,
        })
    }

    fn varint(&mut self) -> Result<u64, DataError> {
        let mut bytes = self
            .message
            .get(self.rest.clone())
            .ok_or(DataError::Malformed)?;
        let before = bytes.len();
        let number = decode_varint(&mut bytes).map_err(|_| DataError::Malformed)?;
        self.rest.start += before - bytes.len();
        Ok(number)
    }

    fn skip(&mut self, length: usize) -> Result<Range<usize>, DataError> {
        if length > self.rest.len() {
            return Err(DataError::Malformed);
        }
        let start = self.rest.start;
        self.rest.start += length;
        Ok(start..self.rest.start)
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<Field, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest.start = self.rest.end;
        }
        Some(field)
    }
}

/// Field numbers have 29 bits.
const MAX_FIELD_NUMBER: u32 = (1 << 29) - 1;

/// A message put together from pieces of another and new fields, copied once at the end.
pub(super) struct Pieces<'a> {
    message: &'a [u8],
    pieces: Vec<Piece>,
    length: usize,
}

enum Piece {
    Kept(Range<usize>),
    New(Vec<u8>),
}

impl<'a> Pieces<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self {
            message,
            pieces: Vec::new(),
            length: 0,
        }
    }

    /// Appends a part of the old message.
    pub(super) fn keep(&mut self, range: Range<usize>) {
        self.length += range.len();
        match self.pieces.last_mut() {
            Some(Piece::Kept(last)) if last.end == range.start => last.end = range.end,
            _ => self.pieces.push(Piece::Kept(range)),
        }
    }

    /// Appends a string field for each text; empty ones, the default of protobuf, are left out.
    pub(super) fn texts(&mut self, number: u32, texts: &[&str]) {
        let mut bytes = Vec::new();
        for text in texts.iter().filter(|text| !text.is_empty()) {
            encode_key(number, WireType::LengthDelimited, &mut bytes);
            encode_varint(text.len() as u64, &mut bytes);
            bytes.extend_from_slice(text.as_bytes());
        }
        self.length += bytes.len();
        self.pieces.push(Piece::New(bytes));
    }

    /// Appends a message field.
    pub(super) fn nested(&mut self, number: u32, inner: Pieces<'a>) {
        let mut head = Vec::with_capacity(8);
        encode_key(number, WireType::LengthDelimited, &mut head);
        encode_varint(inner.length as u64, &mut head);
        self.length += head.len() + inner.length;
        self.pieces.push(Piece::New(head));
        self.pieces.extend(inner.pieces);
    }

    /// The new message.
    pub(super) fn into_message(self) -> Arc<[u8]> {
        // Filled in place: a `Vec` would be copied once more on its way into the `Arc`.
        let mut target: Arc<[u8]> = std::iter::repeat_n(0, self.length).collect();
        let Some(mut rest) = Arc::get_mut(&mut target) else {
            return target;
        };
        for piece in &self.pieces {
            let bytes = match piece {
                Piece::Kept(range) => self.message.get(range.clone()).unwrap_or_default(),
                Piece::New(bytes) => bytes,
            };
            let Some((place, after)) = rest.split_at_mut_checked(bytes.len()) else {
                break;
            };
            place.copy_from_slice(bytes);
            rest = after;
        }
        target
    }
}
