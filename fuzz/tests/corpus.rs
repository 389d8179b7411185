//! Replays the committed inputs. A file called `ok-...` must be accepted, one called `bad-...` refused; what fuzzers
//! found is called otherwise and must only do no harm.

use std::fs;
use std::path::{Path, PathBuf};

use tradewind_fuzz::{TARGETS, Target, Verdict};

/// Pieces of an input that are replayed too, each cut off at another place.
const CUTS: usize = 16;

#[test]
fn every_target_has_inputs_of_both_kinds() {
    for (name, _) in TARGETS {
        let verdicts: Vec<_> = inputs(name).iter().map(|path| expected(path)).collect();
        assert!(verdicts.contains(&Some(Verdict::Accepted)), "{name}");
        assert!(verdicts.contains(&Some(Verdict::Refused)), "{name}");
    }
}

#[test]
fn data_packet() {
    replay("data_packet");
}

#[test]
fn demux() {
    replay("demux");
}

#[test]
fn join_request() {
    replay("join_request");
}

#[test]
fn sdp() {
    replay("sdp");
}

#[test]
fn signal_message() {
    replay("signal_message");
}

#[test]
fn token() {
    replay("token");
}

#[test]
fn twirp() {
    replay("twirp");
}

fn replay(name: &str) {
    let target = target(name);
    for path in inputs(name) {
        let input = fs::read(&path).unwrap();
        let verdict = target(&input);
        if let Some(expected) = expected(&path) {
            assert_eq!(verdict, expected, "{}", path.display());
        }
        for piece in 0..CUTS {
            target(&input[..input.len() * piece / CUTS]);
        }
    }
}

fn target(name: &str) -> Target {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    *target
}

fn inputs(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut inputs: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    inputs.sort();
    inputs
}

fn expected(path: &Path) -> Option<Verdict> {
    let name = path.file_name()?.to_str()?;
    match name.split_once('-')?.0 {
        "ok" => Some(Verdict::Accepted),
        "bad" => Some(Verdict::Refused),
        _ => None,
    }
}
