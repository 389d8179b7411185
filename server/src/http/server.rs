//! Connections of the HTTP ports: accepted, bounded in number and time, ended in order.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::client_address::ClientAddress;

/// Time a client has for the head of a request. Slow mobile links need a second; a flood of idle ones must not stay.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's head. Join requests carry a whole session description in the request line: tens of KB.
const MAX_HEAD_BYTES: usize = 128 * 1024;
/// Pause after a failed accept, which means that file descriptors or memory ran out: trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a port serves and how.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) routes: Router,
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    /// Connections open at a time; further ones wait in the kernel's queue.
    pub(crate) max_connections: usize,
}

impl Port {
    /// Serves `listener` until `stop`; then takes no more connections and lets open requests finish. Ends when all
    /// connections have, for which the caller sets the bound.
    pub(crate) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.max_connections));
        let connections = TaskTracker::new();
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else {
                break;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let connection = self.clone().serve_connection(stream, peer, stop.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    async fn serve_connection(self, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
        // Signalling messages are small and each one is waited for.
        let _ = stream.set_nodelay(true);
        let service = tower::service_fn(move |request: Request<Incoming>| {
            answer(
                self.routes.clone(),
                request.map(axum::body::Body::new),
                peer,
                self.trusted_proxies.clone(),
            )
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "a connection ended early");
        }
    }
}

async fn answer(
    routes: Router,
    mut request: Request,
    peer: SocketAddr,
    trusted: Arc<[IpNet]>,
) -> Result<Response, std::convert::Infallible> {
    let client = ClientAddress::new(peer.ip(), request.headers(), &trusted);
    request.extensions_mut().insert(client);
    fold_slashes(request.uri_mut());
    routes.oneshot(request).await
}

/// Makes `//rtc` `/rtc`: SDKs append their path to addresses that end in a slash.
pub(super) fn fold_slashes(uri: &mut Uri) {
    if !uri.path().starts_with("//") {
        return;
    }
    let path = uri.path().trim_start_matches('/');
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    if let Ok(folded) = format!("/{path}{query}").parse() {
        *uri = folded;
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
