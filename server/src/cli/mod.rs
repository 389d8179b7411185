//! The command line.

mod config;
mod drain;
mod healthcheck;
mod operator_port;
mod relay_ca;
mod serve;
mod token;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{ConfigError, Loaded, Sources, load};

/// `EX_CONFIG` of sysexits.h: service managers can be told not to start again after it.
const EXIT_CONFIG: u8 = 78;

/// Self-hosted media server for calls across borders. Works with LiveKit SDKs.
#[derive(Parser)]
#[command(name = "tradewind", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(SourceArgs),
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: config::Command,
    },
    /// Print an access token for a participant.
    Token(token::TokenArgs),
    /// Print why a call is where it is: candidates, delays and their sources, loads, choice, prediction, measurement.
    Why(why::WhyArgs),
    /// Exit with 0 if the server on this machine takes calls, with 1 and the reason if not.
    Healthcheck(SourceArgs),
    /// Make an authority and certificates for the links between nodes, for tests and first fleets.
    RelayCa(relay_ca::RelayCaArgs),
    /// Lead the sessions of the server on this machine to other nodes, and wait until it is empty.
    Drain(drain::DrainArgs),
}

/// Where the configuration comes from. Besides, each variable `TRADEWIND__A__B` sets key `a.b`.
#[derive(Args)]
struct SourceArgs {
    /// Loopback only, key `devkey` with secret `secret`, pages on: for a first look and for development.
    #[arg(long)]
    dev: bool,
    /// YAML file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key, over file and environment: `--set http.bind=127.0.0.1:7880`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl SourceArgs {
    fn load(self) -> Result<Loaded, ConfigError> {
        // Variables that are not Unicode cannot be ours.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        load(&Sources {
            dev: self.dev,
            file: self.config,
            environment: environment.collect(),
            flags: self.set,
        })
    }
}

/// Runs the command line and says how the process ends.
pub(crate) fn run() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Serve(sources) => serve::run(sources),
        Command::Config { command } => config::run(command),
        Command::Token(args) => token::run(args),
        Command::Why(args) => why::run(args),
        Command::Healthcheck(sources) => healthcheck::run(sources),
        Command::RelayCa(args) => relay_ca::run(&args),
        Command::Drain(args) => drain::run(args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            let is_config = error.downcast_ref::<ConfigError>().is_some();
            ExitCode::from(if is_config { EXIT_CONFIG } else { 1 })
        }
    }
}
