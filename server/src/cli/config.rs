//! `tradewind config`.

use clap::Subcommand;

use super::SourceArgs;
use crate::config::{Settings, print};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Read and check the configuration; exit with 78 and all problems if there are any.
    Check(SourceArgs),
    /// Print the effective configuration as YAML, with the source of each key and without secrets.
    Print(SourceArgs),
    /// Print the JSON schema of the configuration file.
    Schema,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Check(sources) => {
            sources.load()?;
            println!("The configuration is good.");
        }
        Command::Print(sources) => print!("{}", print(&sources.load()?)),
        Command::Schema => println!(
            "{}",
            serde_json::to_string_pretty(&schemars::schema_for!(Settings))?
        ),
    }
    Ok(())
}
