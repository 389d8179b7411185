//! What all bots together saw.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Counts of faults and side traffic since the start, and of deliveries since the start of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Counts {
    /// Payloads delivered for the first time.
    pub(crate) delivered: u64,
    pub(crate) delivered_bytes: u64,
    /// Delivered later than the bound.
    pub(crate) late: u64,
    /// Came again.
    pub(crate) duplicate: u64,
    /// Not a payload of this run, cut, changed, or of a room the receiver is not in.
    pub(crate) wrong: u64,
    /// Could not be decrypted or is no RTP.
    pub(crate) undecipherable: u64,
    /// Another layer that does not begin with a key frame.
    pub(crate) bad_switches: u64,
    /// Padding and repeats by which servers probe a path.
    pub(crate) probes: u64,
    /// Delivered by retransmission.
    pub(crate) repaired: u64,
    pub(crate) negative_acknowledgements: u64,
    pub(crate) key_frames_requested_by_server: u64,
    pub(crate) key_frames_requested: u64,
    /// Sent by bots.
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
    /// Sends that the kernel refused.
    pub(crate) send_failures: u64,
    pub(crate) answered_retransmissions: u64,
}

/// Counts and latencies of one measuring window.
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    /// Send to receive, ns, of receivers on good links.
    pub(crate) latency: Histogram<u64>,
    /// How late frames left, ns.
    pub(crate) lateness: Histogram<u64>,
    /// Latency above which a delivery is late, ns.
    pub(crate) late_ns: u64,
    /// Identity of the run in stamps.
    pub(crate) run: u32,
}

impl Tally {
    pub(crate) fn new(run: u32, late_ns: u64) -> Self {
        Self {
            counts: Counts::default(),
            latency: histogram(),
            lateness: histogram(),
            late_ns,
            run,
        }
    }

    /// Begins a window: faults go on counting, deliveries and times begin anew.
    pub(crate) fn begin_window(&mut self) {
        let counts = &mut self.counts;
        for count in [
            &mut counts.delivered,
            &mut counts.delivered_bytes,
            &mut counts.sent,
            &mut counts.sent_bytes,
        ] {
            *count = 0;
        }
        self.latency.reset();
        self.lateness.reset();
    }

    pub(crate) fn delivered(&mut self, bytes: usize, latency_ns: u64, good_link: bool) {
        self.counts.delivered += 1;
        self.counts.delivered_bytes += bytes as u64;
        if good_link {
            self.latency.saturating_record(latency_ns);
            self.counts.late += u64::from(latency_ns > self.late_ns);
        }
    }
}

/// From 1 us to 60 s at three digits; the bounds are constants, so that it cannot fail but in the library.
fn histogram() -> Histogram<u64> {
    #[expect(
        clippy::expect_used,
        reason = "constant bounds that the library accepts"
    )]
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("valid bounds")
}
