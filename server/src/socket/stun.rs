//! Just enough STUN (RFC 8489) to find the shard an ICE/TCP connection belongs to.

const BINDING_REQUEST: u16 = 0x0001;
const MAGIC_COOKIE: u32 = 0x2112_a442;
const HEADER_BYTES: usize = 20;
const USERNAME: u16 = 0x0006;

/// The server's ICE user fragment a binding request is for: USERNAME up to its colon (RFC 8445 section 7.2.2).
/// `None` if this is no binding request of ICE. The message is not authenticated.
pub(crate) fn binding_request_fragment(datagram: &[u8]) -> Option<&str> {
    let (header, mut attributes) = datagram.split_at_checked(HEADER_BYTES)?;
    let length = usize::from(be_u16(header, 2)?);
    let cookie = u32::from(be_u16(header, 4)?) << 16 | u32::from(be_u16(header, 6)?);
    if be_u16(header, 0)? != BINDING_REQUEST || cookie != MAGIC_COOKIE || length != attributes.len()
    {
        return None;
    }
    loop {
        let kind = be_u16(attributes, 0)?;
        let length = usize::from(be_u16(attributes, 2)?);
        let value = attributes.get(4..4 + length)?;
        if kind == USERNAME {
            let (local, _remote) = std::str::from_utf8(value).ok()?.split_once(':')?;
            return (!local.is_empty()).then_some(local);
        }
        // Values are padded to a multiple of four bytes.
        attributes = attributes.get(4 + length.next_multiple_of(4)..)?;
    }
}

fn be_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// A binding request as ICE agents send it, without integrity.
#[cfg(test)]
pub(crate) fn binding_request(username: &str) -> Vec<u8> {
    let mut attributes = vec![0x80, 0x22, 0, 3, b'i', b'c', b'e', 0];
    attributes.extend_from_slice(&USERNAME.to_be_bytes());
    attributes.extend_from_slice(&(username.len() as u16).to_be_bytes());
    attributes.extend_from_slice(username.as_bytes());
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    let mut message = BINDING_REQUEST.to_be_bytes().to_vec();
    message.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    message.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
    message.extend_from_slice(&[7; 12]);
    message.extend_from_slice(&attributes);
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fragment_before_the_colon_is_ours() {
        assert_eq!(
            binding_request_fragment(&binding_request("ours1:theirs")),
            Some("ours1")
        );
    }

    #[test]
    fn other_messages_have_no_fragment() {
        let request = binding_request("ours:theirs");
        let mut response = request.clone();
        response[0] = 1;
        assert_eq!(binding_request_fragment(&response), None);
        assert_eq!(binding_request_fragment(&binding_request(":theirs")), None);
        assert_eq!(binding_request_fragment(&binding_request("ours")), None);
        for length in 0..request.len() {
            assert_eq!(binding_request_fragment(&request[..length]), None);
        }
    }

    proptest! {
        #[test]
        fn never_panics_on_any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..200), flip in any::<bool>()) {
            if flip {
                // Past the header check, so that attributes are read.
                let mut request = binding_request("a:b");
                request.truncate(HEADER_BYTES);
                request[2..4].copy_from_slice(&(bytes.len() as u16).to_be_bytes());
                request.append(&mut bytes);
                bytes = request;
            }
            let _ = binding_request_fragment(&bytes);
        }
    }
}
