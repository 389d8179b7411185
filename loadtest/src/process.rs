//! CPU time and memory of a process, from `/proc` (Linux).

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::Serialize;

/// Ticks of `utime` and `stime`, per second: fixed for user space on all Linux architectures of today.
const TICKS_PER_S: u64 = 100;

/// One reading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// CPU time of all threads, ended ones included, ns, in steps of a tick.
    pub(crate) cpu_ns: u64,
    /// CPU time of each thread by id, ns, with its name.
    pub(crate) threads: BTreeMap<u32, (String, u64)>,
    /// Resident memory, KiB.
    pub(crate) rss_kib: u64,
}

/// CPU time of one thread in a window.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ThreadTime {
    pub(crate) name: String,
    pub(crate) cpu_ms: u64,
}

/// Reads CPU time and resident memory.
///
/// # Errors
/// There is no such process, or it belongs to somebody else.
pub(crate) fn read(pid: u32) -> io::Result<Reading> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mut reading = Reading {
        cpu_ns: cpu_ns(&stat).ok_or_else(unreadable)?,
        rss_kib: field(&status, "VmRSS:").unwrap_or_default(),
        ..Reading::default()
    };
    for entry in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
        let path = entry.path();
        // Threads may end between the listing and the look.
        let (Ok(name), Ok(times)) = (
            fs::read_to_string(path.join("comm")),
            fs::read_to_string(path.join("schedstat")),
        ) else {
            continue;
        };
        let id = entry
            .file_name()
            .to_str()
            .and_then(|id| id.parse().ok())
            .unwrap_or_default();
        let ns = times
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok())
            .unwrap_or_default();
        reading.threads.insert(id, (name.trim().to_owned(), ns));
    }
    Ok(reading)
}

/// CPU time of a process between two readings, ns.
pub(crate) fn cpu_between(before: &Reading, after: &Reading) -> u64 {
    let ended = before
        .threads
        .keys()
        .any(|id| !after.threads.contains_key(id));
    if ended || after.threads.is_empty() {
        return after.cpu_ns.saturating_sub(before.cpu_ns);
    }
    // The scheduler's own figures are finer than ticks, but leave out threads that have ended.
    let of = |reading: &Reading| reading.threads.values().map(|(_, ns)| ns).sum::<u64>();
    of(after).saturating_sub(of(before))
}

/// Memory that is the process's alone or its share of what is shared (PSS), KiB. Dearer than [`read`].
///
/// # Errors
/// As [`read`].
pub(crate) fn pss_kib(pid: u32) -> io::Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    field(&rollup, "Pss:").ok_or_else(unreadable)
}

/// Datagrams that sockets on these local ports have dropped because nobody read them in time.
pub(crate) fn udp_drops(ports: &[u16]) -> u64 {
    let tables = ["/proc/net/udp", "/proc/net/udp6"]
        .map(|path| fs::read_to_string(path).unwrap_or_default());
    tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| drops_of(line, ports))
        .sum()
}

/// What threads spent between two readings, the busiest first.
pub(crate) fn thread_times(before: &Reading, after: &Reading) -> Vec<ThreadTime> {
    let mut times: Vec<ThreadTime> = after
        .threads
        .iter()
        .map(|(id, (name, ns))| {
            let earlier = before.threads.get(id).map_or(0, |(_, ns)| *ns);
            ThreadTime {
                name: name.clone(),
                cpu_ms: ns.saturating_sub(earlier) / 1_000_000,
            }
        })
        .filter(|time| time.cpu_ms > 0)
        .collect();
    times.sort_by_key(|time| std::cmp::Reverse(time.cpu_ms));
    times
}

/// utime and stime: fields 14 and 15 of proc_pid_stat(5); the name before them may hold spaces and parentheses.
fn cpu_ns(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * (1_000_000_000 / TICKS_PER_S))
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

fn drops_of(line: &str, ports: &[u16]) -> Option<u64> {
    let mut fields = line.split_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    ports.contains(&port).then(|| fields.last()?.parse().ok())?
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an unknown format of /proc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_parentheses() {
        let stat = "12 (a (b) c) S 1 2 3 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 3 0 1";
        assert_eq!(cpu_ns(stat), Some(3_000_000_000));
        assert_eq!(cpu_ns("12 (a"), None);
    }

    #[test]
    fn drops_are_those_of_the_named_ports() {
        let line = "  1: 0100007F:1ECA 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1234 2 00000000 17";
        assert_eq!(drops_of(line, &[7_882]), Some(17));
        assert_eq!(drops_of(line, &[7_883]), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let reading = read(std::process::id()).expect("its own /proc");
        assert!(reading.rss_kib > 0 && !reading.threads.is_empty());
    }
}
