//! The control socket: one JSON command per line in, one JSON answer per line out.
//!
//! ```text
//! {"do":"set","from":"tokyo","to":"paris","both_ways":true,"shape":{"delay_ms":107,"loss":0.01}}
//! {"do":"cut","from":"tokyo","to":"paris","both_ways":true}
//! {"do":"heal","from":"tokyo","to":"paris","both_ways":true}
//! {"do":"stats","from":"tokyo","to":"paris"}
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::net::Net;
use crate::path::{PathStats, Shape};

/// Longest command line, bytes.
const MAX_LINE: u64 = 4_096;

/// A command.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    Set {
        from: String,
        to: String,
        #[serde(default)]
        both_ways: bool,
        shape: Shape,
    },
    Cut {
        from: String,
        to: String,
        #[serde(default)]
        both_ways: bool,
    },
    Heal {
        from: String,
        to: String,
        #[serde(default)]
        both_ways: bool,
    },
    Stats {
        from: String,
        to: String,
    },
}

#[derive(Serialize, Default)]
struct Answer {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<Shape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<PathStats>,
}

/// Serves the control socket on the current runtime; gives its address.
pub(crate) async fn listen(net: &Arc<Net>) -> Result<SocketAddr> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, net.topology.control_port));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listen for commands on {address}"))?;
    let address = listener.local_addr()?;
    let net = net.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let net = net.clone();
            tokio::spawn(async move {
                // A controller that hangs up is done.
                drop(serve(&net, stream).await);
            });
        }
    });
    Ok(address)
}

async fn serve(net: &Net, stream: TcpStream) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(MAX_LINE));
    let mut line = String::new();
    while lines.read_line(&mut line).await? > 0 {
        let answer = obey(net, &line).unwrap_or_else(|error| Answer {
            error: Some(format!("{error:#}")),
            ..Answer::default()
        });
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        write.write_all(&text).await?;
        line.clear();
        lines.get_mut().set_limit(MAX_LINE);
    }
    Ok(())
}

fn obey(net: &Net, line: &str) -> Result<Answer> {
    let done = Answer {
        ok: true,
        ..Answer::default()
    };
    match serde_json::from_str(line).context("not a command")? {
        Command::Set {
            from,
            to,
            both_ways,
            shape,
        } => {
            each_way(both_ways, &from, &to, |from, to| {
                net.set_shape(from, to, shape)
            })?;
        }
        Command::Cut {
            from,
            to,
            both_ways,
        } => {
            each_way(both_ways, &from, &to, |from, to| {
                net.set_cut(from, to, true)
            })?;
        }
        Command::Heal {
            from,
            to,
            both_ways,
        } => {
            each_way(both_ways, &from, &to, |from, to| {
                net.set_cut(from, to, false)
            })?;
        }
        Command::Stats { from, to } => {
            let (shape, stats) = net.stats(&from, &to)?;
            return Ok(Answer {
                shape: Some(shape),
                stats: Some(stats),
                ..done
            });
        }
    }
    Ok(done)
}

fn each_way(
    both_ways: bool,
    from: &str,
    to: &str,
    mut act: impl FnMut(&str, &str) -> Result<()>,
) -> Result<()> {
    act(from, to)?;
    if both_ways {
        act(to, from)?;
    }
    Ok(())
}
