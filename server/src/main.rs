//! `tradewind`: the media server's shell. Everything that decides lives in the pure crates; this owns clocks, sockets,
//! threads and HTTP.

mod calls;
mod cli;
mod clock;
mod cluster;
mod config;
mod http;
mod log;
mod metrics;
mod node;
mod random;
mod shard;
mod socket;
mod webhook;

fn main() -> std::process::ExitCode {
    cli::run()
}
