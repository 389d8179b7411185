use std::time::Duration;

use tokio::time::Instant;

use super::*;

type Log = Arc<Mutex<Vec<(usize, String, Duration)>>>;

/// A receiver that takes, refuses or hangs by what the event says and how often it was tried.
struct Fake {
    log: Log,
    start: Instant,
}

impl Post for Fake {
    async fn post(&self, receiver: usize, body: &Arc<[u8]>) -> Result<(), String> {
        let body = std::str::from_utf8(body).unwrap();
        let tries = {
            let mut log = self.log.lock().unwrap();
            log.push((receiver, body.to_owned(), self.start.elapsed()));
            log.iter()
                .filter(|(to, text, _)| *to == receiver && text == body)
                .count()
        };
        if body.contains("slow") {
            sleep(Duration::from_secs(1000)).await;
        }
        let refusals = match () {
            () if body.contains("never") || (receiver == 1 && body.contains("not-1")) => usize::MAX,
            () if body.contains("twice") => 2,
            () => 0,
        };
        if tries > refusals {
            Ok(())
        } else {
            Err("status 500".to_owned())
        }
    }
}

fn queue(receivers: usize) -> (Queue<Fake>, Log) {
    let log = Log::default();
    (
        Queue::new(
            Fake {
                log: log.clone(),
                start: Instant::now(),
            },
            receivers,
        ),
        log,
    )
}

fn send(queue: &Queue<Fake>, room: &str, body: &str) {
    queue.send(&room.into(), &body.as_bytes().into());
}

fn told(log: &Log, receiver: usize) -> Vec<String> {
    log.lock()
        .unwrap()
        .iter()
        .filter(|(to, ..)| *to == receiver)
        .map(|(_, body, _)| body.clone())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn events_of_a_room_arrive_in_order_even_if_one_is_refused_at_first() {
    let (queue, log) = queue(1);
    for body in ["started", "joined-twice", "left", "finished"] {
        send(&queue, "shop", body);
    }
    queue.drained().await;
    let tries = [
        "started",
        "joined-twice",
        "joined-twice",
        "joined-twice",
        "left",
        "finished",
    ];
    assert_eq!(told(&log, 0), tries);
}

#[tokio::test(start_paused = true)]
async fn an_event_nobody_takes_is_given_up_within_minutes_and_the_next_goes_on() {
    let (queue, log) = queue(1);
    send(&queue, "shop", "never");
    send(&queue, "shop", "next");
    queue.drained().await;
    let log = log.lock().unwrap();
    assert_eq!(
        log.iter().filter(|(_, body, _)| body == "never").count(),
        10
    );
    let (_, last, at) = log.last().unwrap();
    assert_eq!(last, "next");
    assert!(
        *at > Duration::from_secs(60) && *at < Duration::from_secs(300),
        "{at:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_room_holds_up_no_other_room() {
    let (queue, log) = queue(1);
    send(&queue, "first", "slow");
    send(&queue, "second", "quick");
    sleep(Duration::from_millis(1)).await;
    assert!(told(&log, 0).contains(&"quick".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_refuses_holds_up_no_other_receiver() {
    let (queue, log) = queue(2);
    send(&queue, "shop", "not-1 a");
    send(&queue, "shop", "not-1 b");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(told(&log, 0), ["not-1 a", "not-1 b"]);
    assert_eq!(told(&log, 1), ["not-1 a"]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_grows_too_long_drops_what_comes_last() {
    let (queue, log) = queue(1);
    send(&queue, "shop", "slow");
    sleep(Duration::from_millis(1)).await;
    for number in 0..MAX_LINE + 5 {
        send(&queue, "shop", &format!("event {number}"));
    }
    queue.drained().await;
    let told = told(&log, 0);
    assert_eq!(told.len(), MAX_LINE + 1);
    assert_eq!(told.last().unwrap(), &format!("event {}", MAX_LINE - 1));
}

#[tokio::test(start_paused = true)]
async fn memory_of_a_receiver_is_bounded_and_freed() {
    let (queue, log) = queue(1);
    let large = format!("slow {}", "x".repeat(MAX_WAITING_KIB * 1024 / 2));
    for room in ["a", "b", "c"] {
        send(&queue, room, &large);
    }
    queue.drained().await;
    assert_eq!(told(&log, 0).len(), 1);
    assert_eq!(
        queue.shared.receivers[0].memory.available_permits(),
        MAX_WAITING_KIB
    );
    assert!(queue.shared.lines().is_empty());
}
