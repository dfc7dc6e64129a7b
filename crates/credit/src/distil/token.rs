//! The divergence of a student from its teacher at one token, chunk by chunk of the vocabulary.

use tropism_core::VocabularyFigure;

use super::log_sum_exp::LogSumExp;
use super::teacher::{Distance, Distillation};

/// What is known of a token's distributions.
#[derive(Clone, Debug)]
pub struct DistilToken {
    /// Of the student (at the temperature), of the favoured and of the other model.
    sums: [LogSumExp; 3],
    /// Of the student, without the temperature.
    plain: LogSumExp,
    /// Of the teacher, at the temperature.
    teacher: LogSumExp,
    total_variation: f64,
    strength: f64,
    /// Sum that a distance other than the reverse KL is made of.
    distance: f64,
    /// `Σ p (log p − t)`, with the teacher's logits `t` before they are normalised.
    reverse: f64,
    /// KL of the student to the favoured and to the other model.
    kl: [f64; 2],
    /// `Σ p sign(p − q)`, for the gradient of the total variation.
    lean: f64,
    /// `Σ p (log π_a − log π_b)`.
    contrast: f64,
}

impl DistilToken {
    /// Total variation of the two models that the teacher is made of, from 0 to 1; 0 under a constant strength, which does
    /// not need it.
    pub fn total_variation(&self) -> f64 {
        self.total_variation
    }

    /// Strength `s_t` of the reward in the teacher.
    pub fn strength(&self) -> f64 {
        self.strength
    }

    /// `KL(p ‖ q)` of student and teacher, at the temperature, in nats; whatever the loss's distance is.
    pub fn kl_to_teacher(&self) -> f64 {
        self.reverse + self.teacher.value()
    }

    /// `KL(π ‖ π_a)` and `KL(π ‖ π_b)` of the student to the favoured and to the other model, in nats, all without the
    /// temperature.
    pub fn kl_to_models(&self) -> [f64; 2] {
        self.kl
    }

    /// `E_p[log π_a − log π_b]`: what the student is expected to earn, in nats; times `β₀` it is the expected reward.
    pub fn contrast(&self) -> f64 {
        self.contrast
    }

    /// Log-probability under model `k`.
    fn logp(&self, k: usize, logit: f64) -> f64 {
        logit - self.sums[k].value()
    }
}

impl Distillation {
    /// The distance of student and teacher at a token, without its weight, in nats or as total variation.
    pub fn distance(&self, token: &DistilToken) -> f64 {
        match self.distance {
            Distance::ReverseKl => token.kl_to_teacher(),
            Distance::ForwardKl => token.distance / token.teacher.sum - token.teacher.value(),
            Distance::TotalVariation => 0.5 * token.distance,
        }
    }

    /// Weight `β_t = β₀ / s_t` of a token.
    pub fn weight(&self, token: &DistilToken) -> f64 {
        self.beta / token.strength
    }

    /// Log-probabilities `log q` of the teacher, at the temperature, for the entries of a chunk of logits, once a token has been
    /// read in all passes.
    ///
    /// ```
    /// use tropism_core::VocabularyFigure;
    /// use tropism_credit::{AlignDistil, Strength};
    ///
    /// // Twice the distance from (½, ½) to (¾, ¼) in logits.
    /// let figure = AlignDistil::default().with_strength(Strength::Constant(1.0)).distillation()?;
    /// let logits: [&[f64]; 3] = [&[0.0, 0.0], &[3.0_f64.ln(), 0.0], &[0.0, 0.0]];
    /// let mut token = figure.start();
    /// (0..figure.passes()).for_each(|pass| figure.read(pass, &mut token, &logits));
    /// assert!((figure.teacher_logps(&token, &logits)[0] - 0.9_f64.ln()).abs() < 1e-12);
    /// # Ok::<(), tropism_credit::CreditError>(())
    /// ```
    pub fn teacher_logps(&self, token: &DistilToken, logits: &[&[f64]]) -> Vec<f64> {
        let (mixed, teacher) = (self.mixed(token), token.teacher.value());
        (0..logits[0].len()).map(|v| mixed(logits, v).1 - teacher).collect()
    }

    /// Logits of student and teacher over the temperature; the teacher's up to a shift that all entries share.
    fn mixed(&self, token: &DistilToken) -> impl Fn(&[&[f64]], usize) -> (f64, f64) + use<> {
        let [a, b] = self.teacher.weights(token.strength);
        let (shift, tau) = ([token.sums[1].value(), token.sums[2].value()], self.temperature);
        move |logits, v| {
            let teacher = a * (logits[1][v] - shift[0]) + b * (logits[2][v] - shift[1]);
            (logits[0][v] / tau, teacher / tau)
        }
    }

    /// Adds a chunk to the teacher's log-sum-exp and to the sums that can be taken on the way.
    fn mix(&self, token: &mut DistilToken, logits: &[&[f64]]) {
        let (mixed, student) = (self.mixed(token), token.sums[0].value());
        let (plain, warm) = (token.plain.value(), self.temperature != 1.0);
        let shift = [token.sums[1].value(), token.sums[2].value()];
        let forward = self.distance == Distance::ForwardKl;
        let top = (0..logits[0].len()).map(|v| mixed(logits, v).1).fold(token.teacher.max, f64::max);
        let factor = token.teacher.raise(top);
        if forward {
            token.distance *= factor;
        }
        for v in 0..logits[0].len() {
            let (x, t) = mixed(logits, v);
            let (log_p, e) = (x - student, (t - top).exp());
            let p = log_p.exp();
            token.teacher.sum += e;
            // The limit of p log p and q log q where these are 0.
            if p > 0.0 {
                token.reverse += p * (log_p - t);
            }
            if forward && e > 0.0 {
                token.distance += e * (t - log_p);
            }
            let (a, b) = (logits[1][v] - shift[0], logits[2][v] - shift[1]);
            token.contrast += p * (a - b);
            let own = if warm { logits[0][v] - plain } else { log_p };
            let weight = if warm { own.exp() } else { p };
            if weight > 0.0 {
                token.kl[0] += weight * (own - a);
                token.kl[1] += weight * (own - b);
            }
        }
    }

    /// Adds a chunk to `Σ |p − q|` and `Σ p sign(p − q)`.
    fn compare(&self, token: &mut DistilToken, logits: &[&[f64]]) {
        let (mixed, student, teacher) = (self.mixed(token), token.sums[0].value(), token.teacher.value());
        for v in 0..logits[0].len() {
            let (x, t) = mixed(logits, v);
            let (p, q) = ((x - student).exp(), (t - teacher).exp());
            token.distance += (p - q).abs();
            token.lean += p * sign(p - q);
        }
    }
}

/// -1, 0 or 1.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

/// Model 0 is the student, model 1 the favoured one (`π_a`), model 2 the other (`π_b`).
impl VocabularyFigure for Distillation {
    type Token = DistilToken;

    fn models(&self) -> usize {
        3
    }

    fn passes(&self) -> usize {
        2 + usize::from(self.adaptive()) + usize::from(self.distance == Distance::TotalVariation)
    }

    fn start(&self) -> DistilToken {
        let empty = LogSumExp::EMPTY;
        let strength = self.strength_at(0.0);
        DistilToken {
            sums: [empty; 3],
            plain: empty,
            teacher: empty,
            total_variation: 0.0,
            strength,
            distance: 0.0,
            reverse: 0.0,
            kl: [0.0; 2],
            lean: 0.0,
            contrast: 0.0,
        }
    }

    fn read(&self, pass: usize, token: &mut DistilToken, logits: &[&[f64]]) {
        match pass + usize::from(pass > 0 && !self.adaptive()) {
            0 => {
                let tau = self.temperature;
                token.sums[0].extend(logits[0], |_, z| z / tau);
                if tau != 1.0 {
                    token.plain.extend(logits[0], |_, z| z);
                }
                (1..3).for_each(|k| token.sums[k].extend(logits[k], |_, z| z));
            }
            1 => {
                let gap = |(&a, &b): (&f64, &f64)| (token.logp(1, a).exp() - token.logp(2, b).exp()).abs();
                token.total_variation += 0.5 * logits[1].iter().zip(logits[2]).map(gap).sum::<f64>();
                token.strength = self.strength_at(token.total_variation);
            }
            2 => self.mix(token, logits),
            _ => self.compare(token, logits),
        }
    }

    /// `β_t` times the distance.
    fn value(&self, token: &DistilToken) -> f64 {
        self.weight(token) * self.distance(token)
    }

    fn slopes(&self, token: &DistilToken, logits: &[&[f64]], slopes: &mut [f64]) {
        let (mixed, student, teacher) = (self.mixed(token), token.sums[0].value(), token.teacher.value());
        let (scale, distance) = (self.weight(token) / self.temperature, self.distance(token));
        for (v, slope) in slopes.iter_mut().enumerate() {
            let (x, t) = mixed(logits, v);
            let (log_p, log_q) = (x - student, t - teacher);
            let p = log_p.exp();
            let pull = match self.distance {
                Distance::ReverseKl if p > 0.0 => p * (log_p - log_q - distance),
                Distance::ReverseKl => 0.0,
                Distance::ForwardKl => p - log_q.exp(),
                Distance::TotalVariation => 0.5 * p * (sign(p - log_q.exp()) - token.lean),
            };
            *slope = scale * pull;
        }
    }
}
