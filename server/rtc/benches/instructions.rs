//! Forwards for a virtual second to the number of subscribers given, and says how many packets that were. The gate
//! counts the instructions of `measured_turn` in it.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "benchmarks read the clock"
)]

mod common;

use std::time::Duration;

use common::Rig;

fn main() {
    let subscribers = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(10);
    let mut rig = Rig::new(subscribers);
    rig.advance(Duration::from_secs(1));
    println!("packets {}", rig.forwarded);
}
