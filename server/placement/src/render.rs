//! The text of an explanation, for people.

use std::fmt::{self, Display, Formatter};

use crate::estimate::{Estimate, Source};
use crate::explain::{CandidateReport, Explanation};
use crate::placement::Reason;
use crate::rules::Exclusion;

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let placement = &self.placement;
        let route: Vec<&str> = placement.route.iter().map(|n| n.as_str()).collect();
        writeln!(f, "Nodes: {}", route.join(" - "))?;
        for (party, node) in &placement.entries {
            writeln!(f, "  {party} enters at {node}")?;
        }
        for standby in &placement.standby {
            let (replaces, node, delay) = (&standby.replaces, &standby.node, standby.mean_one_way);
            writeln!(
                f,
                "  {node} stands by for {replaces} (mean one way {delay})"
            )?;
        }
        writeln!(f, "\nWhy")?;
        for reason in &placement.reasons {
            writeln!(f, "  {reason}")?;
        }
        writeln!(f, "\nPrediction")?;
        for pair in &placement.pairs {
            writeln!(
                f,
                "  {} -> {}: one way {} (±{}), mouth to ear {}, lost {:.2} %, R {:.1}, MOS {:.2}",
                pair.from,
                pair.to,
                pair.one_way,
                pair.deviation,
                pair.mouth_to_ear,
                pair.unrepaired_loss.0 * 100.0,
                pair.r,
                pair.mos
            )?;
        }
        writeln!(
            f,
            "\nScore {} (points of R lost and charged; less is better)",
            self.score
        )?;
        for (name, points) in placement.terms.by_name() {
            writeln!(f, "  {name:<6} {points:>9}")?;
        }
        writeln!(f, "\nCandidates")?;
        self.candidates
            .iter()
            .try_for_each(|candidate| write!(f, "{candidate}"))
    }
}

impl Display for CandidateReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  {}{}, load {}",
            if self.chosen { "* " } else { "  " },
            self.node,
            self.load
        )?;
        if let Some(rule) = &self.excluded {
            write!(f, ", excluded: {rule}")?;
        }
        if let Some(best) = &self.best {
            write!(f, ", score {}", best.total())?;
        }
        if let Some(with) = &self.with {
            write!(f, " with {with}")?;
        }
        writeln!(f)?;
        self.legs
            .iter()
            .try_for_each(|leg| writeln!(f, "        {}: {}", leg.party, leg.estimate))
    }
}

impl Display for Estimate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "round trip {} (±{}) by {}",
            self.rtt, self.deviation, self.source
        )?;
        if let Some(age) = self.age {
            write!(f, ", {} samples, {:.0} s old", self.samples, age.0 / 1e3)?;
        }
        Ok(())
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Probe => "the client's probes",
            Self::History => "earlier calls of its network",
            Self::GeoIp => "distance from its GeoIP location",
            Self::StatedRegion => "distance from its stated region",
            Self::FastestNode => "distance from the node that answers it fastest",
            Self::Unknown => "assumption, nothing being known",
        })
    }
}

impl Display for Exclusion {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Residency => f.write_str("outside the call's residency"),
            Self::Unhealthy => f.write_str("unhealthy"),
            Self::Silent { age } => write!(f, "no report for {:.0} s", age.0 / 1e3),
            Self::Draining => f.write_str("draining"),
            Self::Protocol { needed } => write!(f, "does not speak protocol version {needed}"),
            Self::Full { load } => write!(f, "full at {load}"),
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneNode => f.write_str("One node: a second would not earn its traffic."),
            Self::SecondNode { delay_saved } => {
                write!(
                    f,
                    "Two nodes: the mean one-way delay is {delay_saved} less than with the best single node."
                )
            }
            Self::OnlyTogether => {
                f.write_str("Two nodes: none can or may carry all parties alone.")
            }
            Self::Detour { via } => {
                let via: Vec<&str> = via.iter().map(|n| n.as_str()).collect();
                write!(
                    f,
                    "Detour by {}: the direct link is down or bad.",
                    via.join(" and ")
                )
            }
            Self::Spilled(spill) => write!(
                f,
                "{} would be chosen but is at {} of its load; the choice costs {} of mean one-way delay.",
                spill.wanted, spill.load, spill.delay_cost
            ),
            Self::Kept { delay_forgone } => {
                write!(
                    f,
                    "Kept where it runs: a move would gain {delay_forgone}, too little or not for long enough."
                )
            }
            Self::MovedForGain { delay_saved } => {
                write!(f, "Moved: the mean one-way delay falls by {delay_saved}.")
            }
            Self::MovedAway {
                from,
                because: Some(rule),
            } => write!(f, "Moved away from {from}: {rule}."),
            Self::MovedAway {
                from,
                because: None,
            } => write!(f, "Moved away from {from}, which has left the fleet."),
        }
    }
}
