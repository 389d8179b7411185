//! What an offer and its answer agreed on, as far as packets need it.

/// Payload types and header extension ids of one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) video: u8,
    pub(crate) repair: u8,
    pub(crate) audio: u8,
    pub(crate) transport_cc: Option<u8>,
    pub(crate) mid: Option<u8>,
    pub(crate) rid: Option<u8>,
    pub(crate) repaired_rid: Option<u8>,
    pub(crate) audio_level: Option<u8>,
}

impl Terms {
    /// Reads payload types from our `offer`, and those of its extensions that the `answer` took.
    pub(crate) fn agreed(offer: &str, answer: &str) -> Self {
        let mut terms = Self::default();
        let mut last_video = None;
        for line in offer.lines() {
            if let Some((id, rest)) = attribute(line, "a=rtpmap:") {
                match rest.to_ascii_lowercase().as_str() {
                    "vp8/90000" => {
                        terms.video = id;
                        last_video = Some(id);
                    }
                    "opus/48000/2" => terms.audio = id,
                    _ => {}
                }
            } else if let Some((id, rest)) = attribute(line, "a=fmtp:")
                && last_video.is_some_and(|video| rest == format!("apt={video}"))
            {
                terms.repair = id;
            }
        }
        for (id, uri) in answer
            .lines()
            .filter_map(|line| attribute(line, "a=extmap:"))
        {
            let place = match uri {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01" => {
                    &mut terms.transport_cc
                }
                "urn:ietf:params:rtp-hdrext:sdes:mid" => &mut terms.mid,
                "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id" => &mut terms.rid,
                "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id" => &mut terms.repaired_rid,
                "urn:ietf:params:rtp-hdrext:ssrc-audio-level" => &mut terms.audio_level,
                _ => continue,
            };
            // Larger ids need two-byte extensions, which bots do not write.
            *place = (1..=14).contains(&id).then_some(id);
        }
        terms
    }
}

/// `<name><id>[/direction] <rest>`
fn attribute<'a>(line: &'a str, name: &str) -> Option<(u8, &'a str)> {
    let (id, rest) = line.strip_prefix(name)?.split_once(' ')?;
    let id = id.split('/').next()?.parse().ok()?;
    Some((id, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_from_the_offer_and_extensions_from_the_answer() {
        let offer = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
            a=fmtp:97 apt=96\r\na=rtpmap:111 opus/48000/2\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
            a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n";
        let answer = "a=extmap:4/recvonly urn:ietf:params:rtp-hdrext:sdes:mid\r\n";
        let terms = Terms::agreed(offer, answer);
        assert_eq!((terms.video, terms.repair, terms.audio), (96, 97, 111));
        assert_eq!((terms.mid, terms.rid), (Some(4), None));
    }
}
