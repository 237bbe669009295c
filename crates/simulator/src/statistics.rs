//! Means with their standard errors, chi-square, and roots of noisy but monotone functions.

use statrs::function::gamma::gamma_ur;

/// Mean and standard error of independent draws.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Sample {
    /// Adds a draw (Welford).
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        let before = value - self.mean;
        self.mean += before / self.count;
        self.squares += before * (value - self.mean);
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard deviation of a draw.
    pub fn deviation(&self) -> f64 {
        if self.count < 2.0 { f64::NAN } else { (self.squares / (self.count - 1.0)).sqrt() }
    }

    /// The standard error of the mean.
    pub fn error(&self) -> f64 {
        self.deviation() / self.count.sqrt()
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sample = Self::default();
        values.into_iter().for_each(|value| sample.add(value));
        sample
    }
}

/// The odds of counts at least so far from what was expected (Pearson's chi-square).
pub fn chi_square_p(counts: &[f64], expected: &[f64]) -> f64 {
    let statistic: f64 = counts.iter().zip(expected).map(|(n, e)| (n - e).powi(2) / e).sum();
    let freedom = counts.len().saturating_sub(1) as f64;
    if statistic <= 0.0 { 1.0 } else { gamma_ur(freedom / 2.0, statistic / 2.0) }
}

/// Where an increasing function crosses zero between `low` and `high`.
pub fn crossing(mut low: f64, mut high: f64, mut function: impl FnMut(f64) -> f64) -> f64 {
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if function(middle) < 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The greatest value of a function with one maximum, by golden section.
pub fn maximum(mut low: f64, mut high: f64, function: impl Fn(f64) -> f64) -> f64 {
    let ratio = (5f64.sqrt() - 1.0) / 2.0;
    for _ in 0..120 {
        let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
        if function(left) < function(right) { low = left } else { high = right }
    }
    function(f64::midpoint(low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_know_their_error() {
        let sample: Sample = [1.0, 2.0, 3.0, 4.0].into_iter().collect();
        assert!((sample.mean() - 2.5).abs() < 1e-12);
        assert!((sample.deviation() - 1.290_994).abs() < 1e-6);
        assert!((sample.error() - 0.645_497).abs() < 1e-6);
    }

    #[test]
    fn chi_square_is_the_textbooks() {
        // 5.991 is the 5 % point with two degrees of freedom.
        let p = chi_square_p(&[10.0, 10.0, 10.0 + 59.91f64.sqrt()], &[10.0, 10.0, 10.0]);
        assert!((p - 0.05).abs() < 1e-4, "{p}");
    }

    #[test]
    fn crossings_and_maxima_are_found() {
        assert!((crossing(0.0, 2.0, |x| x * x - 2.0) - 2f64.sqrt()).abs() < 1e-9);
        assert!((maximum(0.0, 5.0, |x| 1.0 - (x - 3.0).powi(2)) - 1.0).abs() < 1e-9);
    }
}
