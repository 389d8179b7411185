//! Time of the packet path for each packet forwarded, to 1, 10 and 50 subscribers.
#![allow(
    clippy::disallowed_methods,
    missing_docs,
    reason = "benchmarks read the clock"
)]

mod common;

use std::time::Duration;

use common::Rig;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

fn forward(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward a packet");
    group
        .sample_size(20)
        .measurement_time(Duration::from_secs(5));
    for subscribers in [1, 10, 50] {
        let mut rig = Rig::new(subscribers);
        group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
            bencher.iter_custom(|packets| {
                (rig.spent, rig.forwarded) = (Duration::ZERO, 0);
                while rig.forwarded < packets {
                    rig.advance(Duration::from_millis(33));
                }
                rig.spent.mul_f64(packets as f64 / rig.forwarded as f64)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, forward);
criterion_main!(benches);
