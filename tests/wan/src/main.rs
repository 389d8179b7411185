//! Runs an emulated planet from a topology file until it is told to end.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use tradewind_wan::{Topology, Wan};

/// A wide-area network in userland, between sockets on one machine.
#[derive(Parser)]
#[command(name = "tradewind-wan", version)]
struct Arguments {
    /// Nodes, delays and links (JSON).
    topology: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let wan = Wan::start(Topology::read(&arguments.topology)?)?;
    println!("{}", serde_json::json!({ "control": wan.control_addr() }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(tokio::signal::ctrl_c())?;
    Ok(())
}
