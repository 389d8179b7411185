//! `tradewind serve`: puts the parts together, and takes them apart in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::SourceArgs;
use crate::calls::nodes::Nodes;
use crate::calls::{Alone, GeoIp, Planner, Switchboard, feedback};
use crate::cluster::{Claims, FleetNodes, Sharing, once};
use crate::config::{LogFormat, Settings};
use crate::http::{self, AppState, Calls, Port};
use crate::node::{Node, NodeOptions};
use crate::{log, webhook};

/// Room events that a reader may fall behind: a busy second of thousands of participants.
const EVENT_CAPACITY: usize = 16_384;
const NO_ADDRESS: &str = "rtc.advertise: no interface leads outwards: name the address that clients reach this machine at";
/// Connections for health and metrics.
const OPERATOR_CONNECTIONS: usize = 64;
/// Time for sessions to be told and ended, and for requests under way. Service managers kill after 10 s and up.
const SESSIONS_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the last webhooks.
const WEBHOOKS_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn run(sources: SourceArgs) -> anyhow::Result<()> {
    let settings = sources.load()?.settings;
    log::init(&settings.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(serve(Arc::new(settings)));
    // Name look-ups run on threads that cannot be interrupted.
    runtime.shutdown_background();
    ended
}

async fn serve(settings: Arc<Settings>) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let public = bind("http.bind", settings.http.bind).await?;
    let operators = bind("metrics.bind", settings.metrics.bind).await?;
    let node = Node::start(NodeOptions::from_settings(&settings).context(NO_ADDRESS)?).await?;
    node.join_fleet(&settings).await?;
    let keys = Arc::new(settings.api_keys());
    let state = AppState {
        settings: settings.clone(),
        keys: keys.clone(),
        node: node.clone(),
    };

    let stop = CancellationToken::new();
    let switchboard = Arc::new(Switchboard::new(&settings.node.id, stop.clone()));
    let sessions = TaskTracker::new();
    let is_alone = settings.fleet.nats.is_empty();
    let fleet = node.fleet().filter(|_| !is_alone).cloned();
    let nodes: Arc<dyn Nodes> = match &fleet {
        Some(fleet) => Arc::new(FleetNodes::new(fleet.clone())),
        None => Arc::new(Alone::new(node.clone(), settings.clone())),
    };
    let planner = Arc::new(Planner::new(nodes, geoip(&settings)?));
    let mut calls = Calls::new(&settings, switchboard.clone(), planner.clone());
    if let Some(fleet) = &fleet {
        calls = calls.in_fleet(Claims::new(fleet.clone()));
        let sharing = Sharing::new(fleet.clone(), switchboard.clone(), planner.clone());
        sessions.spawn(sharing.run(stop.clone()));
    }
    let calls = Arc::new(calls);
    sessions.spawn({
        let (switchboard, events) = (switchboard.clone(), node.room_events(EVENT_CAPACITY));
        async move { switchboard.run(events).await }
    });
    sessions.spawn({
        let (switchboard, node) = (switchboard.clone(), node.clone());
        async move { switchboard.close_rooms(node).await }
    });
    sessions.spawn(feedback::run(
        node.clone(),
        switchboard.clone(),
        planner,
        stop.clone(),
    ));
    let webhooks = TaskTracker::new();
    if !settings.webhook.urls.is_empty() {
        let rooms = node.room_events(EVENT_CAPACITY);
        let rooms = match &fleet {
            Some(fleet) => once(fleet.clone(), rooms, EVENT_CAPACITY),
            None => rooms,
        };
        webhooks.spawn(webhook::run(
            &settings.webhook,
            keys,
            rooms,
            switchboard.call_events(EVENT_CAPACITY),
        )?);
    }
    let port = Port {
        routes: http::public(&state, &calls),
        trusted_proxies: settings.http.trusted_proxies.clone().into(),
        max_connections: settings.limits.http_connections as usize,
    };
    sessions.spawn(port.serve(public, stop.clone()));
    let port = Port {
        routes: http::operators(&state),
        trusted_proxies: [].into(),
        max_connections: OPERATOR_CONNECTIONS,
    };
    sessions.spawn(port.serve(operators, stop.clone()));
    announce(&settings);

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!(
        "shutting down: sessions are being ended; a second signal ends the process at once"
    );
    let shutdown = async {
        let _ = timeout(SESSIONS_TIMEOUT, async {
            node.shutdown().await;
            stop.cancel();
            sessions.close();
            sessions.wait().await;
        })
        .await;
        stop.cancel();
        // The rooms let go of their event queues with the last handle.
        drop((state, node));
        switchboard.close();
        webhooks.close();
        let _ = timeout(WEBHOOKS_TIMEOUT, webhooks.wait()).await;
    };
    tokio::select! {
        () = shutdown => tracing::info!("shut down"),
        _ = interrupt.recv() => tracing::warn!("ended at once"),
        _ = terminate.recv() => tracing::warn!("ended at once"),
    }
    Ok(())
}

/// The database of places, if one is configured.
fn geoip(settings: &Settings) -> anyhow::Result<GeoIp> {
    let Some(path) = &settings.placement.geoip_file else {
        return Ok(GeoIp::default());
    };
    GeoIp::open(path).with_context(|| {
        let path = path.display();
        format!("placement.geoip_file: cannot read {path}: name a file in MaxMind DB format, or leave the key out")
    })
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{key}: cannot listen on {address}: choose another with --set {key}=ADDRESS:PORT")
    })
}

/// Tells people where to click, and collectors that the node is up.
fn announce(settings: &Settings) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = settings.node.id,
        region = settings.region.name,
        http = %settings.http.bind,
        metrics = %settings.metrics.bind,
        "tradewind is up"
    );
    if settings.log.format == LogFormat::Text {
        print!("{}", banner(settings));
    }
}

fn banner(settings: &Settings) -> String {
    let base = settings
        .http
        .public_url
        .clone()
        .unwrap_or_else(|| format!("http://{}", clickable(settings.http.bind)));
    let base = base.trim_end_matches('/');
    let socket = base.replacen("http", "ws", 1);
    let metrics = clickable(settings.metrics.bind);
    let mut text = format!(
        "\n  Tradewind {}\n\n  SDKs connect to   {socket}\n",
        env!("CARGO_PKG_VERSION")
    );
    if settings.pages.enabled {
        text += &format!(
            "  Start here        {base}/\n  Shopper page      {base}/call\n  Agent desk        {base}/desk\n  Operator console  {base}/operator\n"
        );
    }
    let media = settings.rtc.advertised().unwrap_or_default();
    if media.iter().all(|address| address.is_loopback()) {
        text += "  Firefox           sends no media to loopback: see \"Run it\" in README.md\n";
    }
    text += &format!(
        "  Health            http://{metrics}/readyz\n  Metrics           http://{metrics}/metrics\n\n"
    );
    text
}

/// The address as a browser on this machine reaches it.
fn clickable(bind: SocketAddr) -> String {
    if bind.ip().is_unspecified() || bind.ip().is_loopback() {
        format!("localhost:{}", bind.port())
    } else {
        bind.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_shows_what_to_click_and_no_secret() {
        let mut settings = Settings::default();
        let text = banner(&settings);
        assert!(
            text.contains("ws://localhost:7880\n") && !text.contains("/desk"),
            "{text}"
        );
        settings.pages.enabled = true;
        settings.http.public_url = Some("https://calls.example.com/".to_owned());
        let text = banner(&settings);
        assert!(
            text.contains("wss://calls.example.com\n")
                && text.contains("https://calls.example.com/desk"),
            "{text}"
        );
    }
}
