//! Asks the server on this machine, on the port for operators.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

/// A server on the same machine that takes longer is not well.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are looked at.
const MAX_ANSWER_BYTES: u64 = 4096;

/// An HTTP answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Sends a request without a body to the server whose `metrics.bind` is given.
///
/// # Errors
/// Nobody answers there.
pub(super) fn ask(bind: SocketAddr, method: &str, path: &str) -> anyhow::Result<Answer> {
    let address = SocketAddr::new(reachable(bind.ip()), bind.port());
    let answer =
        exchange(address, method, path).with_context(|| format!("no answer from {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.with_context(|| format!("{address} does not speak HTTP"))?,
        body: body.trim().to_owned(),
    })
}

/// The address that reaches a socket bound to `bind` from this machine.
fn reachable(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

fn exchange(address: SocketAddr, method: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}
