//! The edge agent.

fn main() {}
