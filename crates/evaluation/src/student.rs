//! The 97.5 % point of Student's t distribution.

/// From a table up to 9 degrees of freedom, then by the series of five terms in 1/df (Abramowitz and Stegun 26.7.5).
pub(crate) fn t975(df: usize) -> f64 {
    match df {
        0 => f64::INFINITY,
        1..=9 => TABLE[df - 1],
        _ => {
            let (z, n) = (Z975, df as f64);
            let (z2, z3) = (z * z, z * z * z);
            let (z5, z7) = (z3 * z2, z3 * z2 * z2);
            let g1 = (z3 + z) / 4.0;
            let g2 = (5.0 * z5 + 16.0 * z3 + 3.0 * z) / 96.0;
            let g3 = (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / 384.0;
            let g4 = (79.0 * z7 * z2 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * z) / 92_160.0;
            z + g1 / n + g2 / n.powi(2) + g3 / n.powi(3) + g4 / n.powi(4)
        }
    }
}

const TABLE: [f64; 9] = [
    12.706_204_736,
    4.302_652_730,
    3.182_446_305,
    2.776_445_105,
    2.570_581_836,
    2.446_911_851,
    2.364_624_252,
    2.306_004_135,
    2.262_157_163,
];

/// 97.5 % point of the normal distribution.
pub(crate) const Z975: f64 = 1.959_963_984_540_054;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_values() {
        for (df, t) in [(1, 12.7062), (3, 3.1824), (5, 2.5706), (8, 2.3060), (10, 2.2281), (30, 2.0423), (120, 1.9799)] {
            assert!((t975(df) - t).abs() < 2e-4, "{df}: {}", t975(df));
        }
    }
}
