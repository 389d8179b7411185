//! `tradewind`: the media server's shell. Everything that decides lives in the pure crates; this owns clocks, sockets,
//! threads and HTTP.
mod node;

fn main() {}
