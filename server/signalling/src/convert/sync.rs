//! What a client says about its session as a whole: subscriptions and its picture after a reconnect.

use tradewind_rtc::{
    ChannelState, PeerMode, SubscriptionPermission, SyncState, Target, TrackPermission, TrackSid,
};

use super::{data_subscription_from, proto};

/// Which peer connection a message is about. With a single one the code says nothing.
pub fn target_from(code: i32, peer_mode: PeerMode) -> Target {
    let subscriber = proto::SignalTarget::Subscriber as i32;
    match peer_mode {
        PeerMode::Dual if code == subscriber => Target::Subscriber,
        PeerMode::Dual | PeerMode::Single => Target::Publisher,
    }
}

/// All tracks a subscription names, in order, those listed by participant last.
pub fn subscription_from(subscription: proto::UpdateSubscription) -> (Vec<TrackSid>, bool) {
    let by_participant = subscription.participant_tracks.into_iter();
    let by_participant = by_participant.flat_map(|tracks| tracks.track_sids);
    let tracks = subscription.track_sids.into_iter().chain(by_participant);
    (tracks.map(TrackSid::from).collect(), subscription.subscribe)
}

/// Who may subscribe to the client's tracks.
pub fn subscription_permission_from(
    permission: proto::SubscriptionPermission,
) -> SubscriptionPermission {
    let track = |track: proto::TrackPermission| TrackPermission {
        participant: stated(track.participant_sid).map(Into::into),
        identity: stated(track.participant_identity).map(Into::into),
        all_tracks: track.all_tracks,
        tracks: sids(track.track_sids),
    };
    SubscriptionPermission {
        all_participants: permission.all_participants,
        tracks: permission
            .track_permissions
            .into_iter()
            .map(track)
            .collect(),
    }
}

/// The client's picture of its session. Channels whose number is no SCTP stream id are left out.
pub fn sync_state_from(state: proto::SyncState, peer_mode: PeerMode) -> SyncState {
    let published = |published: proto::TrackPublishedResponse| {
        (
            published.cid,
            published.track.unwrap_or_default().sid.into(),
        )
    };
    let channel = |channel: proto::DataChannelInfo| {
        Some(ChannelState {
            id: u16::try_from(channel.id).ok()?,
            target: target_from(channel.target, peer_mode),
            label: channel.label,
        })
    };
    let received =
        |state: proto::DataChannelReceiveState| (state.publisher_sid.into(), state.last_seq);
    SyncState {
        published: state.publish_tracks.into_iter().map(published).collect(),
        subscription: state.subscription.map(subscription_from),
        disabled: sids(state.track_sids_disabled),
        channels: state
            .data_channels
            .into_iter()
            .filter_map(channel)
            .collect(),
        received: state
            .datachannel_receive_states
            .into_iter()
            .map(received)
            .collect(),
        published_data: state
            .publish_data_tracks
            .into_iter()
            .map(|published| published.info.unwrap_or_default().sid.into())
            .collect(),
        data_subscription: state
            .data_subscription
            .map(data_subscription_from)
            .unwrap_or_default(),
    }
}

/// Track sids as typed values.
pub fn sids(sids: Vec<String>) -> Vec<TrackSid> {
    sids.into_iter().map(TrackSid::from).collect()
}

fn stated(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
