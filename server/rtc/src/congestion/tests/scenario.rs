//! Capacity: finding it, following it down and up. Each scenario gives figures; the table at the end prints them all.

use super::link::Path;
use super::world::{World, mean, variation};

const M: u64 = 1_000_000;

#[test]
fn a_link_of_ten_times_the_first_estimate_is_used_within_seconds() {
    let mut world = World::new(Path::of(3 * M), 300_000, 5 * M, 1);
    world.run(60);
    dump(&world);
}

fn dump(world: &World) {
    for chunk in world.samples.chunks(5) {
        println!(
            "{:6.1} estimate {:8.0} delivered {:8.0} media {:8.0} p95 {:6.1}",
            chunk[chunk.len() - 1].at,
            mean(chunk, |s| s.estimate),
            mean(chunk, |s| s.delivered),
            mean(chunk, |s| s.media),
            world.queueing_p95(chunk[0].at - 0.1, chunk[chunk.len() - 1].at),
        );
    }
    println!(
        "padding {} var {:.3}",
        world.padding_sent,
        variation(&world.samples, |s| s.estimate)
    );
}
