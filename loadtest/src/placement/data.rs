//! Reads nodes, links and clients from CSV.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use csv::StringRecord;
use tradewind_placement::Coordinates;

use super::Args;
use super::random::Random;

const NODES_AZURE: &str = include_str!("../../../data/placement_nodes16.csv");
const RTT_AZURE: &str = include_str!("../../../data/azure_region_rtt_median_ms_2026.csv");
const NODES_AWS: &str = include_str!("../../../data/placement_nodes_aws13.csv");
const ONE_WAY_AWS: &str = include_str!("../../../data/aws_region_owd_ms_cometbft.csv");
const CLIENTS: &str = include_str!("../../../data/internet_users_by_country.csv");

/// Spread of true round trips around what the distance says, as standard deviations of the logarithm below and above
/// the median. Public internet paths have 1.55, 2.07 and 3.58 times the delay of straight fibre at the 10th, 50th and
/// 90th percentile; the fit's median error of 28 ms at intercontinental distances agrees.
const INFLATION_SIGMA_BELOW: f64 = 0.23;
const INFLATION_SIGMA_ABOVE: f64 = 0.43;
/// The fit of round trips to distance.
const BASE_RTT_MS: f64 = 32.0;
const RTT_MS_PER_KM: f64 = 0.0173;
const FIBRE_KM_PER_MS_RTT: f64 = 102.1;

/// A node city.
pub(super) struct Site {
    pub(super) city: String,
    pub(super) coordinates: Coordinates,
    pub(super) in_eu: bool,
}

/// A country with its clients.
pub(super) struct Country {
    pub(super) centre: Coordinates,
    /// Round trips to the nodes without last mile, in proportion to what the distance says.
    inflation: Vec<f64>,
    /// Round trips that were measured, by node.
    measured: Vec<Option<f64>>,
}

impl Country {
    /// The round trip in ms, without last mile, from a place in this country to a node.
    pub(super) fn rtt(&self, from: Coordinates, node: usize, site: &Site) -> f64 {
        let km = from.distance_km(site.coordinates);
        let modelled = || (BASE_RTT_MS + RTT_MS_PER_KM * km) * self.inflation[node];
        self.measured[node]
            .unwrap_or_else(modelled)
            .max(km / FIBRE_KM_PER_MS_RTT)
    }
}

/// What never changes in a simulation.
pub(super) struct World {
    pub(super) name: String,
    pub(super) sites: Vec<Site>,
    /// Round trips between nodes by source and destination; `None` was not measured.
    pub(super) links: Vec<Vec<Option<f64>>>,
    pub(super) countries: Vec<Country>,
    /// Cumulative internet users by country.
    pub(super) users: Vec<f64>,
    pub(super) central: usize,
}

/// The worlds that the arguments ask for.
pub(super) fn worlds(args: &Args) -> anyhow::Result<Vec<World>> {
    match (&args.nodes, &args.rtt) {
        (Some(nodes), Some(rtt)) => {
            let name = rtt
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            Ok(vec![world(
                args,
                name,
                &read(nodes)?,
                &read(rtt)?,
                args.one_way,
            )?])
        }
        _ => Ok(vec![
            world(args, "azure".to_owned(), NODES_AZURE, RTT_AZURE, false)?,
            world(args, "aws".to_owned(), NODES_AWS, ONE_WAY_AWS, true)?,
        ]),
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn world(
    args: &Args,
    name: String,
    nodes: &str,
    rtt: &str,
    one_way: bool,
) -> anyhow::Result<World> {
    let (header, rows) = table(nodes).context("nodes")?;
    ensure!(
        header.len() >= 4,
        "nodes need the columns city, region, lat, lon"
    );
    let mut sites = Vec::new();
    let mut regions = Vec::new();
    for row in &rows {
        let coordinates =
            coordinates(&row[2], &row[3]).with_context(|| format!("node {}", &row[0]))?;
        let in_eu = args.eu_nodes.iter().any(|n| *n == row[0]);
        sites.push(Site {
            city: row[0].to_owned(),
            coordinates,
            in_eu,
        });
        regions.push(row[1].to_owned());
    }
    ensure!(sites.len() > 1, "at least two nodes are needed");
    let factor = if one_way { 2.0 } else { 1.0 };
    let matrix = Matrix::parse(rtt).context("delays between regions")?;
    for region in &regions {
        ensure!(
            matrix.columns.contains_key(region),
            "region {region} of a node is not in the matrix"
        );
    }
    let link = |from: &String, to: &String| matrix.get(from, to).map(|ms| ms * factor);
    let links = regions
        .iter()
        .map(|from| regions.iter().map(|to| link(from, to)).collect())
        .collect();
    let clients = args.clients.as_deref().map(read).transpose()?;
    let client_rtt = args.client_rtt.as_deref().map(read).transpose()?;
    let client_rtt = client_rtt
        .map(|text| Matrix::parse(&text))
        .transpose()
        .context("delays of clients")?;
    let (countries, users) = countries(
        clients.as_deref().unwrap_or(CLIENTS),
        client_rtt.as_ref(),
        &sites,
        args.seed,
    )
    .context("clients")?;
    let central = sites
        .iter()
        .position(|s| s.city == args.central)
        .unwrap_or(0);
    Ok(World {
        name,
        sites,
        links,
        countries,
        users,
        central,
    })
}

fn countries(
    text: &str,
    measured: Option<&Matrix>,
    sites: &[Site],
    seed: u64,
) -> anyhow::Result<(Vec<Country>, Vec<f64>)> {
    let (header, rows) = table(text)?;
    let column = |name: &str| {
        header
            .iter()
            .position(|h| h == name)
            .with_context(|| format!("column {name} is missing"))
    };
    let (iso2, users) = (column("iso2")?, column("internet_users")?);
    let (lat, lon) = (column("centroid_lat")?, column("centroid_lon")?);
    let (mut countries, mut cumulative, mut sum) = (Vec::new(), Vec::new(), 0.0);
    for row in rows {
        // Territories without users or a place take no part.
        let Some(count) = row[users].parse::<f64>().ok().filter(|n| *n > 0.0) else {
            continue;
        };
        let Ok(centre) = coordinates(&row[lat], &row[lon]) else {
            continue;
        };
        let name = row[iso2].to_owned();
        let mut random = Random::new(
            seed,
            name.bytes()
                .fold(7, |hash, byte| hash * 257 + u64::from(byte)),
        );
        let inflation = sites.iter().map(|_| inflation(&mut random)).collect();
        let measured = sites
            .iter()
            .map(|site| measured.and_then(|m| m.get(&name, &site.city)))
            .collect();
        sum += count;
        cumulative.push(sum);
        countries.push(Country {
            centre,
            inflation,
            measured,
        });
    }
    ensure!(
        countries.len() > 1,
        "at least two countries with users are needed"
    );
    Ok((countries, cumulative))
}

fn inflation(random: &mut Random) -> f64 {
    let deviations = random.normal();
    let sigma = if deviations < 0.0 {
        INFLATION_SIGMA_BELOW
    } else {
        INFLATION_SIGMA_ABOVE
    };
    (sigma * deviations).exp()
}

fn coordinates(lat: &str, lon: &str) -> anyhow::Result<Coordinates> {
    let coordinates = Coordinates {
        lat: lat.parse().context("latitude")?,
        lon: lon.parse().context("longitude")?,
    };
    ensure!(coordinates.is_valid(), "no place on Earth: {lat}, {lon}");
    Ok(coordinates)
}

/// A matrix of delays by the names of its rows and columns.
struct Matrix {
    columns: BTreeMap<String, usize>,
    rows: BTreeMap<String, Vec<Option<f64>>>,
}

impl Matrix {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (header, rows) = table(text)?;
        let columns = header
            .iter()
            .skip(1)
            .zip(0..)
            .map(|(name, i)| (name.to_owned(), i))
            .collect();
        let cell = |cell: &str| match cell.parse::<f64>() {
            Ok(ms) if ms.is_finite() && ms >= 0.0 => Ok(Some(ms)),
            _ if cell.is_empty() => Ok(None),
            _ => bail!("{cell:?} is no delay in ms"),
        };
        let row = |row: &StringRecord| {
            let cells = row
                .iter()
                .skip(1)
                .map(cell)
                .collect::<anyhow::Result<_>>()?;
            Ok((row[0].to_owned(), cells))
        };
        Ok(Self {
            columns,
            rows: rows.iter().map(row).collect::<anyhow::Result<_>>()?,
        })
    }

    /// The delay, or that of the other direction if only that was measured.
    fn get(&self, from: &str, to: &str) -> Option<f64> {
        let one = |from: &str, to: &str| *self.rows.get(from)?.get(*self.columns.get(to)?)?;
        one(from, to).or_else(|| one(to, from))
    }
}

fn table(text: &str) -> anyhow::Result<(StringRecord, Vec<StringRecord>)> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = reader.headers()?.clone();
    ensure!(!header.is_empty(), "the table has no columns");
    let rows = reader.records().collect::<Result<_, _>>()?;
    Ok((header, rows))
}
