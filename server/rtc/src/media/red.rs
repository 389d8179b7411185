//! Redundant audio, RFC 2198.

/// The newest block of a redundant packet: what a receiver that knows no redundancy gets. `None` if malformed.
pub fn primary(payload: &[u8]) -> Option<&[u8]> {
    let mut headers = 0;
    let mut redundant = 0;
    loop {
        let first = *payload.get(headers)?;
        if first & 0x80 == 0 {
            headers += 1;
            break;
        }
        let length = payload.get(headers + 2..headers + 4)?;
        redundant += usize::from(length[0] & 0x03) << 8 | usize::from(length[1]);
        headers += 4;
    }
    payload.get(headers + redundant..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_newest_block_comes_last() {
        // One redundant block of three bytes, then the primary.
        let packet = [0x80 | 111, 0, 0, 3, 111, 1, 2, 3, 9, 8];
        assert_eq!(primary(&packet), Some(&[9, 8][..]));
        assert_eq!(primary(&[111, 7]), Some(&[7][..]));
        assert_eq!(primary(&[0x80 | 111, 0, 3, 255, 111, 1]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = primary(&payload);
        }
    }
}
