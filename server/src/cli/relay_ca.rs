//! `tradewind relay-ca`: certificates for the links of a first fleet.

use std::path::PathBuf;

use clap::Args;
use tradewind_relay::{NodeId, create_test_ca};

#[derive(Args)]
pub(super) struct RelayCaArgs {
    /// Folder for the files; made if it does not exist.
    folder: PathBuf,
    /// Names of the nodes (`node.id`).
    #[arg(required = true)]
    nodes: Vec<String>,
}

pub(super) fn run(args: &RelayCaArgs) -> anyhow::Result<()> {
    let nodes: Vec<NodeId> = args.nodes.iter().map(|node| node.as_str().into()).collect();
    create_test_ca(&args.folder, &nodes)?;
    println!(
        "wrote a certificate and a key for each of {} nodes, and ca.pem, to {}",
        nodes.len(),
        args.folder.display()
    );
    Ok(())
}
