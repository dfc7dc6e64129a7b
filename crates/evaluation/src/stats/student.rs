//! Student's t distribution.
use super::normal::normal_quantile;

/// Share of Student's distribution with `df` degrees of freedom below `t`.
pub fn student_cdf(t: f64, df: f64) -> f64 {
    let tail = 0.5 * incomplete_beta(df / (df + t * t), t * t / (df + t * t), 0.5 * df, 0.5);
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The point below which a share `p` of Student's distribution with `df` degrees of freedom lies.
///
/// Newton's steps on the distribution function, kept inside a bracket; infinite for 0 and 1, NaN outside and for `df <= 0`.
pub fn student_quantile(p: f64, df: f64) -> f64 {
    if !(p.is_finite() && df > 0.0 && (0.0..=1.0).contains(&p)) {
        return f64::NAN;
    }
    if p > 0.5 {
        return -student_quantile(1.0 - p, df);
    }
    if p == 0.0 || p == 0.5 {
        return if p == 0.0 { f64::NEG_INFINITY } else { 0.0 };
    }
    let (mut low, mut high) = (-1.0, 0.0);
    while student_cdf(low, df) > p {
        high = low;
        low *= 2.0;
    }
    let mut t = normal_quantile(p).clamp(low, high);
    for _ in 0..200 {
        let error = student_cdf(t, df) - p;
        *(if error > 0.0 { &mut high } else { &mut low }) = t;
        let newton = t - error / density(t, df);
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - t).abs() <= 1e-15 * t.abs() {
            return next;
        }
        t = next;
    }
    t
}

/// `t` such that a share `level` of the distribution lies within `-t..t`.
pub(crate) fn two_sided(level: f64, df: usize) -> f64 {
    -student_quantile(0.5 * (1.0 - level), df as f64)
}

fn density(t: f64, df: f64) -> f64 {
    let log_scale = -log_beta_half(0.5 * df) - 0.5 * df.ln();
    (log_scale - 0.5 * (df + 1.0) * (t * t / df).ln_1p()).exp()
}

/// `ln B(a, ½) = ½ ln π − ln(Γ(a + ½)/Γ(a))`; by a series for large `a`, where the two gammas cancel.
fn log_beta_half(a: f64) -> f64 {
    let ratio = if a < 20.0 {
        libm::lgamma(a + 0.5) - libm::lgamma(a)
    } else {
        let i = 1.0 / (a * a);
        0.5 * a.ln() - (1.0 / 8.0 - i * (1.0 / 192.0 - i * (1.0 / 640.0 - i * 17.0 / 14_336.0))) / a
    };
    0.5 * std::f64::consts::PI.ln() - ratio
}

/// Regularised incomplete beta function `I_x(a, b)` where one of `a`, `b` is ½, with `y = 1 − x` given by itself so that it keeps its
/// digits; the continued fraction converges fast where `x` lies below the mean, so the other side uses `1 − I_y(b, a)`.
fn incomplete_beta(x: f64, y: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || y <= 0.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(y, x, b, a);
    }
    let log_front = a * log_of(x, y) + b * log_of(y, x) - log_beta_half(if b == 0.5 { a } else { b });
    log_front.exp() / (a * beta_fraction(x, a, b))
}

/// `ln x`, where `y = 1 − x`.
fn log_of(x: f64, y: f64) -> f64 {
    if y < 0.5 { (-y).ln_1p() } else { x.ln() }
}

/// `1 + d_1 x / (1 + d_2 x / (1 + …))` by Lentz's method.
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let (mut value, mut c, mut d) = (1.0f64, 1.0f64, 0.0f64);
    for i in 1..10_000 {
        let m = f64::from(i / 2);
        let numerator = if i % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 + numerator * d;
        d = 1.0 / if d.abs() < TINY { TINY } else { d };
        c = 1.0 + numerator / c;
        c = if c.abs() < TINY { TINY } else { c };
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}
