//! How a biomarker is distributed over a cohort, and which values lie far off.

/// Values below which nothing is called an outlier: quartiles of a few photographs say nothing.
const ENOUGH: usize = 20;
/// Robust standard deviations from the median beyond which a value is an outlier. Of normally
/// distributed values 6 in 10 million lie that far off.
pub(super) const FAR: f64 = 5.0;
/// Quartiles of a normal distribution lie this many standard deviations from its median.
const QUARTILE: f64 = 0.674_489_750_196_081_7;

/// The distribution of a column's finite values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Distribution {
    /// Number of values.
    pub(super) count: usize,
    /// 101 percentiles, from the least value to the largest; empty without values.
    pub(super) percentiles: Vec<f32>,
    /// Robust standard deviations below and above the median, where there are enough values. The two
    /// sides differ because most biomarkers are skewed.
    pub(super) spread: Option<[f64; 2]>,
}

impl Distribution {
    pub(super) fn of(values: &[f32]) -> Self {
        let mut sorted: Vec<f32> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let quantile = |share: f64| {
            let position = share * (sorted.len() - 1) as f64;
            let (below, part) = (position.floor() as usize, position.fract());
            let (low, high) = (sorted[below], sorted[(below + 1).min(sorted.len() - 1)]);
            f64::from(low) + (f64::from(high) - f64::from(low)) * part
        };
        let percents = (0..=100).filter(|_| !sorted.is_empty());
        let percentiles = percents.map(|p| quantile(f64::from(p) / 100.0) as f32);
        let percentiles = percentiles.collect();
        let spread = (sorted.len() >= ENOUGH).then(|| {
            let median = quantile(0.5);
            [median - quantile(0.25), quantile(0.75) - median].map(|quarter| quarter / QUARTILE)
        });
        Self {
            count: sorted.len(),
            percentiles,
            spread,
        }
    }

    /// Robust standard deviations of a value from the median, negative below it; 0 where none can be told.
    pub(super) fn deviation(&self, value: f32) -> f64 {
        let Some([below, above]) = self.spread else {
            return 0.0;
        };
        let distance = f64::from(value) - f64::from(self.percentiles[50]);
        let spread = if distance < 0.0 { below } else { above };
        // Where half of a side's values are equal, no distance from them can be judged.
        if spread > 0.0 && distance.is_finite() {
            distance / spread
        } else {
            0.0
        }
    }

    /// Whether a value lies far off.
    pub(super) fn is_outlier(&self, value: f32) -> bool {
        self.deviation(value).abs() > FAR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([3, 1, 2, 10], [0, 25, 50, 75, 100]) = 1, 1.75, 2.5, 4.75, 10
        let distribution = Distribution::of(&[3.0, f32::NAN, 1.0, 2.0, 10.0, f32::INFINITY]);
        assert_eq!(distribution.count, 4);
        let at = |p: usize| distribution.percentiles[p];
        assert_eq!(
            [at(0), at(25), at(50), at(75), at(100)],
            [1.0, 1.75, 2.5, 4.75, 10.0]
        );
    }

    #[test]
    fn a_normal_distribution_has_its_standard_deviation() {
        // Quantiles of the standard normal distribution (scipy.stats.norm.ppf) at 1/20, 3/20, ….
        let half = [1.645, 1.036, 0.6745, 0.3853, 0.1257];
        let values: Vec<f32> = half.iter().flat_map(|&v| [v, -v, v, -v]).collect();
        let distribution = Distribution::of(&values);
        let [below, above] = distribution.spread.unwrap();
        assert!(
            (below - 1.0).abs() < 0.1 && (above - 1.0).abs() < 0.1,
            "{below} {above}"
        );
        assert!(distribution.is_outlier(5.6) && distribution.is_outlier(-5.6));
        assert!(!distribution.is_outlier(4.4));
    }

    #[test]
    fn skewed_sides_are_judged_apart() {
        let values: Vec<f32> = (0..100u16)
            .map(|i| {
                if i < 50 {
                    f32::from(i) / 50.0
                } else {
                    f32::from(i) - 49.0
                }
            })
            .collect();
        let distribution = Distribution::of(&values);
        assert!(distribution.is_outlier(-4.0));
        assert!(!distribution.is_outlier(50.0));
    }

    #[test]
    fn a_few_or_equal_values_have_no_outliers() {
        let few: Vec<f32> = (0..19u8).map(f32::from).collect();
        assert!(!Distribution::of(&few).is_outlier(1e9));
        assert!(!Distribution::of(&[7.0; 100]).is_outlier(1e9));
        let empty = Distribution::of(&[f32::NAN]);
        assert!(empty.percentiles.is_empty() && !empty.is_outlier(1.0));
    }
}
