//! A vessel's profile as two blurred edges on a slope, fitted by least squares within limits.

use libm::erf;

use crate::bounded_least_squares::{Limits, minimum};
use crate::statistics::median;

/// Darkening that a profile needs, in grey levels.
const CONTRAST: f64 = 4.0;
/// How far the width may differ from the diameter, as a share of it.
const WIDTH_SHARE: f64 = 0.05;

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

/// A spread that is one standard deviation of normal noise, in median absolute deviations.
const DEVIATION: f64 = 1.482_602_218_505_602;

/// The brightness beside a vessel: a line through the medians of both outer quarters of a profile.
struct Beside {
    middle: f64,
    /// At the middle.
    level: f64,
    slope: f64,
    /// Standard deviation about the line, at least 1 % of the vessel's depth.
    noise: f64,
    /// How far from the slope another one may be.
    slope_scale: f64,
    /// Of the profile below the line, at most.
    depth: f64,
}

impl Beside {
    fn of(profile: &[f64]) -> Self {
        let count = profile.len();
        let middle = (count - 1) as f64 / 2.0;
        let quarter = (count / 4).max(2);
        let [left, right] = [&profile[..quarter], &profile[count - quarter..]].map(median);
        let at_left = (quarter - 1) as f64 / 2.0;
        let at_right = (count - 1) as f64 - at_left;
        let slope = (right - left) / (at_right - at_left);
        let level = left + slope * (middle - at_left);
        let line = |x: usize| level + slope * (x as f64 - middle);
        let depth = (0..count).fold(f64::NEG_INFINITY, |most, x| most.max(line(x) - profile[x]));
        let outer = || (0..quarter).chain(count - quarter..count);
        let rest: Vec<f64> = outer().map(|x| profile[x] - line(x)).collect();
        let shift = median(&rest);
        let spread: Vec<f64> = rest.iter().map(|value| (value - shift).abs()).collect();
        let noise = (DEVIATION * median(&spread))
            .max(0.01 * depth)
            .max(f64::EPSILON);
        let moment: f64 = outer().map(|x| (x as f64 - middle).powi(2)).sum();
        let slope_scale = (5.0 * (noise / moment.sqrt()))
            .max(0.1 * slope.abs())
            .max(f64::EPSILON);
        Self {
            middle,
            level,
            slope,
            noise,
            slope_scale,
            depth,
        }
    }
}

/// The model of a profile across a vessel of `diameter`; none where the contrast is low or the
/// edges do not lie inside the profile.
pub(crate) fn fit(profile: &[f64], diameter: f64) -> Option<EdgeModel> {
    let beside = Beside::of(profile);
    if beside.depth < CONTRAST {
        return None;
    }
    let count = profile.len();
    let even: Vec<f64> = (0..count)
        .map(|x| profile[x] - beside.slope * (x as f64 - beside.middle))
        .collect();
    let n = count as f64;
    let any = f64::INFINITY;
    let limits = Limits {
        lower: [-any, -any, CONTRAST / 2.0, 0.0, 0.5, 0.25],
        upper: [any, any, any, n - 1.0, n, n / 2.0],
    };
    let width = diameter.clamp(0.5, n);
    let start = [
        beside.level,
        beside.slope,
        beside.depth,
        between_edges(&even),
        width,
        (width / 6.0).max(0.8),
    ];
    // What costs most, kept while only the other parameters change.
    let (mut shape, mut edges) = (Vec::with_capacity(count), [f64::NAN; 3]);
    let residuals = |&[b, g, depth, center, width, blur]: &[f64; 6], residuals: &mut Vec<f64>| {
        if edges != [center, width, blur] {
            edges = [center, width, blur];
            let scale = blur * std::f64::consts::SQRT_2 + 1e-12;
            let (l, r) = (center - 0.5 * width, center + 0.5 * width);
            shape.clear();
            shape.extend((0..count).map(|x| {
                let x = x as f64;
                erf((x - l) / scale) - erf((x - r) / scale)
            }));
        }
        residuals.clear();
        let pairs = profile.iter().zip(&shape).enumerate();
        residuals.extend(pairs.map(|(x, (value, shape))| {
            let model = b - 0.5 * depth * shape + g * (x as f64 - beside.middle);
            (value - model) / beside.noise
        }));
        residuals.push((width - diameter) / (WIDTH_SHARE * diameter));
        residuals.push((g - beside.slope) / beside.slope_scale);
    };
    let [background, slope, depth, center, width, blur] = minimum(residuals, &start, &limits)?;
    let (first, last) = (center - width / 2.0 - blur, center + width / 2.0 + blur);
    let fits = blur <= 2.0 * diameter && width <= 3.0 * diameter && first >= 0.0 && last <= n - 1.0;
    fits.then_some(EdgeModel {
        background,
        slope,
        depth,
        center,
        width,
        blur,
    })
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
