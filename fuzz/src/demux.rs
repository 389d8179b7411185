//! Datagrams of anybody.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use str0m::crypto::from_feature_flags;
use str0m::ice::{StunMessage, TransId};
use tradewind_rtc::{Protocol, SessionDescription, Transmit};

use crate::Verdict;
use crate::call::{self, Call, OFFER};
use crate::record::{Record, records};

/// Longest time one record lets pass.
const MAX_PASS_MS: u16 = 2_000;

/// Input: [records](crate::record) whose tag says what happens. Bits 0 and 1: 0 = the contents arrive as a datagram,
/// 1 = a genuine connectivity check of the client arrives, 2 = the length is milliseconds that pass, 3 = the contents
/// arrive over TCP. Bits 2 to 4: the sender, one of eight addresses.
///
/// Rule: nothing is ever sent to an address that has not proven, by a genuine check, that it belongs to the client. So
/// nobody can make the server send to somebody else, be it more or less than he sent himself.
///
/// Accepted: no datagram was dropped.
pub fn demux(input: &[u8]) -> Verdict {
    let mut join = call::join(true);
    join.offer = Some(SessionDescription {
        sdp: OFFER.to_owned(),
        id: 1,
    });
    let (mut call, outputs) = Call::with(join);
    let answer = call::answer(outputs).expect("the offer is answered");
    let mut validated = BTreeSet::new();
    for record in records(input) {
        let source = source(&record);
        let sent = match record.tag & 3 {
            0 => call.datagram(Protocol::Udp, source, record.contents),
            1 => {
                validated.insert((Protocol::Udp, source));
                call.datagram(Protocol::Udp, source, &check(&answer, source))
            }
            2 => {
                // The length stands for itself: such a record has no contents of its own to skip.
                let ms = record.length.min(MAX_PASS_MS);
                call.pass(Duration::from_millis(u64::from(ms)))
            }
            _ => call.datagram(Protocol::Tcp, source, record.contents),
        };
        check_destinations(&sent, &validated);
    }
    let dropped: u64 = call.shard.counters().dropped.iter().sum();
    call.end();
    Verdict::accepted_if(dropped == 0)
}

fn check_destinations(sent: &[Transmit], validated: &BTreeSet<(Protocol, SocketAddr)>) {
    for transmit in sent {
        assert!(
            validated.contains(&(transmit.protocol, transmit.destination)),
            "{} bytes went to an address that nobody has validated",
            transmit.contents.len()
        );
    }
}

fn source(record: &Record<'_>) -> SocketAddr {
    let client = (record.tag >> 2) & 7;
    SocketAddr::from(([198, 51, 100, client], 40_000 + u16::from(client)))
}

/// A binding request (RFC 8445 section 7.1) as the client of [`OFFER`] sends it.
fn check(answer: &str, source: SocketAddr) -> Vec<u8> {
    let username = format!(
        "{}:{}",
        ice_value(answer, "ufrag"),
        ice_value(OFFER, "ufrag")
    );
    let transaction = TransId::new();
    let priority = 1_853_824_767 - u32::from(source.port());
    let request = StunMessage::binding_request(&username, transaction, true, 7, priority, true);
    let mut buffer = vec![0; 512];
    let crypto = from_feature_flags();
    let length = request
        .to_bytes(
            Some(ice_value(answer, "pwd").as_bytes()),
            &mut buffer,
            |key, parts| crypto.sha1_hmac_provider.sha1_hmac(key, parts),
        )
        .expect("a binding request fits");
    buffer.truncate(length);
    buffer
}

fn ice_value<'a>(sdp: &'a str, name: &str) -> &'a str {
    let attribute = format!("a=ice-{name}:");
    sdp.lines()
        .find_map(|line| line.strip_prefix(attribute.as_str()))
        .expect("the description has ICE credentials")
}
