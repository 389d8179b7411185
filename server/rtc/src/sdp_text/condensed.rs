//! A client's description without the lines that change nothing for str0m.
//!
//! To read lines is most of what a negotiation costs, and most lines are `a=rtcp-fb` (RFC 4585): of those, str0m uses
//! `transport-cc` alone, and that only where it meets a payload type for the first time.

use crate::id::Mid;

/// Attributes of a media section that str0m reads past. All its sessions multiplex, trickle and mix extensions.
const UNUSED: [&str; 7] = [
    "a=rtcp-fb:",
    "a=rtcp:",
    "a=rtcp-mux",
    "a=rtcp-rsize",
    "a=ice-options:",
    "a=extmap-allow-mixed",
    "a=end-of-candidates",
];

/// The description, which means the same to str0m. `known` tells which sections it has negotiated before: it looks for
/// feedback in the others.
pub(crate) fn condensed(sdp: &str, known: impl Fn(Mid) -> bool) -> String {
    let mut reader = Reader::default();
    let mut kept = String::with_capacity(sdp.len());
    let mut position = 0;
    for line in sdp.split_inclusive('\n') {
        if line.starts_with("m=") {
            let section = sdp.get(position..).unwrap_or_default();
            reader.begin_section(mid_of(section).is_some_and(&known));
        }
        if reader.needs(line) {
            kept.push_str(line);
        }
        position += line.len();
    }
    kept
}

/// The name of the section whose text begins here.
fn mid_of(text: &str) -> Option<Mid> {
    text.lines()
        .skip(1)
        .take_while(|line| !line.starts_with("m="))
        .find_map(|line| line.strip_prefix("a=mid:"))
        .map(|mid| Mid::from(mid.trim_end()))
}

#[derive(Default)]
struct Reader<'a> {
    in_media: bool,
    in_known: bool,
    /// Some payload type has transport-wide feedback. Any section may say so for the whole session.
    feedback: bool,
    /// Payload types whose feedback a new section has told.
    told: Vec<u8>,
    fingerprints: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn begin_section(&mut self, known: bool) {
        self.in_media = true;
        self.in_known = known;
    }

    fn needs(&mut self, line: &'a str) -> bool {
        if !line.starts_with("a=") {
            return true;
        }
        let text = line.trim_end_matches(['\r', '\n']);
        if text.starts_with("a=fingerprint:") {
            // The first section that has one counts.
            let repeated = self.fingerprints.contains(&text);
            if !repeated {
                self.fingerprints.push(text);
            }
            return !repeated;
        }
        if !self.in_media || !UNUSED.iter().any(|unused| text.starts_with(unused)) {
            return true;
        }
        // A line that str0m cannot read ends the description: that stays so.
        text.contains('\r') || self.is_new_feedback(text)
    }

    fn is_new_feedback(&mut self, text: &str) -> bool {
        let Some(payload_type) = text
            .strip_prefix("a=rtcp-fb:")
            .and_then(|value| value.strip_suffix(" transport-cc")?.parse().ok())
        else {
            return false;
        };
        let first = !std::mem::replace(&mut self.feedback, true);
        if self.in_known || self.told.contains(&payload_type) {
            return first;
        }
        self.told.push(payload_type);
        true
    }
}
