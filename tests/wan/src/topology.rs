//! The planet as a JSON file: nodes with their addresses, delays between regions, and special links.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path as FilePath, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::path::Shape;

/// What the emulator stands between.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topology {
    /// Every loss and jitter follows from it.
    pub seed: u64,
    /// Loopback port of the control socket; 0 takes a free one.
    pub control_port: u16,
    /// Matrix of round-trip times in milliseconds between regions: a header row of region names, then one row per region.
    /// Relative to the topology file.
    pub rtt_csv: Option<PathBuf>,
    /// Qualities of every link between two nodes, before delays and `links` are applied.
    pub every_link: Shape,
    /// The places.
    pub nodes: Vec<Node>,
    /// Links that differ.
    pub links: Vec<Link>,
}

/// One place: processes bind to `inside`, the rest of the planet reaches them at `outside`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name in links and commands.
    pub name: String,
    /// Row and column of the delay matrix.
    #[serde(default)]
    pub region: Option<String>,
    /// Loopback address the node's processes bind to; packets from it are packets from this node.
    pub inside: IpAddr,
    /// Loopback address the emulator listens on for the node; also the source that others see.
    pub outside: IpAddr,
    /// UDP ports carried from `outside` to `inside`.
    #[serde(default)]
    pub udp: Vec<u16>,
    /// TCP ports carried from `outside` to `inside`.
    #[serde(default)]
    pub tcp: Vec<u16>,
}

/// A link that differs from what the matrix says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where packets come from.
    pub from: String,
    /// Where they go.
    pub to: String,
    /// Applies to the way back too.
    #[serde(default)]
    pub both_ways: bool,
    /// The qualities, all of them: nothing is taken from the matrix.
    pub shape: Shape,
}

impl Topology {
    /// Reads a topology file, with the matrix it names.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn read(file: &FilePath) -> Result<Self> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let mut topology: Self =
            serde_json::from_str(&text).with_context(|| format!("parse {}", file.display()))?;
        if let (Some(matrix), Some(folder)) = (&topology.rtt_csv, file.parent()) {
            topology.rtt_csv = Some(folder.join(matrix));
        }
        Ok(topology)
    }

    /// The place of a node in [`Self::nodes`].
    ///
    /// # Errors
    /// When no node has this name.
    pub fn index(&self, name: &str) -> Result<usize> {
        self.nodes
            .iter()
            .position(|node| node.name == name)
            .with_context(|| format!("no node is called {name:?}"))
    }

    /// The qualities of each direction between two different nodes, by their places in [`Self::nodes`].
    ///
    /// # Errors
    /// When the matrix cannot be read, lacks a region that a node names, or a link names an unknown node.
    pub fn shapes(&self) -> Result<BTreeMap<(usize, usize), Shape>> {
        let matrix = self.rtt_csv.as_deref().map(read_matrix).transpose()?;
        let mut shapes = BTreeMap::new();
        for (from, a) in self.nodes.iter().enumerate() {
            for (to, b) in self.nodes.iter().enumerate().filter(|(to, _)| *to != from) {
                let mut shape = self.every_link;
                if let (Some(matrix), Some(here), Some(there)) = (&matrix, &a.region, &b.region) {
                    shape.delay_ms = round_trip(matrix, here, there)? / 2.0;
                }
                shapes.insert((from, to), shape);
            }
        }
        for link in &self.links {
            let (from, to) = (self.index(&link.from)?, self.index(&link.to)?);
            if from == to {
                bail!("link {} to itself", link.from);
            }
            shapes.insert((from, to), link.shape);
            if link.both_ways {
                shapes.insert((to, from), link.shape);
            }
        }
        Ok(shapes)
    }
}

type Matrix = BTreeMap<(String, String), f64>;

fn read_matrix(file: &FilePath) -> Result<Matrix> {
    let mut reader =
        csv::Reader::from_path(file).with_context(|| format!("read {}", file.display()))?;
    let columns: Vec<String> = reader
        .headers()?
        .iter()
        .skip(1)
        .map(str::to_owned)
        .collect();
    let mut matrix = Matrix::new();
    for row in reader.records() {
        let row = row?;
        let Some(from) = row.get(0) else { continue };
        for (to, cell) in columns.iter().zip(row.iter().skip(1)) {
            if let Ok(rtt) = cell.parse() {
                matrix.insert((from.to_owned(), to.clone()), rtt);
            }
        }
    }
    Ok(matrix)
}

/// Both directions are measured apart and differ by a few milliseconds: the mean serves both, so that RTT is symmetric.
fn round_trip(matrix: &Matrix, a: &str, b: &str) -> Result<f64> {
    if a == b {
        return Ok(0.0);
    }
    let cells = [(a, b), (b, a)].map(|(from, to)| matrix.get(&(from.to_owned(), to.to_owned())));
    let known: Vec<f64> = cells.into_iter().flatten().copied().collect();
    if known.is_empty() {
        bail!("the delay matrix has no round trip between {a:?} and {b:?}");
    }
    Ok(known.iter().sum::<f64>() / known.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planet(folder: &FilePath) -> Topology {
        let matrix = "src\\dst,Japan East,France Central\nJapan East,,214\nFrance Central,216,\n";
        std::fs::write(folder.join("rtt.csv"), matrix).unwrap();
        let json = r#"{
            "seed": 4,
            "rtt_csv": "rtt.csv",
            "every_link": {"loss": 0.001},
            "nodes": [
                {"name": "tokyo", "region": "Japan East", "inside": "127.1.0.1", "outside": "127.1.1.1", "udp": [7900]},
                {"name": "paris", "region": "France Central", "inside": "127.1.0.2", "outside": "127.1.1.2"},
                {"name": "hub", "inside": "127.1.0.3", "outside": "127.1.1.3"}
            ],
            "links": [{"from": "hub", "to": "paris", "shape": {"rate_mbps": 10, "delay_ms": 5}}]
        }"#;
        std::fs::write(folder.join("planet.json"), json).unwrap();
        Topology::read(&folder.join("planet.json")).unwrap()
    }

    #[test]
    fn delays_come_from_the_matrix_and_special_links_replace_them() {
        let folder = std::env::temp_dir().join(format!("tradewind-wan-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let topology = planet(&folder);
        let shapes = topology.shapes().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let tokyo_paris = shapes[&(0, 1)];
        assert_eq!((tokyo_paris.delay_ms, tokyo_paris.loss), (107.5, 0.001));
        assert_eq!(shapes[&(1, 0)], tokyo_paris);
        assert_eq!(shapes[&(2, 1)].rate_mbps, Some(10.0));
        assert_eq!(shapes[&(1, 2)].rate_mbps, None);
        assert!(topology.index("osaka").is_err());
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let text = r#"{"every_link": {"delay": 3}}"#;
        assert!(serde_json::from_str::<Topology>(text).is_err());
    }
}
