//! A node on real sockets of the loopback interface.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn options(shards: u16) -> NodeOptions {
    NodeOptions {
        shards,
        realtime: false,
        spread_room_after: 0,
        udp: SocketAddr::new(LOOPBACK, 0),
        tcp: Some(SocketAddr::new(LOOPBACK, 0)),
        advertise: vec![LOOPBACK],
        max_tcp_connections: 8,
        max_tcp_connections_per_address: 4,
        shard: ShardConfig::default(),
    }
}

async fn node(shards: u16) -> Node {
    Node::start(options(shards)).await.unwrap()
}

fn binding_request(username: &str) -> Vec<u8> {
    let mut attributes = vec![0x00, 0x06];
    attributes.extend_from_slice(&(username.len() as u16).to_be_bytes());
    attributes.extend_from_slice(username.as_bytes());
    attributes.resize(attributes.len().next_multiple_of(4), 0);
    let mut message = vec![0x00, 0x01];
    message.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    message.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    message.extend_from_slice(&[7; 12]);
    message.extend_from_slice(&attributes);
    message
}

fn frame(datagram: &[u8]) -> Vec<u8> {
    let mut frame = (datagram.len() as u16).to_be_bytes().to_vec();
    frame.extend_from_slice(datagram);
    frame
}

/// Whether the server closed the connection, saying nothing.
async fn is_closed_in_silence(stream: &mut TcpStream) -> bool {
    // Unread input makes the close a reset.
    !matches!(
        timeout(Duration::from_secs(2), stream.read(&mut [0; 64])).await,
        Err(_) | Ok(Ok(1..))
    )
}

/// What the shard's socket has read so far.
async fn datagrams_in(node: &Node) -> u64 {
    node.socket_counters()
        .await
        .iter()
        .map(|counters| counters.udp_in + counters.udp_in_discarded)
        .sum()
}

async fn wait_for_datagrams(node: &Node, wanted: u64) {
    let arrived = async {
        while datagrams_in(node).await < wanted {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), arrived)
        .await
        .expect("the shard reads its socket");
}

#[tokio::test]
async fn every_shard_has_a_port_of_its_own_and_turns() {
    let node = node(3).await;
    assert_eq!(node.udp_candidates().len(), 3);
    assert_eq!(node.tcp_candidates().len(), 1);
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for candidates in node.udp_candidates() {
        client
            .send_to(b"anybody there?", candidates[0])
            .await
            .unwrap();
    }
    wait_for_datagrams(&node, 3).await;
    let counters = node.socket_counters().await;
    assert!(
        counters.iter().all(|shard| shard.udp_in == 1),
        "{counters:?}"
    );
    assert_eq!(node.ready(), Ok(()));
}

#[tokio::test]
async fn a_taken_port_is_named_with_what_to_do() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut options = options(1);
    options.udp = taken.local_addr().unwrap();
    let error = Node::start(options).await.err().unwrap().to_string();
    assert!(
        error.contains(&taken.local_addr().unwrap().to_string()) && error.contains("rtc.udp_port"),
        "{error}"
    );
}

#[tokio::test]
async fn ports_beyond_the_last_are_refused() {
    let mut options = options(3);
    options.udp.set_port(65_534);
    assert!(matches!(
        Node::start(options).await,
        Err(StartError::PortRange {
            first: 65_534,
            shards: 3
        })
    ));
}

#[tokio::test]
async fn an_idle_shard_stays_ready() {
    let node = node(1).await;
    sleep(Duration::from_millis(2_500)).await;
    assert_eq!(node.ready(), Ok(()));
}

#[tokio::test]
async fn after_shutdown_the_node_takes_nothing_and_its_threads_are_gone() {
    let node = node(2).await;
    let mut events = node.room_events(8);
    timeout(Duration::from_secs(5), node.shutdown())
        .await
        .unwrap();
    assert!(node.ready().is_err());
    assert!(matches!(
        node.admin(AdminRequest::ListRooms { names: Vec::new() })
            .await,
        Err(NodeError::ShuttingDown)
    ));
    assert!(node.0.threads.lock().unwrap().is_empty());
    assert!(node.0.shards.iter().all(|shard| shard.ready().is_err()));
    assert!(events.recv().await.is_none());
}

#[tokio::test]
async fn the_last_handle_takes_the_sockets_along() {
    let node = node(1).await;
    let address = node.udp_candidates()[0][0];
    drop(node);
    let freed = async {
        while std::net::UdpSocket::bind(address).is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(5), freed).await.unwrap();
}

#[tokio::test]
async fn a_call_on_a_room_nobody_has_is_refused_at_once() {
    let node = node(1).await;
    let answer = node
        .admin(AdminRequest::DeleteRoom {
            room: "nowhere".into(),
        })
        .await;
    assert!(matches!(
        answer,
        Err(NodeError::Refused(AdminError::NoSuchRoom))
    ));
}

/// What the internet sends to open ports.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    let request = binding_request("nobody:somebody");
    let length = request.len();
    let truncated_stun = (0..=length).prop_map(move |length| request[..length].to_vec());
    let dtls = (20u8..64, prop::collection::vec(any::<u8>(), 0..1400))
        .prop_map(|(kind, rest)| [&[kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0][..], &rest].concat());
    let rtp = prop::collection::vec(any::<u8>(), 0..1400)
        .prop_map(|rest| [&[0x80, 96][..], &rest].concat());
    let random = prop::collection::vec(any::<u8>(), 0..1500);
    prop_oneof![truncated_stun, dtls, rtp, random]
}

#[tokio::test]
async fn junk_gets_no_larger_reply_and_never_stops_the_loop() {
    let node = node(1).await;
    let server = node.udp_candidates()[0][0];
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(server).await.unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reply = [0; 2048];
    for number in 1..=600 {
        let datagram = junk().new_tree(&mut runner).unwrap().current();
        client.send(&datagram).await.unwrap();
        // One at a time, so that a reply can be told to be the answer to this datagram.
        wait_for_datagrams(&node, number).await;
        while let Ok(size) = client.try_recv(&mut reply) {
            assert!(
                size <= datagram.len(),
                "{size} bytes in answer to {}",
                datagram.len()
            );
        }
    }
    assert_eq!(node.ready(), Ok(()));
    assert_eq!(node.socket_counters().await[0].turn_panics, 0);
}

#[tokio::test]
async fn a_tcp_connection_of_nobody_here_is_closed() {
    let node = node(1).await;
    let server = node.tcp_candidates()[0];
    let attempts = [
        frame(&binding_request("nobody:somebody")),
        frame(b"GET / HTTP/1.1"),
        vec![0xff, 0xff],
        vec![0, 0],
    ];
    for attempt in attempts {
        let mut stream = TcpStream::connect(server).await.unwrap();
        stream.write_all(&attempt).await.unwrap();
        assert!(is_closed_in_silence(&mut stream).await, "{attempt:?}");
    }
}

#[tokio::test]
async fn one_address_gets_no_more_than_its_tcp_connections() {
    let node = node(1).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(TcpStream::connect(node.tcp_candidates()[0]).await.unwrap());
    }
    let mut further = TcpStream::connect(node.tcp_candidates()[0]).await.unwrap();
    assert!(is_closed_in_silence(&mut further).await);
}

#[tokio::test]
async fn frames_reach_the_shard_whose_fragment_the_first_names() {
    let (notices, _queue) = mpsc::unbounded_channel();
    let port = UdpPort::new(
        UdpPort::bind(SocketAddr::new(LOOPBACK, 0)).unwrap(),
        Candidates::new(&[LOOPBACK], 1, is_local),
    );
    let shard = Shard::new(
        ShardConfig::default(),
        Instant::now(),
        unix_ms(),
        1,
        Box::new(DataPacketCodec),
    );
    let (shard, _thread) =
        crate::shard::start(0, shard, port.unwrap(), notices, Arc::default(), false).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fragments = Fragments::default();
    fragments.insert("ours".to_owned(), 0);
    let ice_tcp = IceTcp {
        fragments: fragments.clone(),
        shards: Arc::new([shard.clone()]),
        candidates: Candidates::new(&[LOOPBACK], address.port(), is_local),
        admission: Admission::new(8, 8),
    };
    tokio::spawn(ice_tcp.serve(listener));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = frame(&binding_request("ours:theirs"));
    // Cut anywhere, as TCP may.
    for piece in [
        &request[..1],
        &request[1..9],
        &request[9..],
        &frame(b"second"),
        &frame(b"third"),
    ] {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
    }
    let arrived = async {
        loop {
            let (reply, answer) = oneshot::channel();
            shard.send(Input::SocketCounters { reply }).await.unwrap();
            if answer.await.unwrap().tcp_in == 3 {
                break;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(5), arrived).await.unwrap();
    shard.stop();
}

#[tokio::test]
async fn a_draining_node_takes_nobody_and_says_so() {
    let node = node(1).await;
    assert!(node.ready().is_ok());
    let status = node.drain(Duration::from_secs(1));
    assert!(status.draining && status.since_unix_ms > 0);
    assert_eq!(
        node.ready(),
        Err("the node is draining: connect again to reach another one".to_owned())
    );
    let since = status.since_unix_ms;
    assert_eq!(node.drain(Duration::ZERO).since_unix_ms, since);
    node.shutdown().await;
}
