//! Conversational quality from delay and loss: the E-model of ITU-T G.107.

/// R of a call without delay and loss (G.107 default parameters).
const BEST_R: f64 = 93.2;
/// One-way delay beyond which talking over each other begins, in ms (Cole and Rosenbluth 2001).
const KNEE_MS: f64 = 177.3;
const SLOPE: f64 = 0.024;
const SLOPE_BEYOND_KNEE: f64 = 0.11;

/// Delay impairment Id for a mouth-to-ear delay in ms, in points of R (Cole and Rosenbluth's form of G.107).
pub fn delay_impairment(mouth_to_ear_ms: f64) -> f64 {
    SLOPE * mouth_to_ear_ms + SLOPE_BEYOND_KNEE * (mouth_to_ear_ms - KNEE_MS).max(0.0)
}

/// The delay impairment to expect when the delay is known only with a standard deviation, both in ms.
///
/// Never less than that of the expected delay: the knee makes surprises upwards cost more than surprises downwards
/// gain. Takes the error as logistic, whose integral needs no special function.
pub(crate) fn expected_delay_impairment(mouth_to_ear_ms: f64, deviation_ms: f64) -> f64 {
    const LOGISTIC_SCALE: f64 = 0.551_328_895_421_792; // sqrt(3) / pi
    let scale = deviation_ms * LOGISTIC_SCALE;
    let beyond = mouth_to_ear_ms - KNEE_MS;
    let expected_beyond = if beyond.abs() >= 8.0 * scale || scale < 0.1 {
        beyond.max(0.0)
    } else {
        scale * (beyond / scale).exp().ln_1p()
    };
    SLOPE * mouth_to_ear_ms + SLOPE_BEYOND_KNEE * expected_beyond
}

/// Effective equipment impairment Ie-eff for a share of packets lost for good, in points of R (G.107, 7.5).
///
/// `robustness` is Bpl of G.113 Appendix I; the codec's own impairment Ie is left out, being the same everywhere.
pub fn loss_impairment(unrepaired_loss: f64, robustness: f64) -> f64 {
    let percent = unrepaired_loss * 100.0;
    95.0 * percent / (percent + robustness)
}

/// R for a sum of impairments, at least 0.
pub fn r_factor(impairment: f64) -> f64 {
    (BEST_R - impairment).clamp(0.0, 100.0)
}

/// Mean opinion score, 1 to 4.5, for R (G.107 Annex B).
pub fn mean_opinion_score(r: f64) -> f64 {
    let r = r.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_follows_the_published_table() {
        for (delay, r, mos) in [
            (100.0, 90.8, 4.36),
            (150.0, 89.6, 4.33),
            (250.0, 79.2, 3.99),
            (400.0, 59.1, 3.05),
        ] {
            let got = r_factor(delay_impairment(delay));
            assert!((got - r).abs() < 0.06, "R at {delay} ms: {got}");
            assert!(
                (mean_opinion_score(got) - mos).abs() < 0.01,
                "MOS at {delay} ms"
            );
        }
    }

    #[test]
    fn doubt_about_a_delay_costs_most_at_the_knee() {
        let surcharge = |d| expected_delay_impairment(d, 20.0) - delay_impairment(d);
        assert!(surcharge(177.3) > 0.8);
        assert!(surcharge(100.0) < 0.01 && surcharge(100.0) >= 0.0);
        assert!(surcharge(300.0) < 0.01 && surcharge(300.0) >= 0.0);
    }
}
