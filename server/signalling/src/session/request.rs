//! Messages of the client.

use tradewind_rtc::{
    DataTrackHandle, DataTrackSid, Scenario, SessionDescription, SignalRequest, TrackSettings,
    TrackSid, VideoQuality,
};

use super::{Incoming, Response, Session, SignalError, candidate};
use crate::convert::proto::request_response::{Reason, Request as Refused};
use crate::convert::proto::signal_request::Message as Request;
use crate::convert::proto::simulate_scenario::Scenario as ScenarioCode;
use crate::convert::{
    add_track_from, data_subscription_from, disconnect_reason_from, proto, publish_data_track_from,
    sids, subscription_from, subscription_permission_from, sync_state_from, target_from,
    update_metadata_from, video_quality_from,
};
use crate::limits::{MAX_FEATURES, MAX_SID_BYTES, add_track_fault, data_track_fault};

const BAD_HANDLE: &str = "a data track's handle is a number from 1 to 65535";
const NO_DATA_BLOBS: &str = "data blobs are not supported by this server";

impl Session {
    #[expect(deprecated, reason = "older clients still send update_layers")]
    pub(super) fn read(
        &self,
        message: Request,
        now_unix_ms: u64,
    ) -> Result<Vec<Incoming>, SignalError> {
        let request = match message {
            Request::Ping(_) => {
                return Ok(vec![self.reply(Response::Pong(signed(now_unix_ms)))]);
            }
            Request::PingReq(ping) => return Ok(self.pong(ping, now_unix_ms)),
            Request::AddTrack(track) => return self.add_track(track),
            Request::PublishDataTrackRequest(track) => return Ok(self.publish_data_track(track)),
            Request::UnpublishDataTrackRequest(track) => {
                match DataTrackHandle::new(track.pub_handle) {
                    Some(handle) => SignalRequest::UnpublishDataTrack { handle },
                    None => {
                        let refused = Some(Refused::UnpublishDataTrack(track));
                        let reason = Reason::InvalidHandle;
                        return Ok(vec![self.refuse(0, reason, BAD_HANDLE, refused)]);
                    }
                }
            }
            Request::UpdateDataSubscription(update) => {
                let choices = data_subscription_from(update);
                check_data_sids(choices.iter().map(|(sid, _)| sid))?;
                SignalRequest::DataSubscription(choices)
            }
            Request::StoreDataBlobRequest(blob) => {
                let id = blob.request_id;
                return Ok(vec![self.refuse(
                    id,
                    Reason::NotAllowed,
                    NO_DATA_BLOBS,
                    None,
                )]);
            }
            Request::GetDataBlobRequest(blob) => {
                let id = blob.request_id;
                return Ok(vec![self.refuse(
                    id,
                    Reason::NotAllowed,
                    NO_DATA_BLOBS,
                    None,
                )]);
            }
            // Superseded by update_video_track. Nobody waits for a reply.
            Request::UpdateLayers(_) => return Ok(Vec::new()),
            Request::Simulate(simulate) => match simulate.scenario {
                Some(scenario) => SignalRequest::Simulate(read_scenario(scenario)),
                None => return Ok(Vec::new()),
            },
            Request::Offer(offer) => SignalRequest::Offer(self.read_description(offer)?),
            Request::Answer(answer) => SignalRequest::Answer(self.read_description(answer)?),
            Request::Trickle(trickle) => self.trickle(&trickle)?,
            Request::Mute(mute) => SignalRequest::Mute {
                track: sid(mute.sid)?,
                muted: mute.muted,
            },
            Request::Subscription(subscription) => {
                let (tracks, subscribe) = subscription_from(subscription);
                check_sids(&tracks)?;
                SignalRequest::Subscription { tracks, subscribe }
            }
            Request::TrackSetting(settings) => read_track_settings(settings)?,
            Request::SubscriptionPermission(permission) => {
                let permission = subscription_permission_from(permission);
                for subscriber in &permission.tracks {
                    check_sids(&subscriber.tracks)?;
                }
                SignalRequest::SubscriptionPermission(permission)
            }
            Request::SyncState(state) => {
                let state = sync_state_from(state, self.peer_mode());
                check_sids(&state.disabled)?;
                check_sids(
                    state
                        .subscription
                        .as_ref()
                        .map_or(&[], |(tracks, _)| tracks),
                )?;
                let chosen = state.data_subscription.iter().map(|(sid, _)| sid);
                check_data_sids(state.published_data.iter().chain(chosen))?;
                SignalRequest::SyncState(Box::new(state))
            }
            Request::UpdateMetadata(update) => {
                SignalRequest::UpdateMetadata(update_metadata_from(update))
            }
            Request::UpdateAudioTrack(update) => SignalRequest::UpdateAudioTrack {
                track: sid(update.track_sid)?,
                features: update.features.into_iter().take(MAX_FEATURES).collect(),
            },
            Request::UpdateVideoTrack(update) => SignalRequest::UpdateVideoTrack {
                track: sid(update.track_sid)?,
                width: update.width,
                height: update.height,
            },
            Request::Leave(leave) => SignalRequest::Leave {
                reason: disconnect_reason_from(leave.reason),
            },
        };
        Ok(vec![Incoming::Request(request)])
    }

    fn pong(&self, ping: proto::Ping, now_unix_ms: u64) -> Vec<Incoming> {
        let pong = proto::Pong {
            last_ping_timestamp: ping.timestamp,
            timestamp: signed(now_unix_ms),
        };
        let mut incoming = vec![self.reply(Response::PongResp(pong))];
        // The first ping goes out before the client has measured anything, and says 0.
        if ping.rtt > 0 {
            let ms = u32::try_from(ping.rtt).unwrap_or(u32::MAX);
            incoming.push(Incoming::Request(SignalRequest::RoundTrip { ms }));
        }
        incoming
    }

    /// A track that is out of bounds is the application's mistake: the client is told and keeps its connection.
    fn add_track(&self, track: proto::AddTrackRequest) -> Result<Vec<Incoming>, SignalError> {
        if let Some(fault) = add_track_fault(&track) {
            let refused = Some(Refused::AddTrack(track));
            return Ok(vec![self.refuse(0, Reason::LimitExceeded, fault, refused)]);
        }
        let Some(announced) = add_track_from(track.clone()) else {
            let refused = Some(Refused::AddTrack(track));
            let message = "a track is either audio or video";
            return Ok(vec![self.refuse(
                0,
                Reason::UnsupportedType,
                message,
                refused,
            )]);
        };
        Ok(vec![Incoming::Request(SignalRequest::AddTrack(Box::new(
            announced,
        )))])
    }

    /// As with other tracks, what is out of bounds is told and costs nobody the connection.
    fn publish_data_track(&self, track: proto::PublishDataTrackRequest) -> Vec<Incoming> {
        if let Some((reason, fault)) = data_track_fault(&track) {
            let refused = Some(Refused::PublishDataTrack(track));
            return vec![self.refuse(0, reason, fault, refused)];
        }
        let Some(announced) = publish_data_track_from(track.clone()) else {
            let refused = Some(Refused::PublishDataTrack(track));
            return vec![self.refuse(0, Reason::InvalidHandle, BAD_HANDLE, refused)];
        };
        let request = SignalRequest::PublishDataTrack(Box::new(announced));
        vec![Incoming::Request(request)]
    }

    fn trickle(&self, trickle: &proto::TrickleRequest) -> Result<SignalRequest, SignalError> {
        Ok(SignalRequest::Trickle {
            target: target_from(trickle.target, self.peer_mode()),
            candidate: candidate::read(&trickle.candidate_init, self.limits.candidate_bytes)?,
        })
    }

    fn read_description(
        &self,
        description: proto::SessionDescription,
    ) -> Result<SessionDescription, SignalError> {
        let (bytes, limit) = (description.sdp.len(), self.limits.sdp_bytes);
        if bytes > limit {
            return Err(SignalError::SdpTooLarge { bytes, limit });
        }
        Ok(SessionDescription {
            sdp: description.sdp,
            id: description.id,
        })
    }

    fn refuse(
        &self,
        request_id: u32,
        reason: Reason,
        message: &str,
        request: Option<Refused>,
    ) -> Incoming {
        self.reply(Response::RequestResponse(proto::RequestResponse {
            request_id,
            reason: reason as i32,
            message: message.to_owned(),
            request,
        }))
    }

    fn reply(&self, message: Response) -> Incoming {
        Incoming::Reply(self.encode(message))
    }
}

fn read_track_settings(settings: proto::UpdateTrackSettings) -> Result<SignalRequest, SignalError> {
    let tracks = sids(settings.track_sids);
    check_sids(&tracks)?;
    let off = settings.quality == proto::VideoQuality::Off as i32;
    Ok(SignalRequest::TrackSettings(TrackSettings {
        tracks,
        disabled: settings.disabled || off,
        // A quality that is not known yet can only be higher.
        quality: video_quality_from(settings.quality).unwrap_or(VideoQuality::High),
        width: settings.width,
        height: settings.height,
        fps: settings.fps,
        priority: settings.priority,
    }))
}

fn read_scenario(scenario: ScenarioCode) -> Scenario {
    match scenario {
        ScenarioCode::SpeakerUpdate(seconds) => Scenario::SpeakerUpdate {
            seconds: u32::try_from(seconds).unwrap_or(0),
        },
        ScenarioCode::NodeFailure(_) => Scenario::NodeFailure,
        ScenarioCode::Migration(_) => Scenario::Migration,
        ScenarioCode::ServerLeave(_) => Scenario::ServerLeave,
        ScenarioCode::SwitchCandidateProtocol(protocol) => {
            Scenario::SwitchCandidateProtocol { protocol }
        }
        ScenarioCode::SubscriberBandwidth(bitrate) => Scenario::SubscriberBandwidth {
            bitrate: u64::try_from(bitrate).unwrap_or(0),
        },
        ScenarioCode::DisconnectSignalOnResume(_) => Scenario::DisconnectSignalOnResume,
        ScenarioCode::DisconnectSignalOnResumeNoMessages(_) => {
            Scenario::DisconnectSignalOnResumeNoMessages
        }
        ScenarioCode::LeaveRequestFullReconnect(_) => Scenario::LeaveRequestFullReconnect,
    }
}

fn sid(text: String) -> Result<TrackSid, SignalError> {
    let sid = TrackSid::from(text);
    check_sids(std::slice::from_ref(&sid))?;
    Ok(sid)
}

fn check_sids(sids: &[TrackSid]) -> Result<(), SignalError> {
    if sids.iter().any(|sid| sid.as_str().len() > MAX_SID_BYTES) {
        return Err(SignalError::SidTooLong);
    }
    Ok(())
}

fn check_data_sids<'a>(
    mut sids: impl Iterator<Item = &'a DataTrackSid>,
) -> Result<(), SignalError> {
    if sids.any(|sid| sid.as_str().len() > MAX_SID_BYTES) {
        return Err(SignalError::SidTooLong);
    }
    Ok(())
}

/// The protocol counts in signed numbers.
fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
