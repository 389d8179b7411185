//! The emulator between real sockets.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use tradewind_wan::{Node, Shape, Topology, Wan};

const PATIENCE: Duration = Duration::from_secs(10);
const DELAY: Duration = Duration::from_millis(40);

fn address(network: u8, side: u8, place: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, network, side, place))
}

/// Two places on a network of their own, forty milliseconds apart.
fn planet(network: u8) -> (Wan, u16) {
    // Several test processes may run on one machine.
    let port = 20_000 + (std::process::id() % 20_000) as u16;
    let node = |name: &str, place| Node {
        name: name.into(),
        region: None,
        inside: address(network, 0, place),
        outside: address(network, 1, place),
        udp: vec![port],
        tcp: vec![port],
    };
    let shape = Shape {
        delay_ms: DELAY.as_millis() as f64,
        ..Shape::default()
    };
    let nodes = vec![node("paris", 1), node("tokyo", 2)];
    let topology = Topology {
        every_link: shape,
        nodes,
        ..Topology::default()
    };
    (Wan::start(topology).unwrap(), port)
}

fn udp(ip: IpAddr, port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((ip, port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn datagrams_arrive_late_from_the_senders_outside_and_answers_find_back() {
    let (wan, port) = planet(31);
    let (paris, tokyo) = (udp(address(31, 0, 1), port), udp(address(31, 0, 2), port));
    let start = Instant::now();
    paris
        .send_to(b"bonjour", (address(31, 1, 2), port))
        .unwrap();
    let mut buffer = [0; 100];
    let (length, from) = tokyo.recv_from(&mut buffer).unwrap();
    assert!(start.elapsed() >= DELAY);
    assert_eq!(
        (&buffer[..length], from.ip()),
        (&b"bonjour"[..], address(31, 1, 1))
    );
    tokyo.send_to(b"konnichiwa", from).unwrap();
    let (length, from) = paris.recv_from(&mut buffer).unwrap();
    assert!(start.elapsed() >= 2 * DELAY);
    assert_eq!(&buffer[..length], b"konnichiwa");
    assert_eq!(from, SocketAddr::new(address(31, 1, 2), port));
    assert_eq!(wan.stats("paris", "tokyo").unwrap().passed, 1);
}

#[test]
fn a_connection_is_carried_with_its_delay() {
    let (_wan, port) = planet(32);
    let listener = TcpListener::bind((address(32, 0, 2), port)).unwrap();
    let paris = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    paris
        .bind(&SocketAddr::new(address(32, 0, 1), 0).into())
        .unwrap();
    let start = Instant::now();
    paris
        .connect(&SocketAddr::new(address(32, 1, 2), port).into())
        .unwrap();
    let mut paris = TcpStream::from(paris);
    paris.write_all(b"bonjour").unwrap();
    let (mut tokyo, from) = listener.accept().unwrap();
    tokyo.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 7];
    tokyo.read_exact(&mut buffer).unwrap();
    assert_eq!((&buffer, from.ip()), (b"bonjour", address(32, 1, 1)));
    // A round trip for the handshake and one way for the bytes.
    assert!(start.elapsed() >= 3 * DELAY);
}

#[test]
fn links_are_cut_healed_changed_and_counted_over_the_control_socket() {
    let (wan, port) = planet(33);
    let (paris, tokyo) = (udp(address(33, 0, 1), port), udp(address(33, 0, 2), port));
    let control = TcpStream::connect(wan.control_addr()).unwrap();
    control.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answers = BufReader::new(control.try_clone().unwrap());
    let mut ask = |command: &str| {
        writeln!(&control, "{command}").unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()
    };
    let send = |text: &[u8]| paris.send_to(text, (address(33, 1, 2), port)).unwrap();
    let stats = r#"{"do":"stats","from":"paris","to":"tokyo"}"#;

    assert_eq!(
        ask(r#"{"do":"cut","from":"paris","to":"tokyo","both_ways":true}"#)["ok"],
        true
    );
    send(b"lost");
    let start = Instant::now();
    while ask(stats)["stats"]["cut"] != 1 {
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(
        ask(r#"{"do":"heal","from":"paris","to":"tokyo","both_ways":true}"#)["ok"],
        true
    );
    assert_eq!(
        ask(r#"{"do":"set","from":"paris","to":"tokyo","shape":{"delay_ms":1}}"#)["ok"],
        true
    );
    send(b"passed");
    let mut buffer = [0; 100];
    let (length, _) = tokyo.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"passed");
    assert_eq!(ask(stats)["shape"]["delay_ms"], 1.0);
    assert_eq!(
        ask(r#"{"do":"cut","from":"paris","to":"osaka"}"#)["ok"],
        false
    );
    assert_eq!(ask("nonsense")["ok"], false);
}
