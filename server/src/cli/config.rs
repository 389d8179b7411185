//! `tradewind config`.

use std::io::{ErrorKind, Write, stdout};

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
    let text = match command {
        Command::Check(sources) => {
            sources.load()?;
            "The configuration is good.\n".to_owned()
        }
        Command::Print(sources) => print(&sources.load()?),
        Command::Schema => serde_json::to_string_pretty(&schemars::schema_for!(Settings))? + "\n",
    };
    match stdout().write_all(text.as_bytes()) {
        // The reader, such as `head`, has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
