//! The controller as a whole, over an emulated link in virtual time.

mod api;
mod figures;
mod layers;
mod link;
mod peer;
mod reports;
mod scenario;
mod stress;
mod world;

use std::time::Instant;

#[expect(
    clippy::disallowed_methods,
    reason = "an instant can only be made from the clock"
)]
fn start() -> Instant {
    Instant::now()
}
