//! What the media thread tells of its bots.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::tally::Counts;

/// A look at a run under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) connected: u32,
    /// Why bots failed, the first few.
    pub(crate) failures: Vec<String>,
    pub(crate) failed: u32,
    /// Receivers times sources they should get.
    pub(crate) pairs_expected: u64,
    /// Those of which something came.
    pub(crate) pairs_live: u64,
    pub(crate) counts: Counts,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
}

/// What happened in a measuring window.
pub(crate) struct Window {
    pub(crate) counts: Counts,
    pub(crate) latency: Histogram<u64>,
    pub(crate) lateness: Histogram<u64>,
}

/// Whether everything came.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Verification {
    pub(crate) pairs_expected: u64,
    /// Pairs of which nothing came.
    pub(crate) pairs_silent: u64,
    /// Payloads that never came, on good links.
    pub(crate) missing: u64,
    /// The same for receivers behind emulated bad links: what repair did not bring back.
    pub(crate) missing_behind_bad_links: u64,
    pub(crate) received_behind_bad_links: u64,
    pub(crate) layer_switches: u64,
    /// UDP ports of bots and of the server.
    #[serde(skip)]
    pub(crate) ports: Vec<u16>,
    #[serde(skip)]
    pub(crate) server_ports: Vec<u16>,
}
