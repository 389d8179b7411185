//! Events of the room.

use std::sync::Arc;

use tradewind_rtc::{
    ConnectionQuality, Description, DisconnectReason, Event, LeaveAction, ParticipantInfo,
    ParticipantState, QualityReport, RefusalReason, RefusedRequest, Speaker, StreamState,
    SubscribedCodec, SubscriptionError, TrackSid, UpdateMetadata,
};

use super::{Response, Session};
use crate::convert::proto::request_response::{Reason, Request as Refused};
use crate::convert::{
    add_track, connection_quality, data_track_handles, data_track_info, disconnect_reason,
    participant_info, proto, publish_data_track, room_info, track_info, video_quality,
};
use crate::sdp;

impl Session {
    /// What the client is told; nothing where its protocol number says that it would not understand.
    pub(super) fn write(&mut self, event: Event) -> Option<Response> {
        let protocol = self.protocol();
        Some(match event {
            Event::Joined(joined) => Response::Join(self.join_response(&joined)),
            Event::JoinRefused(_) => {
                self.leave(DisconnectReason::JoinFailure, LeaveAction::Disconnect)?
            }
            Event::Resumed { last_message_seq } => {
                Response::Reconnect(self.reconnect_response(last_message_seq))
            }
            Event::Answer(answer) => Response::Answer(self.description("answer", &answer)),
            Event::Offer(offer) => Response::Offer(self.description("offer", &offer)),
            Event::TrackPublished { cid, track } => {
                Response::TrackPublished(proto::TrackPublishedResponse {
                    cid,
                    track: Some(track_info(&track)),
                })
            }
            Event::TrackUnpublished { track } if protocol > 6 => {
                let track_sid = track.to_string();
                Response::TrackUnpublished(proto::TrackUnpublishedResponse { track_sid })
            }
            Event::TrackSubscribed { track } => Response::TrackSubscribed(proto::TrackSubscribed {
                track_sid: track.to_string(),
            }),
            Event::Participants(participants) => self.participants(&participants)?,
            Event::Room(room) => Response::RoomUpdate(proto::RoomUpdate {
                room: Some(room_info(&room)),
            }),
            Event::Speakers(speakers) if protocol > 2 => speakers_changed(&speakers),
            Event::Quality(reports) if protocol > 4 => quality_update(&reports, protocol),
            Event::TrackUnpublished { .. } | Event::Speakers(_) | Event::Quality(_) => return None,
            Event::StreamStates(states) => stream_state_update(&states),
            Event::SubscribedQuality { track, codecs } => subscribed_quality(&track, &codecs)?,
            Event::SubscriptionPermission {
                participant,
                track,
                allowed,
            } => Response::SubscriptionPermissionUpdate(proto::SubscriptionPermissionUpdate {
                participant_sid: participant.to_string(),
                track_sid: track.to_string(),
                allowed,
            }),
            Event::SubscriptionFailed { track, error } => subscription_failed(&track, error),
            Event::Mute { track, muted } => Response::Mute(proto::MuteTrackRequest {
                sid: track.to_string(),
                muted,
            }),
            Event::MediaSectionsRequirement { audios, videos } => {
                Response::MediaSectionsRequirement(proto::MediaSectionsRequirement {
                    num_audios: audios,
                    num_videos: videos,
                })
            }
            Event::DataTrackPublished(track) => {
                let info = Some(data_track_info(&track));
                Response::PublishDataTrackResponse(proto::PublishDataTrackResponse { info })
            }
            Event::DataTrackUnpublished(track) => {
                let info = Some(data_track_info(&track));
                Response::UnpublishDataTrackResponse(proto::UnpublishDataTrackResponse { info })
            }
            Event::DataTrackHandles(tracks) => {
                Response::DataTrackSubscriberHandles(data_track_handles(&tracks))
            }
            // Queued is no error, and older clients take every reason for one.
            Event::RequestFailed {
                reason: RefusalReason::Queued,
                ..
            } if protocol <= 14 => {
                return None;
            }
            Event::RequestFailed {
                request_id,
                refused,
                reason,
                message,
            } => Response::RequestResponse(proto::RequestResponse {
                request_id,
                reason: refusal_reason(reason) as i32,
                message,
                request: Some(refused_request(refused)),
            }),
            Event::Leave { reason, action } => self.leave(reason, action)?,
        })
    }

    fn description(&self, r#type: &str, description: &Description) -> proto::SessionDescription {
        let forwarded = description.sections.iter().filter_map(|section| {
            let forwarded = section.forwards.as_ref()?;
            Some((section.mid.to_string(), forwarded.track.to_string()))
        });
        proto::SessionDescription {
            r#type: r#type.to_owned(),
            sdp: sdp::finish(description, &self.sdp_client),
            id: description.description.id,
            mid_to_track_id: forwarded.collect(),
        }
    }

    fn participants(&mut self, participants: &[Arc<ParticipantInfo>]) -> Option<Response> {
        let departed = |info: &ParticipantInfo| info.state == ParticipantState::Disconnected;
        let told: Vec<_> = participants
            .iter()
            .filter(|info| !(self.skip_departed && departed(info)))
            .map(|info| participant_info(info))
            .collect();
        if !participants.iter().all(|info| departed(info)) {
            self.skip_departed = false;
        }
        let update = proto::ParticipantUpdate { participants: told };
        (!update.participants.is_empty()).then_some(Response::Update(update))
    }

    /// Clients before protocol 13 know no actions: they read a flag, and resume when the connection just closes.
    fn leave(&self, reason: DisconnectReason, action: LeaveAction) -> Option<Response> {
        use proto::leave_request::Action;
        if action == LeaveAction::Resume && self.protocol() <= 12 {
            return None;
        }
        let code = match action {
            LeaveAction::Disconnect => Action::Disconnect,
            LeaveAction::Resume => Action::Resume,
            LeaveAction::Reconnect => Action::Reconnect,
        };
        Some(Response::Leave(proto::LeaveRequest {
            can_reconnect: action == LeaveAction::Reconnect,
            reason: disconnect_reason(reason) as i32,
            action: code as i32,
            regions: None,
        }))
    }
}

fn speakers_changed(speakers: &[Speaker]) -> Response {
    let speaker = |speaker: &Speaker| proto::SpeakerInfo {
        sid: speaker.participant.to_string(),
        level: speaker.level,
        active: speaker.active,
    };
    let speakers = speakers.iter().map(speaker).collect();
    Response::SpeakersChanged(proto::SpeakersChanged { speakers })
}

fn quality_update(reports: &[QualityReport], protocol: i32) -> Response {
    let report = |report: &QualityReport| {
        let quality = match report.quality {
            // Clients learned of a lost connection with protocol 11.
            ConnectionQuality::Lost if protocol <= 10 => ConnectionQuality::Poor,
            quality => quality,
        };
        proto::ConnectionQualityInfo {
            participant_sid: report.participant.to_string(),
            quality: connection_quality(quality) as i32,
            score: report.score,
        }
    };
    let updates = reports.iter().map(report).collect();
    Response::ConnectionQuality(proto::ConnectionQualityUpdate { updates })
}

fn stream_state_update(states: &[StreamState]) -> Response {
    let state = |state: &StreamState| proto::StreamStateInfo {
        participant_sid: state.participant.to_string(),
        track_sid: state.track.to_string(),
        state: if state.paused {
            proto::StreamState::Paused as i32
        } else {
            proto::StreamState::Active as i32
        },
    };
    let stream_states = states.iter().map(state).collect();
    Response::StreamStateUpdate(proto::StreamStateUpdate { stream_states })
}

/// Nothing without a codec: clients would take it for all layers off.
#[expect(deprecated)]
fn subscribed_quality(track: &TrackSid, codecs: &[SubscribedCodec]) -> Option<Response> {
    let codec = |codec: &SubscribedCodec| {
        let qualities = codec
            .qualities
            .iter()
            .map(|(quality, enabled)| proto::SubscribedQuality {
                quality: video_quality(*quality) as i32,
                enabled: *enabled,
            });
        proto::SubscribedCodec {
            codec: codec.codec.clone(),
            qualities: qualities.collect(),
        }
    };
    let subscribed_codecs: Vec<_> = codecs.iter().map(codec).collect();
    Some(Response::SubscribedQualityUpdate(
        proto::SubscribedQualityUpdate {
            track_sid: track.to_string(),
            // SDKs from before tracks had several codecs read this list.
            subscribed_qualities: subscribed_codecs.first()?.qualities.clone(),
            subscribed_codecs,
        },
    ))
}

fn subscription_failed(track: &TrackSid, error: SubscriptionError) -> Response {
    let err = match error {
        SubscriptionError::CodecUnsupported => proto::SubscriptionError::SeCodecUnsupported,
        SubscriptionError::TrackNotFound => proto::SubscriptionError::SeTrackNotfound,
    };
    Response::SubscriptionResponse(proto::SubscriptionResponse {
        track_sid: track.to_string(),
        err: err as i32,
    })
}

fn refusal_reason(reason: RefusalReason) -> Reason {
    match reason {
        RefusalReason::NotFound => Reason::NotFound,
        RefusalReason::NotAllowed => Reason::NotAllowed,
        RefusalReason::LimitExceeded => Reason::LimitExceeded,
        RefusalReason::Queued => Reason::Queued,
        RefusalReason::UnsupportedType => Reason::UnsupportedType,
        RefusalReason::InvalidRequest => Reason::InvalidRequest,
        RefusalReason::DuplicateHandle => Reason::DuplicateHandle,
        RefusalReason::DuplicateName => Reason::DuplicateName,
    }
}

fn refused_request(refused: RefusedRequest) -> Refused {
    match refused {
        RefusedRequest::AddTrack(track) => Refused::AddTrack(add_track(&track)),
        RefusedRequest::UpdateMetadata(update) => Refused::UpdateMetadata(echo(update)),
        RefusedRequest::Mute { track, muted } => Refused::Mute(proto::MuteTrackRequest {
            sid: track.to_string(),
            muted,
        }),
        RefusedRequest::UpdateAudioTrack { track } => {
            Refused::UpdateAudioTrack(proto::UpdateLocalAudioTrack {
                track_sid: track.to_string(),
                ..proto::UpdateLocalAudioTrack::default()
            })
        }
        RefusedRequest::UpdateVideoTrack { track } => {
            Refused::UpdateVideoTrack(proto::UpdateLocalVideoTrack {
                track_sid: track.to_string(),
                ..proto::UpdateLocalVideoTrack::default()
            })
        }
        RefusedRequest::PublishDataTrack(track) => {
            Refused::PublishDataTrack(publish_data_track(&track))
        }
        RefusedRequest::UnpublishDataTrack { handle } => {
            Refused::UnpublishDataTrack(proto::UnpublishDataTrackRequest {
                pub_handle: u32::from(handle.get()),
            })
        }
    }
}

fn echo(update: UpdateMetadata) -> proto::UpdateParticipantMetadata {
    proto::UpdateParticipantMetadata {
        metadata: update.metadata.unwrap_or_default(),
        name: update.name.unwrap_or_default(),
        attributes: update.attributes.into_iter().collect(),
        request_id: update.request_id,
    }
}
