//! A vessel's profile as two blurred edges on a slope, fitted by least squares within bounds.

use libm::erf;

use crate::statistics::median;

/// Darkening that a profile needs, in grey levels.
const CONTRAST: f64 = 4.0;
/// How far the width may differ from the diameter, as a share of it.
const WIDTH_SHARE: f64 = 0.05;
const PARAMETERS: usize = 6;

/// A vessel across a profile: brightness b + g·(x − middle) − A/2·(erf((x − l)/(σ√2)) −
/// erf((x − r)/(σ√2))), with the edges l and r at μ ∓ W/2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeModel {
    /// b: brightness beside the vessel, at the profile's middle.
    pub background: f64,
    /// g: slope of the brightness.
    pub slope: f64,
    /// A: how much darker the vessel is.
    pub depth: f64,
    /// μ: its middle.
    pub center: f64,
    /// W: its width.
    pub width: f64,
    /// σ: how blurred its edges are.
    pub blur: f64,
}

type Vector = [f64; PARAMETERS];

struct Problem<'a> {
    profile: &'a [f64],
    noise: f64,
    diameter: f64,
    slope: f64,
    slope_scale: f64,
    lower: Vector,
    upper: Vector,
}

/// The model of a profile across a vessel of `diameter`; none where the contrast is low or the
/// edges do not lie inside the profile.
pub(crate) fn fit(profile: &[f64], diameter: f64) -> Option<EdgeModel> {
    let count = profile.len();
    let middle = (count - 1) as f64 / 2.0;
    let quarter = count / 4;
    let (left, right) = (&profile[..quarter], &profile[count - quarter..]);
    let (at_left, at_right) = (
        (quarter - 1) as f64 / 2.0,
        (count - 1) as f64 - (quarter - 1) as f64 / 2.0,
    );
    let slope = (median(right) - median(left)) / (at_right - at_left);
    let background = median(left) - slope * (at_left - middle);
    let detrended: Vec<f64> = profile
        .iter()
        .enumerate()
        .map(|(x, value)| value - (background + slope * (x as f64 - middle)))
        .collect();
    let depth = detrended
        .iter()
        .fold(f64::NEG_INFINITY, |most, value| most.max(-value));
    if depth < CONTRAST {
        return None;
    }
    let outer: Vec<usize> = (0..quarter).chain(count - quarter..count).collect();
    let beside: Vec<f64> = outer.iter().map(|&x| detrended[x]).collect();
    let level = median(&beside);
    let spread = median(
        &beside
            .iter()
            .map(|value| (value - level).abs())
            .collect::<Vec<_>>(),
    );
    let noise = (1.4826 * spread).max(0.01 * depth);
    let moment: f64 = outer.iter().map(|&x| (x as f64 - middle).powi(2)).sum();
    let slope_scale = (5.0 * noise / moment.sqrt()).max(0.1 * slope.abs());
    let n = count as f64;
    let problem = Problem {
        profile,
        noise,
        diameter,
        slope,
        slope_scale,
        lower: [f64::NEG_INFINITY, f64::NEG_INFINITY, 2.0, 0.0, 0.5, 0.25],
        upper: [
            f64::INFINITY,
            f64::INFINITY,
            f64::INFINITY,
            n - 1.0,
            n,
            n / 2.0,
        ],
    };
    let start = [
        background,
        slope,
        depth,
        between_edges(&detrended),
        diameter,
        (diameter / 6.0).max(0.8),
    ];
    let [background, slope, depth, center, width, blur] = problem.solve(start);
    let model = EdgeModel {
        background,
        slope,
        depth,
        center,
        width,
        blur,
    };
    let (first, last) = (center - width / 2.0 - blur, center + width / 2.0 + blur);
    let fits = blur <= 2.0 * diameter && width <= 3.0 * diameter && first >= 0.0 && last <= n - 1.0;
    fits.then_some(model)
}

/// The middle between the two steepest places that lie apart, else the darkest place.
fn between_edges(profile: &[f64]) -> f64 {
    let count = profile.len();
    let steepness: Vec<f64> = (0..count)
        .map(|x| {
            let (before, after) = (x.saturating_sub(1), (x + 1).min(count - 1));
            ((profile[after] - profile[before]) / (after - before) as f64).abs()
        })
        .collect();
    let apart = (count / 5).max(2);
    let mut peaks = local_maxima(&steepness);
    // The highest first; of equals the later.
    peaks.sort_by(|&a, &b| steepness[b].total_cmp(&steepness[a]).then(b.cmp(&a)));
    let mut kept: Vec<usize> = Vec::new();
    for peak in peaks {
        if kept.iter().all(|other| other.abs_diff(peak) >= apart) {
            kept.push(peak);
        }
    }
    if let [first, second, ..] = kept[..] {
        return (first + second) as f64 / 2.0;
    }
    let darkest = (0..count).min_by(|&a, &b| profile[a].total_cmp(&profile[b]));
    darkest.unwrap_or_default() as f64
}

/// Places higher than what lies beside them; of flat tops the middle.
fn local_maxima(values: &[f64]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut x = 1;
    while x + 1 < values.len() {
        if values[x - 1] < values[x] {
            let flat = values[x..]
                .iter()
                .take_while(|value| **value == values[x])
                .count();
            let after = x + flat;
            if after < values.len() && values[after] < values[x] {
                found.push(usize::midpoint(x, after - 1));
            }
            x = after;
        } else {
            x += 1;
        }
    }
    found
}

impl Problem<'_> {
    /// Residuals and their derivatives by each parameter, one after the other.
    fn residuals(
        &self,
        [b, g, depth, center, width, blur]: Vector,
        mut each: impl FnMut(f64, Vector),
    ) {
        let middle = (self.profile.len() - 1) as f64 / 2.0;
        let scale = blur * std::f64::consts::SQRT_2;
        let slope_of_erf = |z: f64| std::f64::consts::FRAC_2_SQRT_PI * (-z * z).exp();
        for (x, value) in self.profile.iter().enumerate() {
            let x = x as f64;
            let (l, r) = (
                (x - center + width / 2.0) / scale,
                (x - center - width / 2.0) / scale,
            );
            let shape = erf(l) - erf(r);
            let (dl, dr) = (slope_of_erf(l), slope_of_erf(r));
            let model = b + g * (x - middle) - depth / 2.0 * shape;
            let half = depth / 2.0;
            each(
                (model - value) / self.noise,
                [
                    1.0,
                    x - middle,
                    -shape / 2.0,
                    half * (dl - dr) / scale,
                    -half * (dl + dr) / (2.0 * scale),
                    half * (l * dl - r * dr) / blur,
                ]
                .map(|value| value / self.noise),
            );
        }
        let by_width = 1.0 / (WIDTH_SHARE * self.diameter);
        each(
            (width - self.diameter) * by_width,
            [0.0, 0.0, 0.0, 0.0, by_width, 0.0],
        );
        let by_slope = 1.0 / self.slope_scale;
        each(
            (g - self.slope) * by_slope,
            [0.0, by_slope, 0.0, 0.0, 0.0, 0.0],
        );
    }

    fn cost(&self, at: Vector) -> f64 {
        let mut cost = 0.0;
        self.residuals(at, |residual, _| cost += residual * residual);
        cost
    }

    /// Levenberg's and Marquardt's steps, cut off at the bounds.
    fn solve(&self, start: Vector) -> Vector {
        const MOST_STEPS: usize = 400;
        let inside =
            |at: Vector| std::array::from_fn(|i| at[i].clamp(self.lower[i], self.upper[i]));
        let mut at: Vector = inside(start);
        let mut cost = self.cost(at);
        let mut damping = 1e-3;
        for _ in 0..MOST_STEPS {
            let (mut normal, mut gradient) = ([[0.0; PARAMETERS]; PARAMETERS], [0.0; PARAMETERS]);
            self.residuals(at, |residual, row| {
                for i in 0..PARAMETERS {
                    gradient[i] += row[i] * residual;
                    for j in 0..PARAMETERS {
                        normal[i][j] += row[i] * row[j];
                    }
                }
            });
            // Parameters that a bound holds.
            for i in 0..PARAMETERS {
                let held = at[i] <= self.lower[i] && gradient[i] > 0.0
                    || at[i] >= self.upper[i] && gradient[i] < 0.0;
                if held {
                    gradient[i] = 0.0;
                    normal[i] = [0.0; PARAMETERS];
                    for row in &mut normal {
                        row[i] = 0.0;
                    }
                    normal[i][i] = 1.0;
                }
            }
            let mut improved = false;
            while damping < 1e12 {
                let mut damped = normal;
                for (i, row) in damped.iter_mut().enumerate() {
                    row[i] += damping * row[i].max(1e-12);
                }
                let step = solve(damped, gradient);
                let next: Vector = inside(std::array::from_fn(|i| at[i] - step[i]));
                let next_cost = self.cost(next);
                if next_cost < cost {
                    let gain = (cost - next_cost) / cost.max(f64::MIN_POSITIVE);
                    improved = gain > 1e-14;
                    (at, cost) = (next, next_cost);
                    damping = (damping / 10.0).max(1e-12);
                    break;
                }
                damping *= 10.0;
            }
            if !improved {
                break;
            }
        }
        at
    }
}

/// Solution of a symmetric positive definite system (Cholesky).
fn solve(mut matrix: [[f64; PARAMETERS]; PARAMETERS], mut right: Vector) -> Vector {
    for i in 0..PARAMETERS {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| matrix[i][k] * matrix[j][k]).sum();
            let rest = matrix[i][j] - known;
            matrix[i][j] = if i == j {
                rest.max(1e-300).sqrt()
            } else {
                rest / matrix[j][j]
            };
        }
        let known: f64 = (0..i).map(|k| matrix[i][k] * right[k]).sum();
        right[i] = (right[i] - known) / matrix[i][i];
    }
    for i in (0..PARAMETERS).rev() {
        let known: f64 = (i + 1..PARAMETERS).map(|k| matrix[k][i] * right[k]).sum();
        right[i] = (right[i] - known) / matrix[i][i];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_vessel_is_found_again() {
        let (scale, count) = (1.3 * std::f64::consts::SQRT_2, 41);
        let profile: Vec<f64> = (0..count)
            .map(|x| {
                let x = f64::from(x);
                let shape = erf((x - 16.0) / scale) - erf((x - 23.0) / scale);
                90.0 + 0.2 * (x - 20.0) - 15.0 * shape
            })
            .collect();
        let model = fit(&profile, 7.0).unwrap();
        assert!((model.blur - 1.3).abs() < 1e-3, "{model:?}");
        assert!((model.center - 19.5).abs() < 1e-3 && (model.depth - 30.0).abs() < 1e-2);
        assert_eq!(fit(&[50.0; 41], 7.0), None);
    }
}
