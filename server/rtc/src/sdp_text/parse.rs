//! Reads descriptions for str0m, each line once.
//!
//! To read lines is most of what a negotiation costs. Clients repeat all codecs, with all header extensions, in every
//! section: these lines are read in the first section that has them, and copied to the others. Lines that str0m reads
//! past are left out. What it gets is the same as if it had read the whole text, but for the order of attributes of
//! different kinds, which means nothing.

use str0m::change::{SdpAnswer, SdpOffer};
use str0m::error::SdpError;

/// Attributes of a media section that str0m makes no use of. All its sessions multiplex, trickle and mix extensions; of
/// the feedback (`a=rtcp-fb`, RFC 4585) of a remote peer, transport-wide congestion control alone is looked at.
const UNUSED: [&str; 7] = [
    "a=rtcp-fb:",
    "a=rtcp:",
    "a=rtcp-mux",
    "a=rtcp-rsize",
    "a=ice-options:",
    "a=extmap-allow-mixed",
    "a=end-of-candidates",
];
/// Attributes that are the same in all sections of a kind.
const SHARED: [&str; 3] = ["a=rtpmap:", "a=fmtp:", "a=extmap:"];
/// Sections whose shared lines later ones are compared with, and fingerprints. Clients have one of each kind.
const MAX_SOURCES: usize = 8;

/// As [`SdpOffer::from_sdp_string`].
///
/// # Errors
/// The text is no SDP.
pub(crate) fn parse_offer(sdp: &str) -> Result<SdpOffer, SdpError> {
    match read(sdp) {
        Some(offer) => Ok(offer),
        None => SdpOffer::from_sdp_string(sdp),
    }
}

/// As [`SdpAnswer::from_sdp_string`].
///
/// # Errors
/// The text is no SDP.
pub(crate) fn parse_answer(sdp: &str) -> Result<SdpAnswer, SdpError> {
    match read(sdp) {
        Some(offer) => Ok((*offer).clone().into()),
        None => SdpAnswer::from_sdp_string(sdp),
    }
}

/// `None` unless every line was read as expected: str0m ends a description at a line it cannot read.
fn read(sdp: &str) -> Option<SdpOffer> {
    let condensed = Condensed::of(sdp);
    let offer = SdpOffer::from_sdp_string(&condensed.text).ok()?;
    let complete = offer.media_lines.len() == condensed.sections.len()
        && offer
            .media_lines
            .iter()
            .zip(&condensed.sections)
            .all(|(line, section)| line.attrs.len() == section.attributes);
    if !complete {
        return None;
    }
    let mut whole = (*offer).clone();
    for (index, section) in condensed.sections.iter().enumerate() {
        if let Some(source) = section.shares_with {
            let source = offer.media_lines.get(source)?;
            let own = source.attrs.len().checked_sub(section.shared)?;
            let line = whole.media_lines.get_mut(index)?;
            line.pts.clone_from(&source.pts);
            line.attrs.extend(source.attrs.get(own..)?.iter().cloned());
        }
    }
    Some(whole.into())
}

/// A description in which each section's shared lines stand last, and only once.
#[derive(Default)]
struct Condensed<'a> {
    text: String,
    sections: Vec<Section>,
    sources: Vec<Source<'a>>,
    fingerprints: Vec<&'a str>,
}

struct Section {
    /// Lines of attributes left in the text.
    attributes: usize,
    /// Shared lines of the section, whether left in the text or not.
    shared: usize,
    /// An earlier section that has the same ones.
    shares_with: Option<usize>,
}

/// A section that has other shared lines than those before it.
struct Source<'a> {
    section: usize,
    payload_types: &'a str,
    shared: Vec<&'a str>,
}

/// A section whose lines are still coming.
struct Reader<'a> {
    line: &'a str,
    /// `m=<kind> <port> <protocol>`
    head: &'a str,
    payload_types: &'a str,
    own: Vec<&'a str>,
    shared: Vec<&'a str>,
}

impl<'a> Condensed<'a> {
    fn of(sdp: &'a str) -> Self {
        let mut condensed = Self {
            text: String::with_capacity(sdp.len()),
            ..Self::default()
        };
        let mut reader: Option<Reader<'a>> = None;
        for line in sdp.lines() {
            if line.starts_with("m=") {
                condensed.end_section(reader.replace(Reader::new(line)));
            } else if condensed.is_repeated(line) {
                continue;
            } else if let Some(reader) = &mut reader {
                reader.take(line);
            } else {
                condensed.push(line);
            }
        }
        condensed.end_section(reader);
        condensed
    }

    fn end_section(&mut self, reader: Option<Reader<'a>>) {
        let Some(reader) = reader else {
            return;
        };
        let source = self.sources.iter().find(|source| {
            source.payload_types == reader.payload_types && source.shared == reader.shared
        });
        let mut section = Section {
            attributes: reader.own.iter().filter(|l| l.starts_with("a=")).count(),
            shared: reader.shared.len(),
            shares_with: source.map(|source| source.section),
        };
        let shares = section.shares_with.is_some();
        if shares {
            // Payload type 0 needs no line that says what it is.
            self.text.push_str(reader.head);
            self.push(" 0");
        } else {
            self.push(reader.line);
        }
        for line in &reader.own {
            self.push(line);
        }
        if !shares {
            section.attributes += section.shared;
            for line in &reader.shared {
                self.push(line);
            }
            if section.shared > 0 && self.sources.len() < MAX_SOURCES {
                self.sources.push(Source {
                    section: self.sections.len(),
                    payload_types: reader.payload_types,
                    shared: reader.shared,
                });
            }
        }
        self.sections.push(section);
    }

    /// Of fingerprints, those of the first section that has any count.
    fn is_repeated(&mut self, line: &'a str) -> bool {
        if !line.starts_with("a=fingerprint:") {
            return false;
        }
        let repeated = self.fingerprints.contains(&line);
        if !repeated && self.fingerprints.len() < MAX_SOURCES {
            self.fingerprints.push(line);
        }
        repeated
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str("\r\n");
    }
}

impl<'a> Reader<'a> {
    fn new(line: &'a str) -> Self {
        let (head, payload_types) = match line.match_indices(' ').nth(2) {
            Some((at, _)) => line.split_at(at),
            None => (line, ""),
        };
        Self {
            line,
            head,
            payload_types: payload_types.get(1..).unwrap_or_default(),
            own: Vec::new(),
            shared: Vec::new(),
        }
    }

    fn take(&mut self, line: &'a str) {
        if is_shared(line) {
            self.shared.push(line);
        } else if !is_unused(line) {
            self.own.push(line);
        }
    }
}

fn is_shared(line: &str) -> bool {
    SHARED.iter().any(|shared| line.starts_with(shared))
        || (line.starts_with("a=rtcp-fb:") && line.ends_with(" transport-cc"))
}

fn is_unused(line: &str) -> bool {
    UNUSED.iter().any(|unused| line.starts_with(unused))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    const HEAD: &str =
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2 3 4\r\n";
    const TRANSPORT: &str = "c=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n\
        a=ice-options:trickle\r\na=fingerprint:sha-256 0A:1B:2C\r\na=setup:actpass\r\n";
    const AUDIO: &str = "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
        a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=recvonly\r\na=rtcp-mux\r\na=rtcp-rsize\r\n\
        a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
        a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n";
    const VIDEO: &str = "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=rtcp-mux\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 transport-cc\r\na=rtcp-fb:96 nack pli\r\n\
        a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:102 H264/90000\r\na=rtcp-fb:102 transport-cc\r\n\
        a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n";

    fn browser_offer() -> String {
        let audio = format!("m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\n{TRANSPORT}");
        let video = format!("m=video 9 UDP/TLS/RTP/SAVPF 96 97 102\r\n{TRANSPORT}");
        [
            HEAD,
            &format!("{audio}a=mid:0\r\n{AUDIO}"),
            &format!("{video}a=mid:1\r\na=recvonly\r\n{VIDEO}"),
            &format!("{audio}a=mid:2\r\n{AUDIO}"),
            &format!(
                "{video}a=mid:3\r\na=sendonly\r\na=msid:- camera\r\n{VIDEO}a=rid:f send\r\na=simulcast:send f\r\n"
            ),
            &format!("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{TRANSPORT}a=mid:4\r\na=sctp-port:5000\r\n"),
        ]
        .concat()
    }

    /// All that str0m asks a description for.
    fn meaning(offer: &SdpOffer) -> Vec<String> {
        // The first fingerprint is that of the connection.
        let of_sections = || offer.media_lines.iter().find_map(|line| line.fingerprint());
        let fingerprint = offer.session.fingerprint().or_else(of_sections);
        let session = format!("{fingerprint:?} {:?}", offer.session.ice_creds());
        let lines = offer.media_lines.iter().map(|line| {
            format!(
                "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
                line.check_consistent(),
                (&line.typ, line.disabled, &line.proto, &line.pts),
                line.rtp_params(),
                line.extmaps(),
                line.msid(),
                line.direction(),
                line.rids(),
                line.simulcast(),
                line.ssrc_info(),
                line.setup(),
                line.ice_creds(),
                line.sctp_init(),
            )
        });
        std::iter::once(session).chain(lines).collect()
    }

    #[test]
    fn a_browser_offer_means_the_same_and_repeats_nothing() {
        let text = browser_offer();
        let whole = SdpOffer::from_sdp_string(&text).expect("valid");
        let read = read(&text).expect("every line is read");
        assert_eq!(meaning(&read), meaning(&whole));
        let condensed = Condensed::of(&text).text;
        for once in ["a=rtpmap:96 ", "a=rtpmap:111 ", "a=fingerprint:"] {
            assert_eq!(condensed.matches(once).count(), 1, "{once}");
        }
    }

    #[test]
    fn a_section_with_other_codecs_keeps_its_own() {
        let text =
            browser_offer().replacen("profile-level-id=42e01f", "profile-level-id=42001f", 1);
        let whole = SdpOffer::from_sdp_string(&text).expect("valid");
        let read = read(&text).expect("every line is read");
        assert_eq!(meaning(&read), meaning(&whole));
    }

    #[test]
    fn what_str0m_cannot_read_is_left_to_it() {
        let text = browser_offer().replacen("a=rtpmap:96 VP8", "a=rtpmap:96\r VP8", 1);
        assert!(read(&text).is_none());
        let whole = SdpOffer::from_sdp_string(&text);
        assert_eq!(parse_offer(&text).ok(), whole.ok());
        assert!(parse_offer("no description").is_err());
    }

    proptest! {
        #[test]
        fn whatever_lines_are_lost_the_rest_means_the_same(
            lost in prop::collection::vec(any::<Index>(), 0..40),
            ends in select(vec!["\r\n", "\n"]),
        ) {
            let text = browser_offer();
            let mut lines: Vec<&str> = text.lines().collect();
            for lost in lost {
                let at = 4 + lost.index(lines.len() - 4);
                if !lines[at].starts_with("a=mid:") {
                    lines.remove(at);
                }
            }
            let text = lines.join(ends);
            if let (Some(read), Ok(whole)) = (read(&text), SdpOffer::from_sdp_string(&text)) {
                prop_assert_eq!(meaning(&read), meaning(&whole));
            }
        }

        #[test]
        fn no_text_makes_it_panic(lines in prop::collection::vec("(m=|a=|a=rtpmap:|a=fmtp:)[ -~\r]{0,20}", 0..40)) {
            let text = format!("{HEAD}{}", lines.join("\r\n"));
            prop_assert_eq!(parse_offer(&text).is_ok(), SdpOffer::from_sdp_string(&text).is_ok());
        }
    }
}
