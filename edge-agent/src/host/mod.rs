//! What presses on the host: parsers of what the kernel tells, and rates from two readings.

mod parse;

use std::time::Duration;

use tradewind_fleet::Pressure;

pub(crate) use parse::{Cpu, Throttling};

/// Where the kernel tells.
const STAT: &str = "/proc/stat";
const SNMP: [&str; 2] = ["/proc/net/snmp", "/proc/net/snmp6"];
const DEVICES: &str = "/proc/net/dev";
/// Control group version 2, then 1.
const CGROUP: [&str; 2] = ["/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat"];
/// A wall clock that differs by more from what the monotonic clock says has been set.
const CLOCK_JUMP: Duration = Duration::from_millis(100);

/// One reading of all counters. What a kernel does not tell is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    pub(crate) at: Duration,
    /// Time of the wall clock since 1970.
    pub(crate) wall: Duration,
    pub(crate) cpu: Cpu,
    pub(crate) throttling: Throttling,
    pub(crate) udp_drops: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Reading {
    /// Reads the kernel's files; they are short, and none of them blocks.
    pub(crate) fn take(at: Duration, wall: Duration) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (bytes_in, bytes_out) = parse::devices(&read(DEVICES));
        let throttling = CGROUP.iter().map(|path| parse::throttling(&read(path)));
        Self {
            at,
            wall,
            cpu: parse::cpu(&read(STAT)).unwrap_or_default(),
            throttling: throttling.flatten().next().unwrap_or_default(),
            udp_drops: SNMP.iter().map(|path| parse::udp_drops(&read(path))).sum(),
            bytes_in,
            bytes_out,
        }
    }
}

/// Turns readings into rates.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    last: Option<Reading>,
    clock_jumps: u64,
}

impl Sampler {
    /// The pressure since the last reading.
    pub(crate) fn sample(&mut self, reading: Reading) -> Pressure {
        let Some(last) = self.last.replace(reading) else {
            return Pressure::default();
        };
        let elapsed = reading.at.saturating_sub(last.at);
        let wall_now = last.wall + elapsed;
        if reading.wall.abs_diff(wall_now) > CLOCK_JUMP {
            self.clock_jumps += 1;
        }
        let seconds = elapsed.as_secs_f64().max(1e-3);
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let total = reading.cpu.total.saturating_sub(last.cpu.total).max(1) as f64;
        let share = |now: u64, before: u64| now.saturating_sub(before) as f64 / total;
        let throttled = reading.throttling.microseconds;
        Pressure {
            cpu_busy: share(reading.cpu.busy, last.cpu.busy).min(1.0),
            cpu_steal: share(reading.cpu.steal, last.cpu.steal).min(1.0),
            cpu_throttled: (rate(throttled, last.throttling.microseconds) / 1e6).min(1.0),
            udp_drops_per_second: rate(reading.udp_drops, last.udp_drops),
            nic_in_bytes_per_second: rate(reading.bytes_in, last.bytes_in),
            nic_out_bytes_per_second: rate(reading.bytes_out, last.bytes_out),
            clock_jumps: self.clock_jumps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(second: u64) -> Reading {
        Reading {
            at: Duration::from_secs(second),
            wall: Duration::from_secs(1_700_000_000 + second),
            cpu: Cpu {
                total: 200 * second,
                busy: 50 * second,
                steal: 10 * second,
            },
            throttling: Throttling {
                microseconds: 250_000 * second,
            },
            udp_drops: 3 * second,
            bytes_in: 1000 * second,
            bytes_out: 2000 * second,
        }
    }

    #[test]
    fn rates_are_per_second_and_shares_of_all_cores() {
        let mut sampler = Sampler::default();
        assert_eq!(sampler.sample(reading(10)), Pressure::default());
        let expected = Pressure {
            cpu_busy: 0.25,
            cpu_steal: 0.05,
            cpu_throttled: 0.25,
            udp_drops_per_second: 3.0,
            nic_in_bytes_per_second: 1000.0,
            nic_out_bytes_per_second: 2000.0,
            clock_jumps: 0,
        };
        assert_eq!(sampler.sample(reading(12)), expected);
    }

    #[test]
    fn a_clock_that_is_set_is_counted_once() {
        let mut sampler = Sampler::default();
        sampler.sample(reading(1));
        for second in 2..5 {
            let mut later = reading(second);
            later.wall += Duration::from_secs(3600);
            assert_eq!(sampler.sample(later).clock_jumps, 1);
        }
        assert_eq!(sampler.sample(reading(5)).clock_jumps, 2);
    }

    #[test]
    fn counters_that_start_anew_are_no_negative_rates() {
        let mut sampler = Sampler::default();
        sampler.sample(reading(100));
        let mut fresh = reading(1);
        fresh.at = Duration::from_secs(101);
        let pressure = sampler.sample(fresh);
        assert_eq!(
            (pressure.cpu_busy, pressure.udp_drops_per_second),
            (0.0, 0.0)
        );
    }
}
