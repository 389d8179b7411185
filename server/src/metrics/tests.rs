use std::collections::BTreeSet;

use tradewind_rtc::DropReason;

use super::*;

fn value(text: &str, series: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn counters_of_all_shards_are_summed() {
    let mut one = Counters {
        rooms: 2,
        bytes_in: 10,
        tracks_video: 1,
        ..Counters::default()
    };
    one.drop_one(DropReason::BadIntegrity);
    let text = render(
        &[
            one,
            Counters {
                rooms: 3,
                bytes_in: 5,
                ..Counters::default()
            },
        ],
        &[],
        0,
    );
    assert_eq!(value(&text, "tradewind_shards"), Some(2.0));
    assert_eq!(value(&text, "tradewind_rooms"), Some(5.0));
    assert_eq!(
        value(&text, r#"tradewind_datagram_bytes_total{direction="in"}"#),
        Some(15.0)
    );
    assert_eq!(value(&text, r#"tradewind_tracks{kind="video"}"#), Some(1.0));
    assert_eq!(
        value(&text, r#"tradewind_dropped_total{reason="bad_integrity"}"#),
        Some(1.0)
    );
}

#[test]
fn every_family_is_named_typed_and_explained_and_counters_end_in_total() {
    joins("joined");
    http_request("/rtc", "GET", 101, Duration::from_millis(3));
    webhook_delivery(Delivery::Retried);
    webhook_queue(7);
    let text = render(&[Counters::default()], &[SocketCounters::default()], 0);
    let mut helped = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(helped.insert(name.to_owned()) && !help.is_empty(), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(
                name.starts_with("tradewind_") || name.starts_with("process_"),
                "{line}"
            );
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(helped.contains(name), "{line}");
        } else {
            let (_, number) = line.rsplit_once(' ').unwrap();
            assert!(number.parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(
        helped.contains("process_cpu_seconds_total") && helped.contains("tradewind_build_info")
    );
    assert_eq!(value(&text, "tradewind_webhook_queue_length"), Some(7.0));
}
