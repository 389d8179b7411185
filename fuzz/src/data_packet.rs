//! Data messages of a client that has joined.

use livekit_protocol::DataPacket;
use livekit_protocol::data_packet::Value;
use prost::Message;
use tradewind_rtc::{DataCodec, DataSender, Identity, ParticipantSid};
use tradewind_signalling::data::DataPacketCodec;

use crate::Verdict;

/// Input: a byte whose bit 0 makes the sender an agent, then a data message.
///
/// Rules: whoever reads a relayed message learns who really sent it, unless the sender is an agent, which may speak for
/// others; and stamping a stamped message changes neither recipients nor number.
pub fn data_packet(input: &[u8]) -> Verdict {
    let Some((settings, message)) = input.split_first() else {
        return Verdict::Refused;
    };
    let (identity, sid) = (Identity::from("shopper-7"), ParticipantSid::from("PA_7"));
    let sender = DataSender {
        identity: &identity,
        sid: &sid,
        is_agent: settings & 1 == 1,
    };
    let Ok(stamped) = DataPacketCodec.stamp(message, sender) else {
        return Verdict::Refused;
    };
    if let Ok(packet) = DataPacket::decode(&*stamped.message) {
        check_sender(&packet, sender);
    }
    let again = DataPacketCodec
        .stamp(&stamped.message, sender)
        .expect("a stamped message is well formed");
    assert_eq!(
        (
            named(again.destinations),
            again.destination_sids,
            again.sequence,
            again.relay
        ),
        (
            named(stamped.destinations),
            stamped.destination_sids,
            stamped.sequence,
            stamped.relay
        ),
    );
    Verdict::Accepted
}

/// Recipients without a name are nobody, and are not written again.
fn named(recipients: Vec<Identity>) -> Vec<Identity> {
    let has_name = |recipient: &Identity| !recipient.as_str().is_empty();
    recipients.into_iter().filter(has_name).collect()
}

#[expect(deprecated, reason = "clients that know no newer fields read these")]
fn check_sender(packet: &DataPacket, sender: DataSender<'_>) {
    assert_eq!(packet.participant_sid, sender.sid.as_str());
    if !sender.is_agent {
        assert_eq!(packet.participant_identity, sender.identity.as_str());
    }
    if let Some(Value::User(user)) = &packet.value {
        assert_eq!(user.participant_sid, sender.sid.as_str());
        assert_eq!(user.participant_identity, sender.identity.as_str());
    }
}
