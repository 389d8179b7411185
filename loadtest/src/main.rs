//! The load test.

mod placement;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "tradewind-loadtest", version, about)]
struct Args {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Simulate where calls are placed, beside simpler policies and an oracle.
    Placement(placement::Args),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Task::Placement(args) => placement::run(args),
    }
}
