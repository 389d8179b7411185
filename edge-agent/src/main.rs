//! The edge agent: one beside each node. It measures the ways to the other edges, advertises its own, watches the
//! server, and drains it.

mod agent;
mod config;
mod drain;
mod host;
mod http;
mod probe;
mod server;
mod status;
mod watchdog;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tradewind_fleet::{Fleet, Nats};

use crate::agent::Agent;
use crate::config::Settings;
use crate::drain::Done;
use crate::http::Shown;
use crate::status::{Figures, Status};

#[derive(Parser)]
#[command(
    version,
    about = "Stands beside a Tradewind node: measures, advertises, watches, drains"
)]
struct Arguments {
    /// YAML file; `TRADEWIND_EDGE__A__B` variables go before it.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Order>,
}

#[derive(Subcommand)]
enum Order {
    /// Run beside the node (the default).
    Run,
    /// Check the configuration.
    Check,
    /// Tell the agent that runs here to drain its node, and wait until it has exited.
    Drain,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let settings = config::load(arguments.config.as_deref(), std::env::vars().collect())?;
    match arguments.command.unwrap_or(Order::Run) {
        Order::Run => run(settings).await,
        Order::Check => {
            println!("the configuration is good");
            Ok(())
        }
        Order::Drain => drain(&settings).await,
    }
}

async fn run(settings: Settings) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.log.level)
        .context("log.level: use error, warn, info, debug or trace")?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let node = settings.node.id.clone();
    let nats = settings.fleet.to_nats(&node);
    let backbone = Nats::connect(&nats).await?;
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let fleet = Fleet::agent(backbone, &nats.prefix, node, u64::try_from(run)?);
    let shown = Arc::new(Shown {
        status: Mutex::new(Status {
            problems: vec!["starting".to_owned()],
            ..Status::default()
        }),
        figures: Figures::new()?,
        drain: Notify::new(),
    });
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| anyhow!("no random numbers: {error}"))?;

    let (probe, metrics) = (settings.probe.bind, settings.metrics.bind);
    let agent = Agent::new(
        settings,
        fleet.clone(),
        Arc::clone(&shown),
        u64::from_be_bytes(seed),
    )
    .await?;
    http::serve_probe(probe)
        .await
        .with_context(|| format!("probe.bind {probe}"))?;
    http::serve_operators(metrics, Arc::clone(&shown))
        .await
        .with_context(|| format!("metrics.bind {metrics}"))?;
    let done = agent.run(orders(shown)?).await?;
    match done {
        Done::Empty => tracing::info!("drained: nobody is left"),
        Done::ServerLeft => tracing::info!("drained: the server has left"),
        Done::Deadline => tracing::warn!("drain deadline: exiting although participants are left"),
    }
    fleet.leave().await;
    Ok(())
}

/// Fires on SIGTERM, SIGINT and `POST /drain`; a second signal ends the process at once.
fn orders(shown: Arc<Shown>) -> Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel(1);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let mut signals = 0;
        loop {
            tokio::select! {
                _ = terminate.recv() => signals += 1,
                _ = interrupt.recv() => signals += 1,
                () = shown.drain.notified() => {}
            }
            if signals > 1 {
                tracing::warn!("second signal: exiting at once");
                std::process::exit(1);
            }
            // A full queue holds the same order already.
            let _ = sender.try_send(());
        }
    });
    Ok(receiver)
}

async fn drain(settings: &Settings) -> Result<()> {
    let url = format!("http://{}", settings.metrics.bind);
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client.post(format!("{url}/drain")).send().await;
    let answer = answer.with_context(|| format!("no agent answers at metrics.bind {url}"))?;
    if !answer.status().is_success() {
        bail!("the agent at {url} refuses: {}", answer.status());
    }
    print!("{}", answer.text().await?);
    // The agent exits when it is done: then nobody answers any more.
    while client.get(format!("{url}/healthz")).send().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("drained");
    Ok(())
}
