//! `tradewind drain`: empties the server on this machine before it is stopped.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;

use super::SourceArgs;
use super::operator_port::ask;
use crate::node::DrainStatus;

const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(super) struct DrainArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Seconds to wait for the last participant; then the command fails.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    deadline: u64,
}

pub(super) fn run(args: DrainArgs) -> anyhow::Result<()> {
    let bind = args.sources.load()?.settings.metrics.bind;
    let ends = Instant::now() + Duration::from_secs(args.deadline);
    let begin = format!("/admin/drain?deadline_s={}", args.deadline);
    let mut answer = ask(bind, "POST", &begin)?;
    loop {
        if answer.status != 200 {
            bail!("the server refused: {} {}", answer.status, answer.body);
        }
        let status: DrainStatus =
            serde_json::from_str(&answer.body).context("the answer is of another version")?;
        println!("{} participants left", status.participants);
        if status.participants == 0 {
            return Ok(());
        }
        if Instant::now() >= ends {
            bail!(
                "the deadline has passed with {} participants left",
                status.participants
            );
        }
        sleep(LOOK_EVERY);
        answer = ask(bind, "GET", "/admin/drain")?;
    }
}
