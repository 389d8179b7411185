//! The load test: bots that speak the public signalling protocol, exact accounts of what they get, and benchmarks.

mod bench;
mod bot;
mod clock;
mod engine;
mod ledger;
mod payload;
mod placement;
mod plan;
mod process;
mod report;
mod run;
mod session;
mod signal;
mod stamp;
mod tally;
mod wire;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "tradewind-loadtest", version, about)]
struct Args {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Put a load on a server and say what came of it.
    Run(Box<run::RunArgs>),
    /// Start our server and measure what a packet costs, beside a floor.
    BenchForward(bench::ForwardArgs),
    /// Start our server and measure how its cost grows with calls, subscribers, tracks, sizes and bad links.
    BenchCurves(bench::CurvesArgs),
    /// Start our server, and draw a flame graph of it under load.
    Profile(bench::ProfileArgs),
    /// Start our server and let participants come and go for long.
    Soak(bench::SoakArgs),
    /// Seal and send as fast as the machine allows (started by bench-forward).
    #[command(hide = true)]
    Floor(bench::FloorArgs),
    /// Simulate where calls are placed, beside simpler policies and an oracle.
    Placement(placement::Args),
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match Args::parse().command {
        Task::Run(args) => runtime.block_on(run::run(*args)),
        Task::BenchForward(args) => runtime.block_on(bench::forward(args)),
        Task::BenchCurves(args) => runtime.block_on(bench::curves(args)),
        Task::Profile(args) => runtime.block_on(bench::profile(args)),
        Task::Soak(args) => runtime.block_on(bench::soak(args)),
        Task::Floor(args) => bench::floor(&args),
        Task::Placement(args) => placement::run(args),
    }
}
