//! What the text of a client's offer says and str0m does not tell: the client's track ids and simulcast layers.

mod parse;

pub(crate) use parse::{parse_answer, parse_offer};

use str0m::media::Direction;

use crate::id::Mid;
use crate::info::TrackKind;

/// Media sections that are read; further ones are ignored.
const MAX_SECTIONS: usize = 256;
/// Simulcast layers of a section that are read; further ones are ignored.
const MAX_RIDS: usize = 16;

/// Attributes that are not looked at: most of a description.
const UNREAD: [&str; 3] = ["rtcp-fb:", "fmtp:", "extmap:"];

/// Names of the sections of a description, of any kind.
pub(crate) fn mids(sdp: &str) -> impl Iterator<Item = Mid> {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("a=mid:"))
        .take(MAX_SECTIONS)
        .map(|mid| Mid::from(mid.trim()))
}

/// A media section of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OfferedSection {
    /// Empty where the section has none.
    pub(crate) mid: String,
    pub(crate) kind: SectionKind,
    /// As the client sees it: `SendOnly` = the client sends.
    pub(crate) direction: Direction,
    /// The second part of `a=msid` (RFC 8830), usually the `cid` of the client's `add_track`.
    pub(crate) track_id: Option<String>,
    /// The layers the client sends, in the order of `a=simulcast` (RFC 8853), else of `a=rid` (RFC 8851).
    pub(crate) rids: Vec<String>,
    /// Name of the codec the client prefers here, as in `a=rtpmap` of the first payload type.
    pub(crate) codec: Option<String>,
    /// False for a section that is rejected or ended: port 0 without `a=bundle-only` (RFC 9143 section 6).
    pub(crate) active: bool,
}

impl OfferedSection {
    /// What kind of track the section is for, unless it is for something else.
    pub(crate) fn track_kind(&self) -> Option<TrackKind> {
        match self.kind {
            SectionKind::Media(kind) => Some(kind),
            SectionKind::Application | SectionKind::Other => None,
        }
    }

    /// Whether the client sends here.
    pub(crate) fn can_send(&self) -> bool {
        self.active && matches!(self.direction, Direction::SendOnly | Direction::SendRecv)
    }

    /// Whether the client can receive here and does nothing else: a section it publishes on is left to that.
    pub(crate) fn can_receive(&self) -> bool {
        self.active && self.direction == Direction::RecvOnly
    }
}

/// What a media section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionKind {
    Media(TrackKind),
    /// Data channels.
    Application,
    /// Nothing this server handles.
    Other,
}

/// Reads the media sections of an offer, in order. Text that is no SDP gives sections as far as it resembles one.
pub(crate) fn media_sections(sdp: &str) -> Vec<OfferedSection> {
    // Attributes above the first section are defaults for all (RFC 8866 section 6.7).
    let mut default_direction = Direction::SendRecv;
    let mut sections: Vec<Reader> = Vec::new();
    for line in sdp.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            if sections.len() == MAX_SECTIONS {
                break;
            }
            sections.push(Reader::new(media, default_direction));
        } else if let Some(attribute) = line.strip_prefix("a=")
            && !UNREAD.iter().any(|name| attribute.starts_with(name))
        {
            match sections.last_mut() {
                Some(section) => section.attribute(attribute.trim_end()),
                None => {
                    default_direction = direction(attribute.trim_end()).unwrap_or(default_direction)
                }
            }
        }
    }
    sections.into_iter().map(Reader::finish).collect()
}

/// A section whose lines are still coming.
struct Reader {
    section: OfferedSection,
    port_is_zero: bool,
    first_payload_type: String,
    bundle_only: bool,
    /// From `a=rid:<id> send`.
    declared_rids: Vec<String>,
    /// From `a=ssrc:<n> msid:`, which older clients write instead of `a=msid`.
    ssrc_track_id: Option<String>,
}

impl Reader {
    fn new(media: &str, direction: Direction) -> Self {
        let mut words = media.split_whitespace();
        let kind = match words.next() {
            Some("audio") => SectionKind::Media(TrackKind::Audio),
            Some("video") => SectionKind::Media(TrackKind::Video),
            Some("application") => SectionKind::Application,
            _ => SectionKind::Other,
        };
        let section = OfferedSection {
            mid: String::new(),
            kind,
            direction,
            track_id: None,
            rids: Vec::new(),
            codec: None,
            active: false,
        };
        Self {
            section,
            port_is_zero: words.next() == Some("0"),
            first_payload_type: words.nth(1).unwrap_or_default().to_owned(),
            bundle_only: false,
            declared_rids: Vec::new(),
            ssrc_track_id: None,
        }
    }

    fn attribute(&mut self, attribute: &str) {
        if let Some(direction) = direction(attribute) {
            self.section.direction = direction;
            return;
        }
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "rtpmap" => {
                if let Some((payload_type, codec)) = value.split_once(' ')
                    && payload_type == self.first_payload_type
                {
                    self.section.codec = codec.split('/').next().map(str::to_owned);
                }
            }
            "mid" => self.section.mid = value.trim().to_owned(),
            "bundle-only" => self.bundle_only = true,
            "msid" => self.section.track_id = track_id(value),
            "ssrc" => {
                let msid = value
                    .split_once(' ')
                    .and_then(|(_, attribute)| attribute.strip_prefix("msid:"));
                if let (Some(msid), None) = (msid, &self.ssrc_track_id) {
                    self.ssrc_track_id = track_id(msid);
                }
            }
            "rid" => {
                let mut words = value.split_whitespace();
                if let (Some(rid), Some("send")) = (words.next(), words.next())
                    && self.declared_rids.len() < MAX_RIDS
                {
                    self.declared_rids.push(rid.to_owned());
                }
            }
            "simulcast" => self.section.rids = sent_layers(value),
            _ => {}
        }
    }

    fn finish(self) -> OfferedSection {
        let mut section = self.section;
        section.active = !self.port_is_zero || self.bundle_only;
        section.track_id = section.track_id.or(self.ssrc_track_id);
        if section.rids.is_empty() {
            section.rids = self.declared_rids;
        }
        section
    }
}

fn direction(attribute: &str) -> Option<Direction> {
    match attribute {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    }
}

fn track_id(msid: &str) -> Option<String> {
    msid.split_whitespace().nth(1).map(str::to_owned)
}

/// `send q;h,h2;~f recv x` gives q, h, f: the first alternative of each layer, paused ones (`~`) too.
fn sent_layers(simulcast: &str) -> Vec<String> {
    let mut words = simulcast
        .split_whitespace()
        .skip_while(|word| *word != "send")
        .skip(1);
    let layers = words.next().unwrap_or_default().split(';');
    layers
        .filter_map(|layer| layer.split(',').next())
        .map(|rid| rid.trim_start_matches('~').to_owned())
        .filter(|rid| !rid.is_empty())
        .take(MAX_RIDS)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 7 8 9\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=mid:7\r\na=sendonly\r\na=msid:- mic-track\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:8\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:96 VP8/90000\r\na=sendrecv\r\na=msid:stream camera-track\r\n\
        a=rid:f send\r\na=rid:h send\r\na=rid:q send\r\na=simulcast:send q;h,h2;~f\r\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:9\r\na=inactive\r\n\
        m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=bundle-only\r\na=mid:10\r\n";

    #[test]
    fn a_browser_offer_tells_its_tracks_and_layers() {
        let sections = media_sections(OFFER);
        assert_eq!(sections.len(), 4);
        assert_eq!(
            sections[1],
            OfferedSection {
                mid: "8".into(),
                kind: SectionKind::Media(TrackKind::Video),
                direction: Direction::SendRecv,
                track_id: Some("camera-track".into()),
                rids: vec!["q".into(), "h".into(), "f".into()],
                codec: Some("VP8".into()),
                active: true,
            }
        );
        assert_eq!(sections[0].kind, SectionKind::Media(TrackKind::Audio));
        assert_eq!(sections[0].track_id.as_deref(), Some("mic-track"));
        assert_eq!(sections[0].direction, Direction::SendOnly);
    }

    #[test]
    fn port_zero_is_rejected_unless_the_section_only_lives_in_the_bundle() {
        let active: Vec<bool> = media_sections(OFFER)
            .iter()
            .map(|section| section.active)
            .collect();
        assert_eq!(active, [true, true, false, true]);
    }

    #[test]
    fn layers_without_a_simulcast_line_come_in_the_order_declared() {
        let sections =
            media_sections("m=video 9 X 96\na=rid:h send\na=rid:r recv\na=rid:q send pt=96\n");
        assert_eq!(sections[0].rids, ["h", "q"]);
        let both = media_sections("m=video 9 X 96\na=simulcast:recv a;b send c;d\n");
        assert_eq!(both[0].rids, ["c", "d"]);
    }

    #[test]
    fn older_clients_name_the_track_beside_the_ssrc() {
        let sdp = "m=audio 9 X 111\na=ssrc:5 cname:x\na=ssrc:5 msid:stream track\na=ssrc:6 msid:stream other\n";
        assert_eq!(media_sections(sdp)[0].track_id.as_deref(), Some("track"));
    }

    #[test]
    fn a_direction_above_the_sections_is_their_default() {
        let sections =
            media_sections("v=0\na=recvonly\nm=audio 9 X 0\nm=audio 9 X 0\na=sendonly\n");
        assert_eq!(sections[0].direction, Direction::RecvOnly);
        assert_eq!(sections[1].direction, Direction::SendOnly);
    }

    #[test]
    fn the_number_of_sections_is_bounded() {
        assert_eq!(
            media_sections(&"m=audio 9 X 0\r\n".repeat(5000)).len(),
            MAX_SECTIONS
        );
        let layers = format!("m=video 9 X 0\na=simulcast:send {}", "a;".repeat(5000));
        assert_eq!(media_sections(&layers)[0].rids.len(), MAX_RIDS);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,300}") {
            media_sections(&text);
        }

        #[test]
        fn no_lines_like_sdp_make_it_panic(
            lines in prop::collection::vec("(m=|a=|a=msid|a=rid:|a=simulcast:|a=ssrc:)[ -~]{0,20}", 0..40),
        ) {
            let sections = media_sections(&lines.join("\r\n"));
            prop_assert!(sections.len() <= lines.len());
        }
    }
}
