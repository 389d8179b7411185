//! Offers and answers of one transport.

use str0m::Candidate;
use str0m::change::{SdpApi, SdpPendingOffer};
use str0m::channel::{ChannelConfig, Reliability};
use str0m::media::MediaKind;

use super::channels::ChannelLabel;
use super::{Failure, Transport};
use crate::context::Context;
use crate::id::Mid;
use crate::info::TrackKind;
use crate::sdp_text;

/// Candidates a client may trickle; some send each of theirs once for every section.
const MAX_REMOTE_CANDIDATES: u32 = 100;

#[derive(Default)]
pub(super) struct Negotiation {
    pending: Option<(u32, SdpPendingOffer)>,
    last_offer_id: u32,
    remote_candidates: u32,
}

/// Why a description was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NegotiationError {
    #[error("session description is unusable: {0}")]
    Unusable(String),
    /// An answer to an offer that is no longer open; harmless.
    #[error("answer to an offer that is not open")]
    Stale,
}

impl Transport {
    /// Answers the client's offer; the text is str0m's own.
    ///
    /// # Errors
    /// The offer cannot be used; the session goes on as before where str0m allows it.
    pub(crate) fn accept_offer(
        &mut self,
        cx: &mut Context,
        sdp: &str,
    ) -> Result<String, NegotiationError> {
        self.negotiation.pending = None;
        let mut answer = Err(NegotiationError::Unusable("the session failed".into()));
        self.guarded(cx, |transport, cx| {
            transport.lend_streams();
            let offer = sdp_text::parse_offer(sdp).map_err(unusable);
            answer = offer.and_then(|offer| {
                let answer = transport
                    .rtc
                    .sdp_api()
                    .accept_offer(offer)
                    .map_err(unusable)?;
                Ok(answer.to_sdp_string())
            });
            transport.take_streams(sdp);
            transport.register_fragment(cx);
            transport.mark_dirty(cx);
        });
        if answer.is_err() && !self.rtc.is_alive() {
            self.failure.get_or_insert(Failure::Broken);
        }
        answer
    }

    /// Whether an offer of ours waits for its answer.
    pub(crate) fn offer_is_open(&self) -> bool {
        self.negotiation.pending.is_some()
    }

    /// Whether the server has offered on this transport before.
    pub(crate) fn has_offered(&self) -> bool {
        self.negotiation.last_offer_id > 0
    }

    /// Forgets an offer whose answer cannot come any more.
    pub(crate) fn abandon_offer(&mut self) {
        self.negotiation.pending = None;
    }

    /// Makes an offer of what `change` changes; `None` if it changed nothing.
    pub(crate) fn offer<T>(
        &mut self,
        cx: &mut Context,
        change: impl FnOnce(&mut SdpApi<'_>) -> T,
    ) -> Option<(T, u32, String)> {
        let mut made = None;
        self.guarded(cx, |transport, cx| {
            transport.lend_streams();
            let mut api = transport.rtc.sdp_api();
            let changed = change(&mut api);
            if let Some((offer, pending)) = api.apply() {
                let negotiation = &mut transport.negotiation;
                negotiation.last_offer_id += 1;
                negotiation.pending = Some((negotiation.last_offer_id, pending));
                made = Some((changed, negotiation.last_offer_id, offer.to_sdp_string()));
            }
            transport.return_streams();
            transport.mark_dirty(cx);
        });
        made
    }

    /// Applies the client's answer. `id` 0 = the client does not number its answers.
    ///
    /// # Errors
    /// The answer is unusable or belongs to no open offer.
    pub(crate) fn accept_answer(
        &mut self,
        cx: &mut Context,
        sdp: &str,
        id: u32,
    ) -> Result<(), NegotiationError> {
        match &self.negotiation.pending {
            Some((open, _)) if id == 0 || id == *open => {}
            _ => return Err(NegotiationError::Stale),
        }
        let Some((_, pending)) = self.negotiation.pending.take() else {
            return Err(NegotiationError::Stale);
        };
        let mut result = Err(NegotiationError::Unusable("the session failed".into()));
        self.guarded(cx, |transport, cx| {
            transport.lend_streams();
            let answer = sdp_text::parse_answer(sdp).map_err(unusable);
            result = answer.and_then(|answer| {
                transport
                    .rtc
                    .sdp_api()
                    .accept_answer(pending, answer)
                    .map_err(unusable)
            });
            transport.take_streams(sdp);
            transport.register_fragment(cx);
            transport.mark_dirty(cx);
        });
        result
    }

    /// Takes a trickled candidate. Those we cannot use (mDNS names, relayed TCP) are ignored, as ICE does.
    pub(crate) fn add_remote_candidate(&mut self, cx: &mut Context, candidate: &str) {
        // An ICE-lite agent sends no checks, so that it has no use for them.
        if self.ice_lite || self.negotiation.remote_candidates >= MAX_REMOTE_CANDIDATES {
            return;
        }
        self.negotiation.remote_candidates += 1;
        if let Ok(candidate) = Candidate::from_sdp_string(candidate) {
            self.guarded(cx, |transport, cx| {
                transport.rtc.add_remote_candidate(candidate);
                transport.mark_dirty(cx);
            });
        }
    }

    /// What a section carries.
    pub(crate) fn kind(&self, mid: Mid) -> Option<TrackKind> {
        self.rtc.media(mid).map(|media| match media.kind() {
            MediaKind::Audio => TrackKind::Audio,
            MediaKind::Video => TrackKind::Video,
        })
    }
}

/// The channels the server opens on a subscriber connection.
pub(crate) fn add_channels(api: &mut SdpApi<'_>) {
    for label in [
        ChannelLabel::Reliable,
        ChannelLabel::Lossy,
        ChannelLabel::DataTrack,
    ] {
        let reliable = label == ChannelLabel::Reliable;
        api.add_channel_with_config(ChannelConfig {
            label: label.as_str().to_owned(),
            ordered: reliable,
            reliability: if reliable {
                Reliability::Reliable
            } else {
                Reliability::MaxRetransmits { retransmits: 0 }
            },
            ..Default::default()
        });
    }
}

/// str0m's name for a kind.
pub(crate) fn media_kind(kind: TrackKind) -> MediaKind {
    match kind {
        TrackKind::Audio => MediaKind::Audio,
        TrackKind::Video => MediaKind::Video,
    }
}

fn unusable(error: impl std::fmt::Display) -> NegotiationError {
    // str0m quotes the offending line; enough for the developer, bounded for the log.
    NegotiationError::Unusable(error.to_string().chars().take(200).collect())
}
