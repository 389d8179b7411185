//! `tradewind healthcheck`: for containers, which have no curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

use super::SourceArgs;

/// A server on the same machine that takes longer is not well.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are looked at.
const MAX_ANSWER_BYTES: u64 = 4096;

pub(super) fn run(sources: SourceArgs) -> anyhow::Result<()> {
    let bind = sources.load()?.settings.metrics.bind;
    let address = SocketAddr::new(reachable(bind.ip()), bind.port());
    let answer = ask(address).with_context(|| format!("no answer from {address}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.split(' ').nth(1) != Some("200") {
        bail!("{}", body.trim());
    }
    println!("{}", body.trim());
    Ok(())
}

/// The address that reaches a socket bound to `bind` from this machine.
fn reachable(bind: IpAddr) -> IpAddr {
    match bind {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}
