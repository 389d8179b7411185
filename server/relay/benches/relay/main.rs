//! What a hop costs and what it carries: through real sockets and an emulated network, with every packet accounted for.
//!
//! Prints a table, and as its last line one JSON object. `exact` is false when the machine was too busy to send on time: the
//! figures are void then. Speech is 50 packets a second; video comes in frames, thirty a second, a third of it base layers.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures on the real clock"
)]

#[path = "../../tests/common/mod.rs"]
mod common;
mod copies;
mod traffic;

use std::time::Duration;

use common::Planet;
use tradewind_wan::Shape;
use traffic::{Load, Outcome, Spell};

const WARM_UP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(20);
/// Chosen so that what the network loses over a run is close to, and not above, its nominal 1 %: the share that a link delivers
/// would otherwise say more about the draw than about the link. `far_path_passed_*` tell what the network let through.
const SEED: u64 = 59;
/// One way between Tokyo and Paris, milliseconds.
const FAR_MS: f64 = 107.0;

fn main() {
    let hop = run("hop, no loss", None, 5.0);
    let plain = run(
        "80 ms",
        Some(Shape {
            delay_ms: 40.0,
            ..Shape::default()
        }),
        5.0,
    );
    let far = Shape {
        delay_ms: FAR_MS,
        loss: 0.01,
        ..Shape::default()
    };
    let far_5m = run("214 ms, 1 % loss, 5 Mb/s", Some(far), 5.0);
    let far_20m = run("214 ms, 1 % loss, 20 Mb/s", Some(far), 20.0);
    let narrow = Shape {
        rate_mbps: Some(10.0),
        queue_ms: 200.0,
        ..Shape::default()
    };
    let tight = [
        run(
            "10 Mb/s, 12 offered, 80 ms",
            Some(Shape {
                delay_ms: 40.0,
                ..narrow
            }),
            12.0,
        ),
        run(
            "10 Mb/s, 12 offered, 214 ms",
            Some(Shape {
                delay_ms: FAR_MS,
                ..narrow
            }),
            12.0,
        ),
        run(
            "10 Mb/s, 12 offered, 214 ms, 1 % loss",
            Some(Shape {
                delay_ms: FAR_MS,
                loss: 0.01,
                ..narrow
            }),
            12.0,
        ),
    ];
    let copies = copies::per_node();

    let worst = |value: fn(&Outcome) -> f64| tight.iter().map(value).fold(0.0, f64::max);
    let exact = [&hop, &plain, &far_5m, &far_20m]
        .into_iter()
        .chain(&tight)
        .all(Outcome::on_time);
    let figures = serde_json::json!({
        "hop_p50_us": hop.delay_us(0.5),
        "hop_p99_us": hop.delay_us(0.99),
        "far_delivered_5m": far_5m.first_try(),
        "far_delivered_20m": far_20m.first_try(),
        "far_path_passed_5m": far_5m.path_passed,
        "far_path_passed_20m": far_20m.path_passed,
        "far_queue_p95_ms": far_5m.queue_ms(0.95).max(far_20m.queue_ms(0.95)),
        "far_audio_delivered": far_5m.audio_delivered().min(far_20m.audio_delivered()),
        "tight_audio_loss": worst(|outcome| 1.0 - outcome.audio_delivered()),
        "tight_queue_p95_ms": worst(|outcome| outcome.queue_ms(0.95)),
        "overhead_bytes": plain.overhead_bytes,
        "copies_per_node": copies,
        "exact": exact,
    });
    println!("{figures}");
}

/// One scenario: two nodes, one direction of load. Without a shape the nodes are connected straight.
fn run(name: &str, shape: Option<Shape>, megabits: f64) -> Outcome {
    let planet = Planet::new(&["paris", "tokyo"], shape.unwrap_or_default(), SEED);
    let (tokyo, paris) = (
        planet.start(1, shape.is_none()),
        planet.start(0, shape.is_none()),
    );
    paris.expect_up(&tokyo.name);
    tokyo.expect_up(&paris.name);
    let load = Load::new(megabits);
    let stats = || planet.wan.stats("paris", "tokyo").expect("the link exists");
    let spell = Spell {
        warm_up: WARM_UP,
        measured: MEASURED,
    };
    let mut outcome = traffic::measure(&paris, tokyo, load, spell, stats);
    outcome.base_ms = shape.map_or(0.0, |shape| shape.delay_ms);
    println!("{}", outcome.line(name));
    outcome
}
