//! Datagrams in a byte stream (RFC 4571): each behind its length in two bytes, big endian.

/// Largest frame taken from a client. Its datagrams fit the path's MTU, so a longer frame is not ICE.
pub(crate) const MAX_FRAME: usize = 1_500;

/// The stream holds a frame longer than [`MAX_FRAME`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("frame of {0} bytes: no more than {MAX_FRAME} are taken")]
pub(crate) struct FrameTooLong(usize);

/// Cuts a stream into frames. Holds at most one read and one frame.
#[derive(Debug, Default)]
pub(crate) struct Deframer {
    buffer: Vec<u8>,
    /// Bytes of `buffer` already given out.
    taken: usize,
}

impl Deframer {
    /// Adds what was read from the stream. Call [`Self::next`] until `None` before the next read.
    pub(crate) fn push(&mut self, read: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(read);
    }

    /// The next whole frame; `None` = read on.
    ///
    /// # Errors
    /// The stream is not ICE and must be closed.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, FrameTooLong> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length > MAX_FRAME {
            return Err(FrameTooLong(length));
        }
        let Some(frame) = rest.get(..length) else {
            return Ok(None);
        };
        self.taken += 2 + length;
        Ok(Some(frame))
    }
}

/// Appends the datagram as a frame. A datagram too long for the length field is left out.
pub(crate) fn append_frame(stream: &mut Vec<u8>, datagram: &[u8]) {
    if let Ok(length) = u16::try_from(datagram.len()) {
        stream.extend_from_slice(&length.to_be_bytes());
        stream.extend_from_slice(datagram);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn deframe(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, FrameTooLong> {
        let mut deframer = Deframer::default();
        let mut frames = Vec::new();
        for piece in pieces {
            deframer.push(piece);
            while let Some(frame) = deframer.next()? {
                frames.push(frame.to_vec());
            }
            assert!(deframer.buffer.len() - deframer.taken < MAX_FRAME + 2);
        }
        Ok(frames)
    }

    #[test]
    fn a_frame_beyond_the_limit_ends_the_stream() {
        assert_eq!(deframe(&[&[0xff, 0xff]]), Err(FrameTooLong(0xffff)));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut_of_the_stream(
            datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=MAX_FRAME), 0..12),
            piece in 1usize..4000,
        ) {
            let mut stream = Vec::new();
            for datagram in &datagrams {
                append_frame(&mut stream, datagram);
            }
            let pieces: Vec<&[u8]> = stream.chunks(piece).collect();
            prop_assert_eq!(deframe(&pieces), Ok(datagrams));
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(
            stream in prop::collection::vec(any::<u8>(), 0..5000),
            piece in 1usize..3000,
        ) {
            let pieces: Vec<&[u8]> = stream.chunks(piece).collect();
            if let Ok(frames) = deframe(&pieces) {
                prop_assert!(frames.iter().all(|frame| frame.len() <= MAX_FRAME));
            }
        }
    }
}
