use proptest::prelude::*;

use super::*;

#[expect(clippy::disallowed_methods, reason = "any instant will do as a start")]
fn start() -> Instant {
    Instant::now()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Three encodings of 150, 500 and 1,700 kbit/s, the temporal layers at 40, 60 and 100 % of it.
fn camera(key: u64) -> TrackDemand {
    let mut rates = LayerRates::default();
    for (spatial, rate) in [(0, 150_000), (1, 500_000), (2, 1_700_000)] {
        for (temporal, percent) in [(0, 40), (1, 60), (2, 100)] {
            rates.set(Layer { spatial, temporal }, rate * percent / 100);
        }
    }
    TrackDemand {
        key,
        wanted: Layer {
            spatial: 2,
            temporal: 2,
        },
        priority: 1,
        screen_share: false,
        rates,
    }
}

fn spatial(plan: &Plan) -> Vec<Option<u8>> {
    plan.allocations
        .iter()
        .map(|allocation| allocation.target.map(|layer| layer.spatial))
        .collect()
}

#[test]
fn with_plenty_everyone_gets_what_is_wanted_at_once() {
    let plan = Allocator::default().allocate(start(), 10_000_000, 100_000, &[camera(1), camera(2)]);
    assert_eq!(
        plan.allocations[0].target,
        Some(Layer {
            spatial: 2,
            temporal: 2
        })
    );
    assert_eq!(plan.allocated, 3_500_000);
    assert_eq!((plan.next_step, plan.desired), (3_500_000, 4_100_000));
}

#[test]
fn when_not_even_the_lowest_layers_fit_the_least_important_are_paused() {
    let mut screen = camera(3);
    screen.screen_share = true;
    screen.priority = 0;
    let mut speaker = camera(2);
    speaker.priority = 5;
    let plan = Allocator::default().allocate(start(), 130_000, 0, &[camera(1), speaker, screen]);
    assert_eq!(spatial(&plan), [None, Some(0), Some(0)]);
    assert!(plan.next_step > 130_000);
}

#[test]
fn audio_is_never_cut_even_if_it_takes_more_than_there_is() {
    let plan = Allocator::default().allocate(start(), 50_000, 120_000, &[camera(1)]);
    assert_eq!((plan.allocated, spatial(&plan)), (120_000, vec![None]));
}

#[test]
fn equals_are_raised_together() {
    let plan = Allocator::default().allocate(start(), 1_300_000, 0, &[camera(1), camera(2)]);
    assert_eq!(spatial(&plan), [Some(1), Some(1)]);
}

#[test]
fn layers_fall_at_once_and_climb_after_a_while() {
    let start = start();
    let mut allocator = Allocator::default();
    let demands = [camera(1)];
    assert_eq!(
        spatial(&allocator.allocate(start, 3_000_000, 0, &demands)),
        [Some(2)]
    );
    assert_eq!(
        spatial(&allocator.allocate(start + seconds(1), 600_000, 0, &demands)),
        [Some(1)]
    );
    for second in 2..7 {
        assert_eq!(
            spatial(&allocator.allocate(start + seconds(second), 3_000_000, 0, &demands)),
            [Some(1)]
        );
    }
    assert_eq!(allocator.poll_timeout(), Some(start + seconds(7)));
    assert_eq!(
        spatial(&allocator.allocate(start + seconds(7), 3_000_000, 0, &demands)),
        [Some(2)]
    );
    assert_eq!(allocator.poll_timeout(), None);
}

#[test]
fn room_that_does_not_last_raises_nothing() {
    let start = start();
    let mut allocator = Allocator::default();
    let demands = [camera(1)];
    allocator.allocate(start, 600_000, 0, &demands);
    for second in 1..20 {
        let budget = if second % 2 == 0 { 600_000 } else { 3_000_000 };
        assert_eq!(
            spatial(&allocator.allocate(start + seconds(second), budget, 0, &demands)),
            [Some(1)]
        );
    }
}

#[test]
fn a_newcomer_shares_at_once_with_those_who_were_first() {
    let start = start();
    let mut allocator = Allocator::default();
    assert_eq!(
        spatial(&allocator.allocate(start, 2_100_000, 0, &[camera(1)])),
        [Some(2)]
    );
    let plan = allocator.allocate(start + seconds(1), 2_100_000, 0, &[camera(1), camera(2)]);
    assert_eq!(
        plan.allocations[0].target.unwrap().spatial,
        2,
        "room enough to keep some of the large picture"
    );
    assert_eq!(plan.allocations[1].target.unwrap().spatial, 1);
}

#[test]
fn a_viewer_that_shrinks_frees_bandwidth_at_once() {
    let start = start();
    let mut allocator = Allocator::default();
    allocator.allocate(start, 5_000_000, 0, &[camera(1)]);
    let mut small = camera(1);
    small.wanted.spatial = 0;
    let plan = allocator.allocate(start + seconds(1), 5_000_000, 0, &[small]);
    assert_eq!((spatial(&plan), plan.allocated), (vec![Some(0)], 150_000));
}

#[test]
fn a_track_of_unknown_cost_starts_with_its_lowest_layer() {
    let mut unknown = camera(1);
    unknown.rates = LayerRates::default();
    let plan = Allocator::default().allocate(start(), 1_000_000, 0, &[unknown]);
    assert_eq!(
        plan.allocations[0].target,
        Some(Layer {
            spatial: 0,
            temporal: 2
        })
    );
}

#[test]
fn an_encoding_whose_temporal_layers_are_not_told_apart_is_not_cut() {
    let mut plain = camera(1);
    plain.rates = LayerRates::default();
    plain.rates.set(
        Layer {
            spatial: 1,
            temporal: 0,
        },
        400_000,
    );
    plain.wanted.spatial = 0;
    let plan = Allocator::default().allocate(start(), 1_000_000, 0, &[plain]);
    assert_eq!(
        plan.allocations[0].target,
        Some(Layer {
            spatial: 1,
            temporal: 2
        }),
        "the lowest that is sent"
    );
}

fn demand(key: u64) -> impl Strategy<Value = TrackDemand> {
    (
        0u8..3,
        0u8..3,
        0u32..3,
        any::<bool>(),
        proptest::collection::vec(0u64..900_000, 9),
    )
        .prop_map(move |(spatial, temporal, priority, screen_share, steps)| {
            let mut rates = LayerRates::default();
            for (index, step) in (0u8..).zip(&steps) {
                rates.set(
                    Layer {
                        spatial: index / 3,
                        temporal: index % 3,
                    },
                    *step * u64::from(index + 1) / 3,
                );
            }
            TrackDemand {
                key,
                wanted: Layer { spatial, temporal },
                priority,
                screen_share,
                rates,
            }
        })
}

fn demands() -> impl Strategy<Value = Vec<TrackDemand>> {
    (0usize..7).prop_flat_map(|count| (0..count as u64).map(demand).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn video_never_exceeds_what_audio_leaves(
        rounds in proptest::collection::vec((0u64..6_000_000, 0u64..300_000, demands(), 0u64..4), 1..12)
    ) {
        let mut allocator = Allocator::default();
        let mut now = start();
        for (budget, audio, demands, pause) in rounds {
            now += seconds(pause);
            let plan = allocator.allocate(now, budget, audio, &demands);
            prop_assert!(plan.allocated <= budget.max(audio));
            prop_assert_eq!(plan.allocations.len(), demands.len());
            prop_assert!(plan.next_step >= plan.allocated && plan.desired >= plan.allocated);
        }
    }

    #[test]
    fn layers_do_not_oscillate_when_the_estimate_wobbles(
        budget in 50_000u64..6_000_000,
        demands in demands(),
        wobbles in proptest::collection::vec(95u64..=105, 240),
    ) {
        let start = start();
        let mut allocator = Allocator::default();
        let mut history = Vec::new();
        for (index, percent) in (0u32..).zip(wobbles) {
            let now = start + Duration::from_millis(250) * index;
            history.push(allocator.allocate(now, budget * percent / 100, 0, &demands));
        }
        // Whatever fell or climbed did so at the beginning: at most a fall, then steps up.
        let falls = history.windows(2).filter(|pair| pair[1].allocated < pair[0].allocated).count();
        prop_assert!(falls <= 2, "{falls} falls");
        let changes = history[120..].windows(2).filter(|pair| pair[0].allocations != pair[1].allocations).count();
        prop_assert!(changes <= 1, "{changes} changes in the second half minute");
    }
}
