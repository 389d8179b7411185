//! Offers and answers of one bot: a single peer connection in which the client always offers, as SDKs have it.

use livekit_protocol as proto;
use proto::signal_request::Message as Request;
use str0m::Rtc;
use str0m::change::{SdpAnswer, SdpApi, SdpPendingOffer};
use str0m::channel::{ChannelConfig, Reliability};
use str0m::media::{Direction, MediaKind, Mid, Simulcast, SimulcastLayer};
use thiserror::Error;

use super::terms::Terms;
use crate::plan::Track;

/// Receiving sections of each kind in the first offer, as SDKs have them; more follow when the server asks.
const FIRST_SECTIONS: u32 = 3;

#[derive(Debug, Error)]
pub(crate) enum NegotiationError {
    #[error("the answer is no SDP: {0}")]
    Unreadable(#[from] str0m::error::SdpError),
    #[error("the answer does not fit the offer: {0}")]
    Unfit(#[from] str0m::RtcError),
}

#[derive(Default)]
pub(crate) struct Negotiation {
    pending: Option<(SdpPendingOffer, String)>,
    offer_id: u32,
    /// Receiving sections that the server wants while an offer is open.
    wanted: Option<(u32, u32)>,
    /// Sections that published tracks got.
    pub(crate) published: Vec<Mid>,
}

impl Negotiation {
    /// The first offer, with sections for everything to publish.
    pub(crate) fn first_offer(
        &mut self,
        rtc: &mut Rtc,
        tracks: &[Track],
    ) -> Option<proto::SessionDescription> {
        let mut published = Vec::new();
        let offer = self.offer(rtc, |api| {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                for _ in 0..FIRST_SECTIONS {
                    api.add_media(kind, Direction::RecvOnly, None, None, None);
                }
            }
            add_channels(api);
            for (place, track) in tracks.iter().enumerate() {
                let kind = if track.video {
                    MediaKind::Video
                } else {
                    MediaKind::Audio
                };
                let rids: Vec<_> = track
                    .layers
                    .iter()
                    .filter_map(|layer| layer.rid)
                    .map(SimulcastLayer::new)
                    .collect();
                let simulcast = (!rids.is_empty()).then(|| Simulcast {
                    send: rids,
                    recv: Vec::new(),
                });
                let cid = Some(cid(place));
                published.push(api.add_media(
                    kind,
                    Direction::SendOnly,
                    Some("load".into()),
                    cid,
                    simulcast,
                ));
            }
        });
        self.published = published;
        offer
    }

    /// Takes the answer to the open offer; an answer to an older one is passed over. Gives back what was agreed on, and
    /// the next offer if one is due.
    pub(crate) fn answer(
        &mut self,
        rtc: &mut Rtc,
        answer: &proto::SessionDescription,
    ) -> Result<Option<(Terms, Option<Request>)>, NegotiationError> {
        if answer.id != 0 && answer.id != self.offer_id {
            return Ok(None);
        }
        let Some((pending, offer)) = self.pending.take() else {
            return Ok(None);
        };
        rtc.sdp_api()
            .accept_answer(pending, SdpAnswer::from_sdp_string(&answer.sdp)?)?;
        let terms = Terms::agreed(&offer, &answer.sdp);
        let next = self
            .wanted
            .take()
            .and_then(|(audios, videos)| self.add_sections(rtc, audios, videos));
        Ok(Some((terms, next)))
    }

    /// The server wants this many more receiving sections.
    pub(crate) fn add_sections(
        &mut self,
        rtc: &mut Rtc,
        audios: u32,
        videos: u32,
    ) -> Option<Request> {
        if self.pending.is_some() {
            self.wanted = Some((audios, videos));
            return None;
        }
        let offer = self.offer(rtc, |api| {
            for (kind, count) in [(MediaKind::Audio, audios), (MediaKind::Video, videos)] {
                for _ in 0..count {
                    api.add_media(kind, Direction::RecvOnly, None, None, None);
                }
            }
            // An offer that changes nothing is a restart that keeps the path.
            if audios + videos == 0 {
                api.ice_restart(true);
            }
        });
        offer.map(Request::Offer)
    }

    fn offer(
        &mut self,
        rtc: &mut Rtc,
        change: impl FnOnce(&mut SdpApi<'_>),
    ) -> Option<proto::SessionDescription> {
        let mut api = rtc.sdp_api();
        change(&mut api);
        let (offer, pending) = api.apply()?;
        let sdp = offer.to_sdp_string();
        self.offer_id += 1;
        self.pending = Some((pending, sdp.clone()));
        Some(proto::SessionDescription {
            r#type: "offer".into(),
            sdp,
            id: self.offer_id,
            ..Default::default()
        })
    }
}

fn add_channels(api: &mut SdpApi<'_>) {
    api.add_channel_with_config(ChannelConfig {
        label: "_reliable".into(),
        ..Default::default()
    });
    for label in ["_lossy", "_data_track"] {
        api.add_channel_with_config(ChannelConfig {
            label: label.into(),
            ordered: false,
            reliability: Reliability::MaxRetransmits { retransmits: 0 },
            ..Default::default()
        });
    }
}

/// The client's name of a track.
fn cid(place: usize) -> String {
    format!("track-{place}")
}

/// What announces the tracks.
pub(crate) fn add_track_requests(tracks: &[Track]) -> Vec<proto::AddTrackRequest> {
    let request = |(place, track): (usize, &Track)| {
        let last = track.layers.last();
        let (kind, source) = match track.video {
            true => (proto::TrackType::Video, proto::TrackSource::Camera),
            false => (proto::TrackType::Audio, proto::TrackSource::Microphone),
        };
        let qualities = [
            proto::VideoQuality::Low,
            proto::VideoQuality::Medium,
            proto::VideoQuality::High,
        ];
        let first_quality = qualities.len().saturating_sub(track.layers.len());
        let layer = |(place, layer): (usize, &crate::plan::Layer)| proto::VideoLayer {
            quality: qualities[(first_quality + place).min(2)] as i32,
            width: layer.width.into(),
            height: layer.height.into(),
            bitrate: (layer.payload_bytes as f64 * 8.0 * f64::from(layer.packets)
                / layer.interval.as_secs_f64()) as u32,
            rid: layer.rid.unwrap_or_default().into(),
            ..Default::default()
        };
        proto::AddTrackRequest {
            cid: cid(place),
            name: cid(place),
            r#type: kind as i32,
            source: source as i32,
            width: last.map_or(0, |layer| layer.width.into()),
            height: last.map_or(0, |layer| layer.height.into()),
            disable_red: true,
            layers: if track.video {
                track.layers.iter().enumerate().map(layer).collect()
            } else {
                Vec::new()
            },
            ..Default::default()
        }
    };
    tracks.iter().enumerate().map(request).collect()
}
