//! Where the server's time goes under load.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::MachineArgs;
use super::flame;
use super::rig::{Rate, Rig, video};
use super::server::stay_on_core;
use crate::plan::Shape;

#[derive(Args)]
pub(crate) struct ProfileArgs {
    #[command(flatten)]
    machine: MachineArgs,
    #[arg(long, value_enum, default_value = "fanout")]
    shape: Shape,
    #[arg(long, default_value_t = 4)]
    rooms: u32,
    #[arg(long, default_value_t = 51)]
    participants: u32,
    /// Seconds to sample.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Where to draw the flame graph.
    #[arg(long)]
    svg: PathBuf,
}

pub(crate) async fn run(args: ProfileArgs) -> anyhow::Result<()> {
    let missing = "perf is missing: install linux-perf (Debian) or linux-tools (Ubuntu)";
    Command::new("perf")
        .arg("version")
        .stdout(Stdio::null())
        .status()
        .context(missing)?;
    stay_on_core(args.machine.generator_core, args.machine.nice)?;
    let mut rig = Rig::start(
        &args.machine,
        &video(args.shape, args.rooms, args.participants),
        None,
    )
    .await?;
    rig.run_at(Rate::Nominal).await?;
    let data = args.svg.with_extension("perf");
    // Stacks are unwound by debug information: the shipped build has no frame pointers.
    let mut record = Command::new("perf")
        .args([
            "record",
            "-q",
            "-F",
            "299",
            "--call-graph",
            "dwarf,16384",
            "-p",
            &rig.server.pid().to_string(),
            "-o",
        ])
        .arg(&data)
        .args(["--", "sleep", &args.seconds.to_string()])
        .spawn()
        .context(missing)?;
    let measured = rig.measure(Duration::from_secs(args.seconds + 1)).await?;
    if !record.wait()?.success() {
        bail!("perf cannot sample the server: allow it (sysctl kernel.perf_event_paranoid=1)");
    }
    let report = rig.finish("Profile", &measured).await?;
    let script = Command::new("perf")
        .args(["script", "--no-inline", "-F", "comm,ip,sym", "-i"])
        .arg(&data)
        .stderr(Stdio::null())
        .output()
        .context(missing)?;
    std::fs::remove_file(&data)?;
    let root = flame::fold(&String::from_utf8_lossy(&script.stdout));
    std::fs::write(&args.svg, flame::draw(&root))
        .with_context(|| format!("--svg: {} cannot be written", args.svg.display()))?;
    println!(
        "{}: {:.0} ns per packet while sampled",
        args.svg.display(),
        report.ns_per_packet.unwrap_or_default()
    );
    Ok(())
}
