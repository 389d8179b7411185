//! Benchmarks that start the server themselves: cost per packet beside a floor, cost curves, a soak.

mod curves;
mod flame;
mod floor;
mod forward;
mod naive;
mod profile;
mod rig;
mod server;
mod soak;

use std::path::PathBuf;

use clap::Args;

pub(crate) use curves::{CurvesArgs, run as curves};
pub(crate) use floor::{FloorArgs, run as floor};
pub(crate) use forward::{ForwardArgs, run as forward};
pub(crate) use profile::{ProfileArgs, run as profile};
pub(crate) use soak::{SoakArgs, run as soak};

/// What every benchmark needs to know of the machine.
#[derive(Args, Clone)]
pub(crate) struct MachineArgs {
    /// The server to start.
    #[arg(long)]
    server: PathBuf,
    /// Core of the server; the generator keeps off it.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// Core of the generator.
    #[arg(long, default_value_t = 1)]
    generator_core: usize,
    /// First of the ports to use, some thirty in number.
    #[arg(long, default_value_t = 17_880)]
    port: u16,
    /// Niceness of server and generator alike, so that other work on the machine does not disturb.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    nice: i32,
    /// Where to write the report as a page.
    #[arg(long)]
    html: Option<PathBuf>,
}
