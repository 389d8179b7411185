//! Logs on standard error. Rooms and participants are named; tokens, session descriptions and clients' addresses are
//! not written at `info` and above.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{Log, LogFormat};

/// Starts logging, for the whole process.
///
/// # Errors
/// The level is none: the configuration check has refused it before.
pub(crate) fn init(settings: &Log) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(&settings.level)?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    match settings.format {
        LogFormat::Text => logs
            .with_ansi(stderr().is_terminal())
            .with_target(false)
            .init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(())
}
