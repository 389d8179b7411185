//! Data messages: `DataPacket` of the protocol, as they pass through the server.
//!
//! Only the fields the server answers for are read and rewritten, on the wire format; all else passes as it came. So
//! kinds of messages that newer clients invent pass too, and a message of 64 KB costs two short scans and one copy.

mod wire;

use livekit_protocol::{DataPacket, SendDataRequest, UserPacket, data_packet};
use prost::Message;
use tradewind_rtc::{DataCodec, DataError, DataSender, Identity, ParticipantSid, StampedMessage};

use wire::{Field, Fields, Pieces};

/// Recipients one message may name.
const MAX_DESTINATIONS: usize = 4096;

/// Field numbers of `DataPacket`.
mod packet {
    pub(super) const USER: u32 = 2;
    pub(super) const PARTICIPANT_IDENTITY: u32 = 4;
    pub(super) const DESTINATION_IDENTITIES: u32 = 5;
    pub(super) const TRANSCRIPTION: u32 = 7;
    pub(super) const METRICS: u32 = 8;
    pub(super) const CHAT_MESSAGE: u32 = 9;
    pub(super) const STREAM_HEADER: u32 = 13;
    pub(super) const STREAM_CHUNK: u32 = 14;
    pub(super) const STREAM_TRAILER: u32 = 15;
    pub(super) const SEQUENCE: u32 = 16;
    pub(super) const PARTICIPANT_SID: u32 = 17;
}

/// Field numbers of `UserPacket`.
mod user {
    pub(super) const PARTICIPANT_SID: u32 = 1;
    pub(super) const DESTINATION_SIDS: u32 = 3;
    pub(super) const PARTICIPANT_IDENTITY: u32 = 5;
    pub(super) const DESTINATION_IDENTITIES: u32 = 6;
}

/// Reads and stamps `DataPacket`s.
#[derive(Clone, Copy, Debug, Default)]
pub struct DataPacketCodec;

impl DataCodec for DataPacketCodec {
    /// A sender with an empty identity and sid (a hidden one) stays unnamed.
    fn stamp(&self, message: &[u8], sender: DataSender<'_>) -> Result<StampedMessage, DataError> {
        let header = Header::read(message)?;
        let mut pieces = Pieces::new(message);
        for field in Fields::new(message, 0..message.len()) {
            let field = field?;
            match field.number {
                packet::PARTICIPANT_IDENTITY | packet::PARTICIPANT_SID => {}
                packet::USER => {
                    pieces.nested(packet::USER, stamp_user(message, &field, &header, sender)?)
                }
                _ => pieces.keep(field.whole),
            }
        }
        if header.identities_from_user {
            pieces.texts(packet::DESTINATION_IDENTITIES, &header.identities);
        }
        let identity = match header.claimed_identity {
            Some(claimed) if sender.is_agent && header.may_speak_for_others => claimed,
            _ => sender.identity.as_str(),
        };
        pieces.texts(packet::PARTICIPANT_IDENTITY, &[identity]);
        pieces.texts(packet::PARTICIPANT_SID, &[sender.sid.as_str()]);
        Ok(StampedMessage {
            message: pieces.into_message(),
            destinations: header
                .identities
                .iter()
                .map(|identity| Identity::from(*identity))
                .collect(),
            destination_sids: header
                .sids
                .iter()
                .map(|sid| ParticipantSid::from(*sid))
                .collect(),
            sequence: header.sequence,
            relay: header.relay,
        })
    }
}

/// The message of a server API call, in the name of no participant.
pub fn server_packet(request: SendDataRequest) -> Vec<u8> {
    #[expect(deprecated, reason = "clients that know no newer fields read these")]
    let packet = DataPacket {
        kind: request.kind,
        destination_identities: request.destination_identities.clone(),
        value: Some(data_packet::Value::User(UserPacket {
            payload: request.data,
            destination_sids: request.destination_sids,
            destination_identities: request.destination_identities,
            topic: request.topic,
            nonce: request.nonce,
            ..UserPacket::default()
        })),
        ..DataPacket::default()
    };
    packet.encode_to_vec()
}

/// What the server needs to know before it rewrites a message.
#[derive(Default)]
struct Header<'a> {
    claimed_identity: Option<&'a str>,
    identities: Vec<&'a str>,
    /// The recipients stood in the user message only, where old clients put them.
    identities_from_user: bool,
    sids: Vec<&'a str>,
    sequence: u32,
    may_speak_for_others: bool,
    relay: bool,
}

impl<'a> Header<'a> {
    fn read(message: &'a [u8]) -> Result<Self, DataError> {
        let mut header = Self {
            relay: true,
            ..Self::default()
        };
        let mut from_user = Vec::new();
        for field in Fields::new(message, 0..message.len()) {
            let field = field?;
            match field.number {
                packet::PARTICIPANT_IDENTITY => {
                    header.claimed_identity =
                        Some(field.text(message)?).filter(|identity| !identity.is_empty());
                }
                packet::PARTICIPANT_SID => {
                    field.text(message)?;
                }
                packet::DESTINATION_IDENTITIES => header.identities.push(field.text(message)?),
                // Protobuf cuts a number that is too long to its low bits.
                packet::SEQUENCE => header.sequence = field.number_value()? as u32,
                packet::USER => read_user(message, &field, &mut from_user, &mut header.sids)?,
                _ => {}
            }
            // Of several values the last one counts, as in every protobuf reader.
            if is_value(field.number) {
                header.relay = field.number != packet::METRICS;
                header.may_speak_for_others = matches!(
                    field.number,
                    packet::TRANSCRIPTION
                        | packet::CHAT_MESSAGE
                        | packet::STREAM_HEADER
                        | packet::STREAM_CHUNK
                        | packet::STREAM_TRAILER
                );
            }
        }
        if header.identities.is_empty() && !from_user.is_empty() {
            header.identities = from_user;
            header.identities_from_user = true;
        }
        if header.identities.len() + header.sids.len() > MAX_DESTINATIONS {
            return Err(DataError::Malformed);
        }
        Ok(header)
    }
}

fn is_value(number: u32) -> bool {
    !matches!(
        number,
        1 | packet::PARTICIPANT_IDENTITY
            | packet::DESTINATION_IDENTITIES
            | packet::SEQUENCE
            | packet::PARTICIPANT_SID
    )
}

fn read_user<'a>(
    message: &'a [u8],
    field: &Field,
    identities: &mut Vec<&'a str>,
    sids: &mut Vec<&'a str>,
) -> Result<(), DataError> {
    for inner in Fields::new(message, field.content()?) {
        let inner = inner?;
        match inner.number {
            user::DESTINATION_IDENTITIES => identities.push(inner.text(message)?),
            user::DESTINATION_SIDS => sids.push(inner.text(message)?),
            _ => {}
        }
    }
    Ok(())
}

/// Old clients read sender and recipients inside the user message only.
fn stamp_user<'a>(
    message: &'a [u8],
    field: &Field,
    header: &Header<'a>,
    sender: DataSender<'a>,
) -> Result<Pieces<'a>, DataError> {
    let mut pieces = Pieces::new(message);
    let replaces_identities = !header.identities_from_user && !header.identities.is_empty();
    for inner in Fields::new(message, field.content()?) {
        let inner = inner?;
        match inner.number {
            user::PARTICIPANT_SID | user::PARTICIPANT_IDENTITY => {}
            user::DESTINATION_IDENTITIES if replaces_identities => {}
            _ => pieces.keep(inner.whole),
        }
    }
    pieces.texts(user::PARTICIPANT_SID, &[sender.sid.as_str()]);
    pieces.texts(user::PARTICIPANT_IDENTITY, &[sender.identity.as_str()]);
    if replaces_identities {
        pieces.texts(user::DESTINATION_IDENTITIES, &header.identities);
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests;
