//! Version 1.0 of the framing, frozen: the bytes that nodes in the field send and understand. These bytes never change. A
//! later version adds its own beside them and goes on to read these.

use bytes::Bytes;

use super::*;
use crate::class::MediaClass;
use crate::id::{Epoch, FlowId, NodeId, RoomKey};

fn flow(number: u32) -> FlowId {
    FlowId::new(number).unwrap()
}

/// Every frame of version 1.0 with its bytes on a stream.
fn frames() -> Vec<(Frame, &'static [u8])> {
    vec![
        (
            Frame::Hello {
                node: NodeId::from("tokyo"),
                version: Version { major: 1, minor: 0 },
                instance: 0x0102_0304_0506_0708,
                features: 0,
            },
            b"\x1b\x01\x05tokyo\0\x01\0\0\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\0",
        ),
        (
            Frame::Nack {
                class: MediaClass::VideoBase,
                entries: vec![NackEntry {
                    first: 0xfffe,
                    following: 0x8001,
                }],
            },
            b"\x07\x02\x02\x01\xff\xfe\x80\x01",
        ),
        (
            Frame::Feedback {
                lanes: vec![LaneCount {
                    class: MediaClass::Audio,
                    expected: 300,
                    arrived: 63,
                }],
            },
            b"\x06\x03\x01\x00\x41\x2c\x3f",
        ),
        (
            Frame::Room {
                room: RoomKey::from("desk"),
                payload: Bytes::from_static(b"hi"),
            },
            b"\x09\x04\x04desk\x02hi",
        ),
        (Frame::Drain, b"\x01\x05"),
    ]
}

#[test]
fn frames_are_written_as_version_1_0_wrote_them() {
    for (frame, bytes) in frames() {
        assert_eq!(frame.encode(), bytes, "{frame:?}");
    }
}

#[test]
fn frames_of_version_1_0_are_understood() {
    for (frame, bytes) in frames() {
        let mut reader = FrameReader::default();
        reader.push(bytes);
        assert_eq!(reader.next_frame(), Ok(Some(frame)));
    }
}

#[test]
fn a_media_datagram_is_that_of_version_1_0() {
    let header = MediaHeader {
        flow: flow(70),
        hop: HopHeader {
            class: MediaClass::VideoEnhancement,
            copy: Copy::Duplicate,
            epoch: Epoch(9),
            sequence: 0x1234,
        },
    };
    let bytes = Bytes::from_static(b"\x40\x46\x68\x09\x12\x34rtp");
    assert_eq!(header.encode(b"rtp"), bytes);
    assert_eq!(
        Datagram::decode(bytes),
        Ok(Datagram::Media(header, Bytes::from_static(b"rtp")))
    );
}

#[test]
fn a_hop_message_is_that_of_version_1_0() {
    let bytes = Bytes::from_static(b"\x00\x05");
    let frame = Frame::Drain;
    assert_eq!(Datagram::encode_message(&frame), bytes);
    assert_eq!(Datagram::decode(bytes), Ok(Datagram::Message(frame)));
}

#[test]
fn what_a_later_minor_version_adds_is_skipped() {
    let mut reader = FrameReader::default();
    // A frame of an unknown type, then a drain with two new fields behind it.
    reader.push(b"\x04\x40\x99xy\x03\x05\x01\x02");
    assert_eq!(reader.next_frame(), Ok(Some(Frame::Drain)));
    assert_eq!(reader.next_frame(), Ok(None));
    // A hop message of an unknown type, a class and a kind of copy without a name.
    for bytes in [
        &b"\x00\x40\x99"[..],
        b"\x05\xe0\x00\x00\x01rtp",
        b"\x05\x18\x00\x00\x01rtp",
    ] {
        assert_eq!(
            Datagram::decode(Bytes::from_static(bytes)),
            Ok(Datagram::Unknown)
        );
    }
}
