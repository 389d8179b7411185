//! Wall-clock time, for tokens and what people read; everything else counts with `Instant`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time in milliseconds.
pub(crate) fn unix_ms() -> u64 {
    // A clock before 1970 is wrong anyway; zero is as good as any other answer.
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Unix time in seconds.
pub(crate) fn unix_s() -> u64 {
    unix_ms() / 1000
}
