mod incoming;
mod outgoing;

use prost::Message;
use tradewind_rtc::{Client, ConnectionId};

use super::*;
use crate::join::connect_v0;
use crate::token::{Claims, VideoGrant};

const NOW: u64 = 1_800_000_000_123;

fn server() -> Arc<ServerInfo> {
    Arc::new(ServerInfo {
        node_id: "ND_1".into(),
        region: "tokyo".into(),
        version: COMPATIBLE_VERSION.into(),
        ice_servers: vec![IceServer {
            urls: vec!["turn:turn.example:3478?transport=udp".into()],
            username: "u".into(),
            credential: "c".into(),
        }],
        agent_protocol: 1,
    })
}

fn session(query: &str) -> Session {
    let claims = Claims {
        identity: "shopper-7".into(),
        grants: VideoGrant {
            room_join: true,
            room: "order-17".into(),
            ..VideoGrant::default()
        },
        ..Claims::default()
    };
    let limits = Limits::default();
    let connect = connect_v0(query, &claims, ConnectionId(1), &limits).unwrap();
    Session::new(server(), &connect, limits)
}

/// Two peer connections, as old as `protocol` says.
fn dual(protocol: i32) -> Session {
    session(&format!("protocol={protocol}"))
}

fn single() -> Session {
    let request = ConnectionSettings {
        client: Client {
            protocol: 17,
            ..Client::default()
        },
        browser_version: String::new(),
        peer_mode: PeerMode::Single,
    };
    Session {
        settings: request,
        ..dual(17)
    }
}

fn binary(request: proto::signal_request::Message) -> Vec<u8> {
    proto::SignalRequest {
        message: Some(request),
    }
    .encode_to_vec()
}

fn response(frame: &Frame) -> Response {
    let response = match frame {
        Frame::Binary(bytes) => proto::SignalResponse::decode(&**bytes).unwrap(),
        Frame::Text(text) => serde_json::from_str(text).unwrap(),
    };
    response.message.unwrap()
}
