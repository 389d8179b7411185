//! The operator's weights and limits. Defaults come from the measurements named beside them.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::units::{Millis, Points, Share};

/// Weights and limits of the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Capture, codec, jitter buffer and playout, which the network's delay comes on top of.
    pub fixed_delay: Millis,
    /// What a node adds to each packet.
    pub hop_delay: Millis,
    /// How long a receiver waits for a lost packet to come again.
    pub jitter_buffer: Millis,
    /// Loss of a client's leg when nobody measured it.
    pub access_loss: Share,
    /// Robustness of the codec to loss: Bpl of ITU-T G.113 Appendix I.
    pub loss_robustness: f64,
    /// How much the worst pair counts beside the mean of all pairs.
    pub worst_pair: f64,

    /// Charge for a second node, beside the price of its traffic.
    pub second_node: Points,
    /// Charge for a unit of the operator's currency paid for an hour's traffic between nodes.
    pub currency: Points,
    /// Gigabytes an hour that one party sends to another node.
    pub gigabytes_per_party_hour: f64,

    /// Scale of the charge for a node's load `x`: this times `x / (1 - x)`.
    pub load: Points,
    /// Load from which a node counts as nearly full.
    pub soft_load: Share,
    /// Load beyond which a node takes nobody.
    pub hard_load: Share,
    /// How far a reported load may be off when fresh; each call sees it off by an amount of its own, so that calls
    /// decided at once do not all pick the same node.
    pub load_doubt: Share,
    /// What each second of a report's age adds to that.
    pub load_doubt_per_second: Share,
    /// A node that has not reported for this long is taken for dead.
    pub report_timeout: Millis,
    /// A link measured longer ago than this is taken for down.
    pub link_timeout: Millis,
    /// Loss from which a direct link counts as bad, so that detours are tried.
    pub bad_link_loss: Share,
    /// What a lossy link is charged, when routes are compared, for losing every packet.
    pub route_loss: Millis,

    /// Charge for each party moved to another node.
    pub moved_party: Points,
    /// A running call moves by itself only for at least this gain of mean one-way delay,
    pub move_gain: Millis,
    /// and only for at least this share of it,
    pub move_gain_share: Share,
    /// and only when the gain has been there for this long,
    pub move_hold: Millis,
    /// and only when its last such move is this long ago.
    pub move_interval: Millis,
    /// Charge for a standby node in the region of the node it stands by for.
    pub standby_same_region: Points,

    /// Noise of one probe in proportion to the round trip.
    pub probe_noise: Share,
    /// Mean queueing that a single probe meets; the least of `n` probes meets an `n`th of it.
    pub probe_jitter: Millis,
    /// Probes older than this say nothing.
    pub probe_lifetime: Millis,
    /// Round trip at no distance, when only a place is known (fit to measurements).
    pub prior_base: Millis,
    /// Round trip for each kilometre of great circle (same fit).
    pub prior_per_km: Millis,
    /// Error of that prior between two nodes, in proportion to it,
    pub prior_noise: Share,
    /// and its least value.
    pub prior_floor: Millis,
    /// How far the last miles of two clients differ.
    pub access_spread: Millis,
    /// Round trip to any node when nothing at all is known.
    pub unknown_rtt: Millis,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fixed_delay: Millis(100.0),
            hop_delay: Millis(0.5),
            jitter_buffer: Millis(80.0),
            access_loss: Share(0.002),
            loss_robustness: 25.1,
            worst_pair: 0.5,
            second_node: Points::from_r(0.3),
            currency: Points::from_r(1.0),
            gigabytes_per_party_hour: 0.675,
            load: Points::from_r(0.03),
            soft_load: Share(0.7),
            hard_load: Share(0.9),
            load_doubt: Share(0.02),
            load_doubt_per_second: Share(0.01),
            report_timeout: Millis(10_000.0),
            link_timeout: Millis(30_000.0),
            bad_link_loss: Share(0.02),
            route_loss: Millis(1_000.0),
            moved_party: Points::from_r(0.3),
            move_gain: Millis(30.0),
            move_gain_share: Share(0.15),
            move_hold: Millis(10_000.0),
            move_interval: Millis(300_000.0),
            standby_same_region: Points::from_r(1.0),
            probe_noise: Share(0.2),
            probe_jitter: Millis(5.0),
            probe_lifetime: Millis(600_000.0),
            prior_base: Millis(32.0),
            prior_per_km: Millis(0.0173),
            prior_noise: Share(0.3),
            prior_floor: Millis(8.0),
            access_spread: Millis(30.0),
            unknown_rtt: Millis(150.0),
        }
    }
}

/// A policy with a number that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("placement policy: {field} must be {wanted}")]
pub struct PolicyError {
    field: &'static str,
    wanted: &'static str,
}

impl Policy {
    /// Checks that every number is finite and in its range: the search for the best relies on charges never being
    /// negative.
    pub fn check(&self) -> Result<(), PolicyError> {
        let not_negative = [
            ("fixed_delay", self.fixed_delay.0),
            ("hop_delay", self.hop_delay.0),
            ("worst_pair", self.worst_pair),
            ("second_node", self.second_node.as_r()),
            ("currency", self.currency.as_r()),
            ("gigabytes_per_party_hour", self.gigabytes_per_party_hour),
            ("load", self.load.as_r()),
            ("load_doubt", self.load_doubt.0),
            ("load_doubt_per_second", self.load_doubt_per_second.0),
            ("report_timeout", self.report_timeout.0),
            ("link_timeout", self.link_timeout.0),
            ("bad_link_loss", self.bad_link_loss.0),
            ("route_loss", self.route_loss.0),
            ("moved_party", self.moved_party.as_r()),
            ("move_gain", self.move_gain.0),
            ("move_gain_share", self.move_gain_share.0),
            ("move_hold", self.move_hold.0),
            ("move_interval", self.move_interval.0),
            ("standby_same_region", self.standby_same_region.as_r()),
            ("probe_noise", self.probe_noise.0),
            ("probe_jitter", self.probe_jitter.0),
            ("probe_lifetime", self.probe_lifetime.0),
            ("prior_base", self.prior_base.0),
            ("prior_per_km", self.prior_per_km.0),
            ("prior_noise", self.prior_noise.0),
        ];
        let positive = [
            ("jitter_buffer", self.jitter_buffer.0),
            ("loss_robustness", self.loss_robustness),
            ("prior_floor", self.prior_floor.0),
            ("access_spread", self.access_spread.0),
            ("unknown_rtt", self.unknown_rtt.0),
        ];
        let below_one = [
            ("access_loss", self.access_loss.0),
            ("soft_load", self.soft_load.0),
            ("hard_load", self.hard_load.0),
        ];
        let wrong = |field, wanted| Err(PolicyError { field, wanted });
        for (field, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(field, "a number of 0 or more");
            }
        }
        for (field, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return wrong(field, "a number above 0");
            }
        }
        for (field, value) in below_one {
            if !(0.0..1.0).contains(&value) {
                return wrong(field, "a share of 0 or more and below 1");
            }
        }
        Ok(())
    }
}
