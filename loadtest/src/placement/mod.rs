//! Simulates placement over a world of measured links and modelled clients, beside simpler policies and an oracle
//! that knows every true delay.
//!
//! Calls come in epochs. In each, nodes have loads of their own, some are down, draining or on another version, and
//! some links are down; the calls of an epoch compete for seats. Epochs do not depend on each other, so that threads
//! share them out, and the figures are the same for any number of threads.

mod baseline;
mod client;
mod data;
mod epoch;
mod random;
mod report;
mod scenario;
mod truth;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use self::data::World;
use self::epoch::CALLS_PER_EPOCH;
use self::report::{Key, Summary, Tallies};
use self::scenario::Scenario;

/// Files and sizes of the simulation. All files are CSV with a header.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Nodes: columns city, region (the row and column of --rtt that stands for it), lat, lon. By default 16 cities on
    /// Azure delays and 13 on AWS delays are simulated in turn; give --rtt too if you give this
    #[arg(long, requires = "rtt")]
    nodes: Option<PathBuf>,
    /// Delays between regions: a matrix with region names in the first row and column, in ms
    #[arg(long, requires = "nodes")]
    rtt: Option<PathBuf>,
    /// The matrix of --rtt holds one-way delays instead of round trips
    #[arg(long, requires = "rtt")]
    one_way: bool,
    /// Clients: columns iso2, internet_users, centroid_lat, centroid_lon; others are ignored
    #[arg(long)]
    clients: Option<PathBuf>,
    /// Round trips between clients and nodes: a matrix with iso2 in the first column and cities in the first row, in
    /// ms. Without it, and for empty cells: 32 ms + 0.0173 ms/km, spread as internet paths are. The last mile is added in both cases
    #[arg(long)]
    client_rtt: Option<PathBuf>,
    /// Nodes that carry calls which must stay in the European Union, by city; names not among the nodes are ignored
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "Frankfurt,Paris,Warsaw,Dublin"
    )]
    eu_nodes: Vec<String>,
    /// The node of the policy that uses only one
    #[arg(long, default_value = "Frankfurt")]
    central: String,
    /// Calls in each scenario, each placed with true delays, with one noisy probe to each node, and with three
    #[arg(long, default_value_t = 100_000)]
    calls: u64,
    /// Nodes that each client probes: those nearest by its GeoIP location. 0 for all
    #[arg(long, default_value_t = 0)]
    probed: usize,
    /// By default as many as the machine has cores
    #[arg(long)]
    threads: Option<usize>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs all scenarios; prints a JSON line for each scenario and policy, then a summary.
///
/// # Errors
///
/// If a file cannot be read, names an unknown region, or the fleet it describes is refused.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    ensure!(args.calls > 0, "--calls must be at least 1");
    let started = Instant::now();
    let mut summary = Summary::default();
    for world in data::worlds(&args)? {
        for scenario in Scenario::ALL {
            let tallies = simulate(&world, scenario, &args).with_context(|| world.name.clone())?;
            for (key, tally) in tallies.iter() {
                println!("{}", report::line(&world.name, scenario, *key, tally));
            }
            summary.add(&world.name, scenario, &tallies);
        }
    }
    println!("{}", summary.line(started.elapsed()));
    Ok(())
}

fn simulate(world: &World, scenario: Scenario, args: &Args) -> anyhow::Result<Tallies> {
    let threads = args
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
        .max(1);
    let epochs = args.calls.div_ceil(CALLS_PER_EPOCH);
    let next = AtomicU64::new(0);
    let work = || -> anyhow::Result<Tallies> {
        let mut tallies = Tallies::default();
        loop {
            let epoch = next.fetch_add(1, Ordering::Relaxed);
            if epoch >= epochs {
                return Ok(tallies);
            }
            let calls = CALLS_PER_EPOCH.min(args.calls - epoch * CALLS_PER_EPOCH);
            epoch::run(
                world,
                scenario,
                args.probed,
                args.seed,
                epoch,
                calls,
                &mut tallies,
            )?;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Tallies::default();
        for worker in workers {
            let tallies = worker
                .join()
                .map_err(|_| anyhow::anyhow!("a simulation thread panicked"))??;
            all.merge(tallies)?;
        }
        Ok(all)
    })
}

/// Time spent in something that is done many times.
#[derive(Clone, Copy, Debug, Default)]
struct Busy {
    times: u64,
    total: Duration,
}

impl Key {
    /// Whether these are our decisions.
    fn is_ours(self) -> bool {
        self.policy == "tradewind"
    }
}
