//! The normal distribution.

/// Share of the standard normal distribution below `x`.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// The point below which a share `p` of the standard normal distribution lies; infinite for 0 and 1, NaN outside.
///
/// A rational start (Abramowitz and Stegun 26.2.23), then Halley's steps on the distribution function.
pub fn normal_quantile(p: f64) -> f64 {
    if p.is_nan() || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    // the lower tail keeps its digits, so work there
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    if p == 0.0 {
        return f64::NEG_INFINITY;
    }
    let t = (-2.0 * p.ln()).sqrt();
    let fraction = (2.515_517 + t * (0.802_853 + t * 0.010_328)) / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    let mut x = fraction - t;
    for _ in 0..3 {
        let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        if density == 0.0 {
            break;
        }
        let u = (normal_cdf(x) - p) / density;
        x -= u / (1.0 + 0.5 * x * u);
    }
    x
}

/// `z` such that a share `level` of the standard normal distribution lies within `-z..z`.
pub(crate) fn two_sided(level: f64) -> f64 {
    -normal_quantile(0.5 * (1.0 - level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points() {
        // scipy.stats.norm.ppf
        for (p, z) in [
            (0.975, 1.959_963_984_540_054),
            (0.95, 1.644_853_626_951_472_2),
            (0.5, 0.0),
            (1e-10, -6.361_340_902_404_056),
            (1e-300, -37.047_096_299_361_2),
        ] {
            let found = normal_quantile(p);
            assert!((found - z).abs() <= 1e-13 * (1.0 + z.abs()), "{p}: {found} against {z}");
            assert!((normal_cdf(found) / p - 1.0).abs() < 1e-11);
        }
        assert_eq!((normal_quantile(0.0), normal_quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(normal_quantile(1.5).is_nan());
    }
}
