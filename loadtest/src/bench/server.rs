//! A server of ours, started for a benchmark on one core.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::MachineArgs;
use crate::session::Target;
use crate::signal::Api;

const START_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Server {
    child: Child,
    pub(super) target: Target,
}

impl Server {
    /// Starts the server on its core and waits until it takes connections.
    pub(super) fn start(machine: &MachineArgs) -> anyhow::Result<Self> {
        let port = machine.port;
        let mut command = on_core(machine.server_core, machine.nice);
        command.arg(&machine.server).args(["serve", "--dev"]);
        let settings = [
            format!("http.bind=127.0.0.1:{port}"),
            format!("rtc.tcp_port={}", port + 1),
            format!("rtc.udp_port={}", port + 2),
            format!("metrics.bind=127.0.0.1:{}", port + 30),
            "rtc.shards=1".into(),
            "pages.enabled=false".into(),
            "log.level=warn".into(),
            // All bots come from one address.
            "limits.joins_per_second_per_ip=0".into(),
            "limits.signal_connections_per_ip=0".into(),
        ];
        for setting in settings {
            command.args(["--set", &setting]);
        }
        let child = command.stdout(Stdio::null()).spawn().with_context(|| {
            format!(
                "{} cannot be started: build it, and install taskset (util-linux)",
                machine.server.display()
            )
        })?;
        let target = Target {
            url: format!("ws://127.0.0.1:{port}"),
            api: Api {
                key: "devkey".into(),
                secret: "secret".into(),
            },
            pid: Some(child.id()),
        };
        let mut server = Self { child, target };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended at once ({status}): is another one on port {port}?");
            }
            if began.elapsed() > START_TIMEOUT {
                bail!("the server takes no connections on port {port}");
            }
            sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Process id; `taskset` and `nice` replace themselves by the server.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that runs what its further arguments say on one core.
pub(super) fn on_core(core: usize, nice: i32) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string(), "nice", "-n", &nice.to_string()]);
    command
}

/// Keeps this process, with the threads it starts from now on, on one core.
pub(super) fn stay_on_core(core: usize, nice: i32) -> anyhow::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set)
        .with_context(|| format!("--generator-core: the machine has no core {core}"))?;
    if nice != 0 {
        rustix::process::nice(nice).context("--nice: below 0 needs privileges")?;
    }
    Ok(())
}

/// Lets this process and whatever it starts run ahead of everything else on the machine, if that is allowed: else the
/// latency measured is that of other work. Gives back whether it is. `--nice` asks for something else.
pub(super) fn run_ahead(machine: &MachineArgs) -> bool {
    if machine.nice != 0 {
        return false;
    }
    let pid = std::process::id().to_string();
    let ahead = Command::new("chrt")
        .args(["--all-tasks", "--rr", "--pid", "1", &pid])
        .stderr(Stdio::null())
        .status();
    ahead.is_ok_and(|status| status.success())
}
