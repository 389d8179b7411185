//! The layers of a track as rungs of rising cost.

use crate::media::forward::Layer;

const SPATIAL: usize = 4;
const TEMPORAL: usize = 4;

/// Taken for a track of which no layer's cost is known yet, in bits per second: a small camera picture.
const UNKNOWN_RATE: u64 = 150_000;

/// Bounds a declared or measured rate, so that sums cannot overflow: 1 Tbit/s.
const MAX_RATE: u64 = 1_000_000_000_000;

/// What each layer of a track costs in bits per second, with all it depends on. 0: the layer is not being sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerRates([[u64; TEMPORAL]; SPATIAL]);

impl LayerRates {
    /// States what `layer` costs together with the temporal layers below. Layers past the fourth are not known.
    /// Of an encoding whose temporal layers are not told apart, state temporal layer 0 only.
    pub fn set(&mut self, layer: Layer, bits_per_second: u64) {
        if let Some(rate) = self
            .0
            .get_mut(usize::from(layer.spatial))
            .and_then(|row| row.get_mut(usize::from(layer.temporal)))
        {
            *rate = bits_per_second.min(MAX_RATE);
        }
    }

    /// What `layer` costs.
    pub fn get(&self, layer: Layer) -> u64 {
        self.0
            .get(usize::from(layer.spatial))
            .and_then(|row| row.get(usize::from(layer.temporal)))
            .copied()
            .unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rung {
    pub(super) layer: Layer,
    pub(super) rate: u64,
}

/// Rungs of rising quality and cost, at most as many as there are layers.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    rungs: [Rung; SPATIAL * TEMPORAL],
    count: usize,
}

impl Ladder {
    /// The layers worth having up to `wanted`. If all that is sent is above that, the lowest that is.
    pub(super) fn new(rates: &LayerRates, wanted: Layer) -> Self {
        let mut ladder = Self {
            rungs: [Rung::default(); SPATIAL * TEMPORAL],
            count: 0,
        };
        for (spatial, row) in (0u8..).zip(&rates.0) {
            let within = spatial <= wanted.spatial || ladder.count == 0;
            if within {
                ladder.add_encoding(spatial, row, wanted.temporal);
            }
        }
        if ladder.count == 0 {
            ladder.push(
                Layer {
                    spatial: 0,
                    temporal: wanted.temporal,
                },
                UNKNOWN_RATE,
            );
        }
        ladder
    }

    pub(super) fn top(&self) -> usize {
        self.count
    }

    pub(super) fn rung(&self, level: usize) -> Option<Rung> {
        self.rungs[..self.count].get(level.checked_sub(1)?).copied()
    }

    pub(super) fn rate(&self, level: usize) -> u64 {
        self.rung(level).map_or(0, |rung| rung.rate)
    }

    /// The highest level not above `layer`, but no less than the lowest layer.
    pub(super) fn level_of(&self, layer: Layer) -> usize {
        self.rungs[..self.count]
            .iter()
            .filter(|rung| rung.layer <= layer)
            .count()
            .max(1)
    }

    fn add_encoding(&mut self, spatial: u8, row: &[u64; TEMPORAL], wanted_temporal: u8) {
        let sent = || (0u8..).zip(row).filter(|(_, rate)| **rate > 0);
        let highest = sent().map(|(temporal, _)| temporal).max().unwrap_or(0);
        // A large picture at the lowest frame rate is worse than a small one that moves.
        let lowest = if self.count == 0 {
            0
        } else {
            1.min(wanted_temporal).min(highest)
        };
        for (temporal, rate) in sent() {
            if temporal < lowest || temporal > wanted_temporal {
                continue;
            }
            // What is not told apart must not be cut off.
            let limit = if temporal == highest {
                wanted_temporal
            } else {
                temporal
            };
            self.push(
                Layer {
                    spatial,
                    temporal: limit,
                },
                *rate,
            );
        }
    }

    /// A layer that costs no more than those below replaces them.
    fn push(&mut self, layer: Layer, rate: u64) {
        while self.count > 0 && self.rungs[self.count - 1].rate >= rate {
            self.count -= 1;
        }
        if let Some(rung) = self.rungs.get_mut(self.count) {
            *rung = Rung { layer, rate };
            self.count += 1;
        }
    }
}
