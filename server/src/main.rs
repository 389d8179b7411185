//! `tradewind`: the media server's shell. Everything that decides lives in the pure crates; this owns clocks, sockets,
//! threads and HTTP.
mod config;
mod http;
mod node;
mod random;
mod shard;
mod socket;

fn main() {}
