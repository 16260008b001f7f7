//! A line through points of which some are wrong (Theil and Sen, with the spatial median).

/// How far the search for the median may still move at its end, squared.
const TOLERANCE: f64 = 1e-6;
const MOST_STEPS: usize = 300;
/// Most values whose pairs are all looked at; of longer series every so many are taken.
const MOST_VALUES: usize = 400;

/// Residuals of values about a robust line through (0, `values[0]`), (1, `values[1]`), …
pub(crate) fn residuals(values: &[f64]) -> Vec<f64> {
    let (intercept, slope) = line(values);
    values
        .iter()
        .enumerate()
        .map(|(index, value)| (value - (intercept + slope * index as f64)).abs())
        .collect()
}

/// Intercept and slope: the spatial median of those of all pairs of values, found by Weiszfeld's
/// steps with the correction of Vardi and Zhang.
fn line(values: &[f64]) -> (f64, f64) {
    let stride = values.len().div_ceil(MOST_VALUES).max(1);
    let mut intercepts = Vec::new();
    let mut slopes = Vec::new();
    for i in (0..values.len()).step_by(stride) {
        for j in (i + stride..values.len()).step_by(stride) {
            let slope = (values[j] - values[i]) / (j - i) as f64;
            slopes.push(slope);
            intercepts.push(values[i] - slope * i as f64);
        }
    }
    let count = slopes.len() as f64;
    let mut now = (
        intercepts.iter().sum::<f64>() / count,
        slopes.iter().sum::<f64>() / count,
    );
    for _ in 0..MOST_STEPS {
        let next = step(&intercepts, &slopes, now);
        let moved = (next.0 - now.0).powi(2) + (next.1 - now.1).powi(2);
        now = next;
        if moved < TOLERANCE {
            break;
        }
    }
    now
}

/// Sums that are kept apart, for the processor to add several at once.
const LANES: usize = 8;

fn step(xs: &[f64], ys: &[f64], (x, y): (f64, f64)) -> (f64, f64) {
    // Of all points: 1 / distance, position / distance, unit vector towards the point.
    let mut sums = [[0.0; LANES]; 5];
    let mut apart = 0;
    let mut add = |lane: usize, px: f64, py: f64| {
        let (dx, dy) = (px - x, py - y);
        let distance = (dx * dx + dy * dy).sqrt();
        let far = distance >= f64::EPSILON;
        let weight = if far { 1.0 / distance } else { 0.0 };
        apart += usize::from(far);
        for (sum, value) in sums.iter_mut().zip([1.0, px, py, dx, dy]) {
            sum[lane] += weight * value;
        }
    };
    let (blocks, rest) = xs.as_chunks::<LANES>();
    let (y_blocks, y_rest) = ys.as_chunks::<LANES>();
    for (px, py) in blocks.iter().zip(y_blocks) {
        for lane in 0..LANES {
            add(lane, px[lane], py[lane]);
        }
    }
    for (lane, (px, py)) in rest.iter().zip(y_rest).enumerate() {
        add(lane, *px, *py);
    }
    let [weights, px, py, ux, uy] = sums.map(|sum| sum.iter().sum::<f64>());
    let pull = ux.hypot(uy);
    if pull <= f64::EPSILON {
        // In the middle of all others: the median itself.
        return (x, y);
    }
    let held = if apart < xs.len() { 1.0 / pull } else { 0.0 };
    let (free, held) = ((1.0 - held).max(0.0), held.min(1.0));
    (
        free * px / weights + held * x,
        free * py / weights + held * y,
    )
}
