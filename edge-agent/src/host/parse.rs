//! The kernel's files (proc(5), control groups): unknown lines and odd numbers are passed over.

/// Time of all cores since boot, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpu {
    pub(crate) total: u64,
    pub(crate) busy: u64,
    /// Taken by the hypervisor.
    pub(crate) steal: u64,
}

/// Time the control group was held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Throttling {
    pub(crate) microseconds: u64,
}

/// The first line of `/proc/stat`: user nice system idle iowait irq softirq steal guest guest_nice.
pub(super) fn cpu(stat: &str) -> Option<Cpu> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // Guest time is part of user time already.
    let ticks: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|number| number.parse().ok())
        .collect();
    let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
    let total = ticks
        .iter()
        .fold(0u64, |sum, ticks| sum.saturating_add(*ticks));
    let (idle, waiting, steal) = (at(3), at(4), at(7));
    Some(Cpu {
        total,
        busy: total.saturating_sub(idle.saturating_add(waiting).saturating_add(steal)),
        steal,
    })
}

/// `cpu.stat` of a control group: `throttled_usec` (version 2) or `throttled_time` in nanoseconds (version 1).
pub(super) fn throttling(cpu_stat: &str) -> Option<Throttling> {
    cpu_stat.lines().find_map(|line| {
        let (name, number) = line.split_once(' ')?;
        let number: u64 = number.trim().parse().ok()?;
        let microseconds = match name {
            "throttled_usec" => number,
            "throttled_time" => number / 1000,
            _ => return None,
        };
        Some(Throttling { microseconds })
    })
}

/// Datagrams that found their socket's buffer full: `RcvbufErrors` of `/proc/net/snmp` or `Udp6RcvbufErrors` of
/// `/proc/net/snmp6`.
pub(super) fn udp_drops(snmp: &str) -> u64 {
    let of_version_6 = snmp
        .lines()
        .find_map(|line| line.strip_prefix("Udp6RcvbufErrors"))
        .and_then(|number| number.trim().parse().ok());
    let mut udp = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let of_version_4 = || {
        let (names, numbers) = (udp.next()?, udp.next()?);
        let mut pairs = names.split_whitespace().zip(numbers.split_whitespace());
        let (_, number) = pairs.find(|(name, _)| *name == "RcvbufErrors")?;
        number.parse().ok()
    };
    of_version_6.or_else(of_version_4).unwrap_or(0)
}

/// Bytes in and out of all interfaces of `/proc/net/dev` but loopback.
pub(super) fn devices(dev: &str) -> (u64, u64) {
    let mut sum = (0u64, 0u64);
    for line in dev.lines() {
        let Some((name, counters)) = line.split_once(':') else {
            continue;
        };
        if name.trim() == "lo" {
            continue;
        }
        let mut counters = counters.split_whitespace();
        // Eight counters each way, bytes first.
        let received = counters.next().and_then(|number| number.parse().ok());
        let sent = counters.nth(7).and_then(|number| number.parse().ok());
        sum.0 = sum.0.saturating_add(received.unwrap_or(0));
        sum.1 = sum.1.saturating_add(sent.unwrap_or(0));
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAT: &str = "cpu  100 5 50 800 20 1 4 20 7 0\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5\n";
    const SNMP: &str = "Ip: Forwarding DefaultTTL\nIp: 1 64\n\
        Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors\n\
        Udp: 1000 2 17 900 15 0\nUdpLite: InDatagrams RcvbufErrors\nUdpLite: 0 9\n";
    const SNMP6: &str = "Ip6InReceives 12\nUdp6InErrors 4\nUdp6RcvbufErrors                \t3\n";
    const DEV: &str = "Inter-|   Receive                |  Transmit\n face |bytes packets errs\n\
            lo: 500 1 0 0 0 0 0 0 500 1 0 0 0 0 0 0\n\
          eth0: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0\n\
        enp3s0:7 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n";

    #[test]
    fn samples_of_the_kernel_are_read_as_documented() {
        let expected = Cpu {
            total: 1000,
            busy: 160,
            steal: 20,
        };
        assert_eq!(cpu(STAT), Some(expected));
        assert_eq!(udp_drops(SNMP), 15);
        assert_eq!(udp_drops(SNMP6), 3);
        assert_eq!(devices(DEV), (1007, 2009));
        let second = throttling("usage_usec 9\nnr_throttled 2\nthrottled_usec 1500\n");
        assert_eq!(second, Some(Throttling { microseconds: 1500 }));
        let first = throttling("nr_periods 9\nnr_throttled 2\nthrottled_time 1500000\n");
        assert_eq!(first, Some(Throttling { microseconds: 1500 }));
        assert_eq!(throttling("usage_usec 9\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(cpu |Udp: |lo:|eth0:|throttled_usec )?[0-9a-z :\\n-]{0,200}") {
            let _ = (cpu(&text), udp_drops(&text), devices(&text), throttling(&text));
        }
    }
}
