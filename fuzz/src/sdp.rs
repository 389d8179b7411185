//! Session descriptions of clients, and the finishing of our own.

use tradewind_rtc::{
    Description, ForwardedTrack, ReceivedTrack, Section, SessionDescription, SignalRequest, Target,
    TrackKind,
};
use tradewind_signalling::sdp::{SdpClient, finish};

use crate::Verdict;
use crate::call::{self, Call};

/// Sections that a made-up description says something about.
const MAX_SECTIONS: usize = 32;

/// Input: a byte, then a text. By the two lowest bits the text is 0 = one of ours to be finished, 1 = an offer on the
/// one peer connection, 2 = an offer on the first of two, 3 = an answer to the server's offer.
///
/// Rule: finishing a finished text changes nothing.
///
/// Accepted: the offer was answered; an answer or a text to finish always is.
pub fn sdp(input: &[u8]) -> Verdict {
    let Some((form, rest)) = input.split_first() else {
        return Verdict::Refused;
    };
    let sdp = String::from_utf8_lossy(rest).into_owned();
    match form & 3 {
        0 => finish_twice(sdp, form >> 2),
        1 => offer(sdp, true),
        2 => offer(sdp, false),
        _ => answer(sdp),
    }
}

fn offer(sdp: String, single: bool) -> Verdict {
    let (mut call, _) = Call::with(call::join(single));
    let description = SessionDescription { sdp, id: 1 };
    let answer = call::answer(call.signal(SignalRequest::Offer(description)));
    call.end();
    Verdict::accepted_if(answer.is_some())
}

fn answer(sdp: String) -> Verdict {
    let (mut call, _) = Call::with(call::join(false));
    call.signal(SignalRequest::Answer(SessionDescription { sdp, id: 1 }));
    call.end();
    Verdict::Accepted
}

fn finish_twice(sdp: String, choice: u8) -> Verdict {
    let target = if choice & 1 == 0 {
        Target::Publisher
    } else {
        Target::Subscriber
    };
    let client = SdpClient {
        firefox: choice & 2 != 0,
        os: "linux".to_owned(),
    };
    let mut description = Description {
        target,
        sections: sections(&sdp),
        description: SessionDescription { sdp, id: 1 },
    };
    let finished = finish(&description, &client);
    description.description.sdp.clone_from(&finished);
    assert_eq!(finish(&description, &client), finished);
    Verdict::Accepted
}

/// Gives every second section a track to forward and every third one to receive.
fn sections(sdp: &str) -> Vec<Section> {
    let mids = sdp.lines().filter_map(|line| line.strip_prefix("a=mid:"));
    mids.take(MAX_SECTIONS)
        .enumerate()
        .map(|(index, mid)| Section {
            mid: mid.into(),
            kind: TrackKind::Audio,
            forwards: (index % 2 == 1).then(|| ForwardedTrack {
                participant: "PA_agent".into(),
                track: "TR_voice".into(),
                stream: (index % 4 == 3).then(|| "camera and sound".to_owned()),
            }),
            receives: (index % 3 == 0).then(|| ReceivedTrack {
                track: "TR_own".into(),
                disable_dtx: index % 6 == 0,
                stereo: index % 2 == 0,
                disable_red: false,
                codec: Some("video/VP8".to_owned()),
            }),
        })
        .collect()
}
