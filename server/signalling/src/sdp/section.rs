//! One media section as lines.

use std::borrow::Cow;

/// A media section whose lines can be changed one by one. Lines are kept without their ends.
pub(super) struct MediaSection<'a> {
    lines: Vec<Cow<'a, str>>,
    line_end: &'static str,
    ends_with_line_end: bool,
}

impl<'a> MediaSection<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        Self {
            lines: text.lines().map(Cow::Borrowed).collect(),
            line_end: if text.contains("\r\n") { "\r\n" } else { "\n" },
            ends_with_line_end: text.ends_with('\n'),
        }
    }

    pub(super) fn write(&self, text: &mut String) {
        for (index, line) in self.lines.iter().enumerate() {
            text.push_str(line);
            if self.ends_with_line_end || index + 1 < self.lines.len() {
                text.push_str(self.line_end);
            }
        }
    }

    pub(super) fn carries_media(&self) -> bool {
        self.is_audio() || self.is_video()
    }

    pub(super) fn is_audio(&self) -> bool {
        self.media_line().starts_with("m=audio ")
    }

    pub(super) fn is_video(&self) -> bool {
        self.media_line().starts_with("m=video ")
    }

    pub(super) fn mid(&self) -> Option<&str> {
        self.values("a=mid:").next().map(str::trim_end)
    }

    /// What follows `prefix` in each line that starts with it.
    pub(super) fn values(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.lines
            .iter()
            .filter_map(move |line| line.strip_prefix(prefix))
    }

    /// Puts these names into `a=msid` (RFC 8830) and its older form beside each SSRC.
    pub(super) fn name_stream(&mut self, stream: &str, track: &str) {
        for line in &mut self.lines {
            if line.starts_with("a=msid:") {
                *line = format!("a=msid:{stream} {track}").into();
            } else if let Some((ssrc, attribute)) = ssrc_attribute(line)
                && attribute.starts_with("msid:")
            {
                *line = format!("a=ssrc:{ssrc} msid:{stream} {track}").into();
            }
        }
    }

    /// Says that nothing is sent here: a client that is told of a made-up stream shows it, and does not notice when
    /// the section gets a real one.
    pub(super) fn stop_sending(&mut self) {
        self.lines.retain(|line| {
            !(line.starts_with("a=msid:")
                || line.starts_with("a=ssrc:")
                || line.starts_with("a=ssrc-group:"))
        });
        for line in &mut self.lines {
            match line.trim_end() {
                "a=sendonly" => *line = "a=inactive".into(),
                "a=sendrecv" => *line = "a=recvonly".into(),
                _ => {}
            }
        }
    }

    /// Payload types in order of preference.
    pub(super) fn payload_types(&self) -> Vec<&str> {
        self.media_line()
            .split_whitespace()
            .skip(FIXED_WORDS)
            .collect()
    }

    /// Lists these payload types in this order, and drops the attributes of all others.
    pub(super) fn set_payload_types(&mut self, payload_types: &[String]) {
        let fixed: Vec<&str> = self
            .media_line()
            .split_whitespace()
            .take(FIXED_WORDS)
            .collect();
        let media_line = format!("{} {}", fixed.join(" "), payload_types.join(" "));
        if let Some(line) = self.lines.first_mut() {
            *line = media_line.into();
        }
        self.lines.retain(|line| match payload_type_of(line) {
            Some(payload_type) => payload_types.iter().any(|kept| kept == payload_type),
            None => true,
        });
    }

    /// Sets format parameters of a payload type (`a=fmtp`), and keeps its others.
    pub(super) fn set_format(&mut self, payload_type: &str, parameters: &[(&str, &str)]) {
        let prefix = format!("a=fmtp:{payload_type} ");
        let existing = self.lines.iter().position(|line| line.starts_with(&prefix));
        let text = existing
            .and_then(|index| self.lines.get(index)?.strip_prefix(&prefix))
            .unwrap_or_default();
        let mut values: Vec<String> = text
            .split(';')
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .collect();
        for (name, value) in parameters {
            let wanted = format!("{name}={value}");
            let same = |text: &String| {
                text.split_once('=')
                    .is_some_and(|(key, _)| key.eq_ignore_ascii_case(name))
            };
            match values.iter_mut().find(|text| same(text)) {
                Some(found) => *found = wanted,
                None => values.push(wanted),
            }
        }
        let line = format!("{prefix}{}", values.join(";")).into();
        let described = format!("a=rtpmap:{payload_type} ");
        match existing.and_then(|index| self.lines.get_mut(index)) {
            Some(found) => *found = line,
            None => {
                let after = self
                    .lines
                    .iter()
                    .position(|line| line.starts_with(&described));
                self.lines
                    .insert(after.map_or(self.lines.len(), |index| index + 1), line);
            }
        }
    }

    fn media_line(&self) -> &str {
        self.lines.first().map_or("", |line| line)
    }
}

/// `m=audio 9 UDP/TLS/RTP/SAVPF` stand before the payload types.
const FIXED_WORDS: usize = 3;

fn ssrc_attribute(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("a=ssrc:")?.split_once(' ')
}

fn payload_type_of(line: &str) -> Option<&str> {
    let value = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"]
        .iter()
        .find_map(|prefix| line.strip_prefix(prefix))?;
    value
        .split_whitespace()
        .next()
        .filter(|payload_type| *payload_type != "*")
}
