//! Which endpoints succeed much less often than the others.
//!
//! Source: Envoy, "Outlier detection", success rate.

/// The rule of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessRate {
    /// Fewest endpoints with enough requests for a comparison.
    pub min_endpoints: usize,
    /// Fewest requests of an endpoint in an interval.
    pub request_volume: u64,
    /// Thousandths of a standard deviation below the mean from which an endpoint is an outlier.
    pub stdev_factor: u32,
}

impl Default for SuccessRate {
    /// Envoy's defaults: 5 endpoints with 100 requests each, 1.9 standard deviations.
    fn default() -> Self {
        Self { min_endpoints: 5, request_volume: 100, stdev_factor: 1900 }
    }
}

impl SuccessRate {
    /// The share of successes below which an endpoint is an outlier, given successes and requests of each endpoint.
    pub(crate) fn threshold(&self, counts: impl Iterator<Item = (u64, u64)> + Clone) -> Option<f64> {
        let rates = counts.filter(|&(_, all)| self.is_enough(all)).map(|(good, all)| good as f64 / all as f64);
        let number = rates.clone().count();
        if number == 0 || number < self.min_endpoints {
            return None;
        }
        let mean = rates.clone().sum::<f64>() / number as f64;
        let variance = rates.map(|rate| (rate - mean) * (rate - mean)).sum::<f64>() / number as f64;
        Some(mean - variance.sqrt() * f64::from(self.stdev_factor) / 1000.0)
    }

    /// Whether an endpoint had enough requests to be compared.
    pub(crate) fn is_enough(&self, requests: u64) -> bool {
        requests > 0 && requests >= self.request_volume
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threshold() {
        let rule = SuccessRate::default();
        let same = [(100, 100); 4];
        assert_eq!(rule.threshold(same.into_iter()), None, "too few endpoints");
        assert_eq!(rule.threshold([(99, 99); 9].into_iter()), None, "too few requests");
        // Rates 1, 1, 1, 1, 0.5: mean 0.9, deviation 0.2.
        let one_bad = same.into_iter().chain([(100, 200)]);
        let threshold = rule.threshold(one_bad).unwrap();
        assert!((threshold - (0.9 - 1.9 * 0.2)).abs() < 1e-12, "{threshold}");
        let none = SuccessRate { min_endpoints: 0, request_volume: 0, stdev_factor: 0 };
        assert_eq!(none.threshold([(0, 0)].into_iter()), None, "no requests at all");
    }
}
