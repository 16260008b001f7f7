//! Least squares within bounds: the trust region reflective method of Branch, Coleman and Li (SIAM
//! J. Sci. Comput. 21, 1999), with Moré's search for the damping of a step (1977) and derivatives by
//! differences.
//!
//! A profile across a vessel may have several minima. Which one a method ends in depends on every
//! step it takes, so that these, their limits and their tolerances are those of the optimiser that
//! the reference uses, SciPy's `least_squares`.

mod directions;

use directions::Directions;

/// Relative change of the cost, of the parameters, and gradient at which the search ends.
const TOLERANCE: f64 = 1e-8;
/// Evaluations after which there is no solution.
const MOST_EVALUATIONS: usize = 2000;
/// Relative step of differences: the square root of the precision.
const DIFFERENCE: f64 = 1.0 / (1_u64 << 26) as f64;

type Vector<const N: usize> = [f64; N];

fn dot<const N: usize>(a: &Vector<N>, b: &Vector<N>) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

fn norm<const N: usize>(vector: &Vector<N>) -> f64 {
    dot(vector, vector).sqrt()
}

fn each<const N: usize>(value: impl FnMut(usize) -> f64) -> Vector<N> {
    std::array::from_fn(value)
}

fn scaled<const N: usize>(vector: &Vector<N>, factor: f64) -> Vector<N> {
    vector.map(|value| value * factor)
}

/// Where parameters may be.
pub(crate) struct Limits<const N: usize> {
    pub(crate) lower: Vector<N>,
    pub(crate) upper: Vector<N>,
}

impl<const N: usize> Limits<N> {
    fn hold(&self, at: &Vector<N>) -> bool {
        (0..N).all(|i| (self.lower[i]..=self.upper[i]).contains(&at[i]))
    }

    /// The start, a little inside.
    fn start(&self, at: &Vector<N>) -> Vector<N> {
        const INSIDE: f64 = 1e-10;
        each(|i| {
            let (lower, upper) = (self.lower[i], self.upper[i]);
            let [near_lower, near_upper] = [lower, upper].map(|end| INSIDE * end.abs().max(1.0));
            if lower.is_finite() && at[i] - lower <= near_lower.min(upper - at[i]) {
                lower + near_lower
            } else if upper.is_finite() && upper - at[i] <= near_upper.min(at[i] - lower) {
                upper - near_upper
            } else {
                at[i]
            }
        })
    }

    /// Off the limits by the least step.
    fn strictly(&self, at: &Vector<N>) -> Vector<N> {
        each(|i| {
            if at[i] <= self.lower[i] {
                self.lower[i].next_up()
            } else if at[i] >= self.upper[i] {
                self.upper[i].next_down()
            } else {
                at[i]
            }
        })
    }

    /// How far one can go in a direction, and which parameters meet their limits there.
    fn way(&self, at: &Vector<N>, step: &Vector<N>) -> (f64, [bool; N]) {
        let ways: Vector<N> = each(|i| {
            if step[i] == 0.0 {
                return f64::INFINITY;
            }
            let [lower, upper] = [self.lower[i], self.upper[i]].map(|end| (end - at[i]) / step[i]);
            lower.max(upper)
        });
        let shortest = ways
            .iter()
            .fold(f64::INFINITY, |least, way| least.min(*way));
        let met = std::array::from_fn(|i| ways[i] == shortest && step[i] != 0.0);
        (shortest, met)
    }

    /// Distance to the limit that the descent leads to, 1 where there is none; and the sign of its
    /// change with the parameter.
    fn distances(&self, at: &Vector<N>, gradient: &Vector<N>) -> (Vector<N>, Vector<N>) {
        let mut all = ([1.0; N], [0.0; N]);
        for i in 0..N {
            if gradient[i] < 0.0 && self.upper[i].is_finite() {
                (all.0[i], all.1[i]) = (self.upper[i] - at[i], -1.0);
            } else if gradient[i] > 0.0 && self.lower[i].is_finite() {
                (all.0[i], all.1[i]) = (at[i] - self.lower[i], 1.0);
            }
        }
        all
    }

    /// The step of a difference that stays inside.
    fn difference(&self, at: f64, i: usize) -> f64 {
        let sign = if at >= 0.0 { 1.0 } else { -1.0 };
        let step = DIFFERENCE * sign * at.abs().max(1.0);
        let (below, above) = (at - self.lower[i], self.upper[i] - at);
        if step.abs() > below.max(above) {
            return if above >= below { above } else { -below };
        }
        let outside = at + step < self.lower[i] || at + step > self.upper[i];
        if outside { -step } else { step }
    }
}

/// The parameters at which the sum of the squared residuals has a minimum; `None` if the search
/// does not end. `evaluate` writes the residuals.
pub(crate) fn minimum<const N: usize>(
    mut evaluate: impl FnMut(&Vector<N>, &mut Vec<f64>),
    start: &Vector<N>,
    limits: &Limits<N>,
) -> Option<Vector<N>> {
    let mut at = limits.start(start);
    let (mut residuals, mut next_residuals) = (Vec::new(), Vec::new());
    evaluate(&at, &mut residuals);
    let mut cost = half_square(&residuals);
    if !cost.is_finite() {
        return None;
    }
    let mut evaluations = 1;
    let mut radius = None;
    let mut damping = 0.0;
    loop {
        let columns: [Vec<f64>; N] = std::array::from_fn(|i| {
            let mut beside = at;
            beside[i] += limits.difference(at[i], i);
            let step = beside[i] - at[i];
            evaluate(&beside, &mut next_residuals);
            let pairs = next_residuals.iter().zip(&residuals);
            pairs.map(|(next, now)| (next - now) / step).collect()
        });
        let gradient = each(|i| {
            let products = columns[i].iter().zip(&residuals);
            products.fold(0.0, |sum, (a, b)| sum + a * b)
        });
        let (distances, signs) = limits.distances(&at, &gradient);
        let steepest = (0..N).fold(0.0_f64, |most, i| {
            most.max((gradient[i] * distances[i]).abs())
        });
        if steepest < TOLERANCE {
            return Some(at);
        }
        let scale = distances.map(f64::sqrt);
        let mut reach =
            *radius.get_or_insert_with(|| match norm(&each::<N>(|i| at[i] / scale[i])) {
                0.0 => 1.0,
                length => length,
            });
        let model = Model::new(&columns, &residuals, &gradient, &scale, &signs);
        let directions = Directions::of(&model.triangle, &model.rotated);
        let back = (1.0 - steepest).max(0.995);
        loop {
            if evaluations == MOST_EVALUATIONS {
                return None;
            }
            let trial;
            (trial, damping) = directions.step(reach, damping, residuals.len());
            let (step, gain) = model.within(&trial, reach, &at, limits, back);
            let moved: Vector<N> = each(|i| scale[i] * step[i]);
            let next = limits.strictly(&each(|i| at[i] + moved[i]));
            evaluate(&next, &mut next_residuals);
            evaluations += 1;
            let length = norm(&step);
            let next_cost = half_square(&next_residuals);
            if !next_cost.is_finite() {
                reach = 0.25 * length;
                continue;
            }
            let reduction = cost - next_cost;
            let ratio = if gain > 0.0 { reduction / gain } else { 0.0 };
            let still = norm(&moved) < TOLERANCE * (TOLERANCE + norm(&at));
            let level = reduction < TOLERANCE * cost && ratio > 0.25;
            if still || level {
                return Some(if reduction > 0.0 { next } else { at });
            }
            let before = reach;
            if ratio < 0.25 {
                reach = 0.25 * length;
            } else if ratio > 0.75 && length > 0.95 * reach {
                reach *= 2.0;
            }
            damping *= before / reach;
            if reduction > 0.0 {
                at = next;
                cost = next_cost;
                std::mem::swap(&mut residuals, &mut next_residuals);
                break;
            }
        }
        radius = Some(reach);
    }
}

fn half_square(residuals: &[f64]) -> f64 {
    0.5 * residuals.iter().fold(0.0, |sum, value| sum + value * value)
}

/// The cost about a place, as a quadratic function of steps in units of `scale`.
struct Model<'a, const N: usize> {
    scale: &'a Vector<N>,
    gradient: Vector<N>,
    /// Triangle of the scaled derivatives, rows in order, and the residuals in its frame.
    triangle: [Vector<N>; N],
    rotated: Vector<N>,
}

impl<'a, const N: usize> Model<'a, N> {
    fn new(
        columns: &[Vec<f64>; N],
        residuals: &[f64],
        gradient: &Vector<N>,
        scale: &'a Vector<N>,
        signs: &Vector<N>,
    ) -> Self {
        let mut model = Self {
            scale,
            gradient: each(|i| scale[i] * gradient[i]),
            triangle: [[0.0; N]; N],
            rotated: [0.0; N],
        };
        for (row, residual) in residuals.iter().enumerate() {
            model.add(each(|i| columns[i][row] * scale[i]), *residual);
        }
        // How the limits' distances bend the cost.
        for i in 0..N {
            let mut row = [0.0; N];
            row[i] = (gradient[i] * signs[i]).sqrt();
            model.add(row, 0.0);
        }
        model
    }

    /// Rotates an equation into the triangle.
    fn add(&mut self, mut row: Vector<N>, mut right: f64) {
        for i in 0..N {
            if row[i] == 0.0 {
                continue;
            }
            let own = &mut self.triangle[i];
            let length = own[i].hypot(row[i]);
            let (cosine, sine) = (own[i] / length, row[i] / length);
            for j in i..N {
                (own[j], row[j]) = (
                    cosine * own[j] + sine * row[j],
                    cosine * row[j] - sine * own[j],
                );
            }
            let own = &mut self.rotated[i];
            (*own, right) = (cosine * *own + sine * right, cosine * right - sine * *own);
        }
    }

    fn bent(&self, step: &Vector<N>) -> Vector<N> {
        self.triangle.each_ref().map(|row| dot(row, step))
    }

    /// What the cost changes by.
    fn change(&self, step: &Vector<N>) -> f64 {
        let bent = self.bent(step);
        0.5 * dot(&bent, &bent) + dot(&self.gradient, step)
    }

    /// Of the ways from `from` along `direction` between two, the best and the change there.
    fn best_way(&self, from: &Vector<N>, direction: &Vector<N>, ways: [f64; 2]) -> (f64, f64) {
        let (bent, bent_from) = (self.bent(direction), self.bent(from));
        let square = 0.5 * dot(&bent, &bent);
        let linear = dot(&self.gradient, direction) + dot(&bent, &bent_from);
        let constant = 0.5 * dot(&bent_from, &bent_from) + dot(&self.gradient, from);
        let value = |way: f64| square * way * way + linear * way + constant;
        let mut best = (ways[0], value(ways[0]));
        let flat = -0.5 * linear / square;
        for way in [ways[1], flat] {
            let possible = way == ways[1] || ways[0] < way && way < ways[1];
            if possible && value(way) < best.1 {
                best = (way, value(way));
            }
        }
        best
    }

    /// The step itself if it stays within the limits; else the best of three: the step up to them,
    /// one that they reflect, one down the gradient. And what it gains.
    fn within(
        &self,
        step: &Vector<N>,
        radius: f64,
        at: &Vector<N>,
        limits: &Limits<N>,
        back: f64,
    ) -> (Vector<N>, f64) {
        let unscaled = |step: &Vector<N>| each(|i| self.scale[i] * step[i]);
        let move_by = |step: &Vector<N>| each(|i| at[i] + self.scale[i] * step[i]);
        if limits.hold(&move_by(step)) {
            return (*step, -self.change(step));
        }
        let (way, met) = limits.way(at, &unscaled(step));
        let reflected: Vector<N> = each(|i| if met[i] { -step[i] } else { step[i] });
        let cut = scaled(step, way);
        // As far as the trusted region or the next limit.
        let trusted = to_sphere(&cut, &reflected, radius);
        let (limit, _) = limits.way(&move_by(&cut), &unscaled(&reflected));
        let farthest = trusted.min(limit);
        let reflection = (farthest > 0.0).then(|| {
            let last = if farthest == limit {
                back * limit
            } else {
                trusted
            };
            [(1.0 - back) * way / farthest, last]
        });
        let inside = scaled(&cut, back);
        let down = scaled(&self.gradient, -1.0);
        let trusted = radius / norm(&down);
        let (limit, _) = limits.way(at, &unscaled(&down));
        let farthest = if limit < trusted {
            back * limit
        } else {
            trusted
        };
        let (way, change) = self.best_way(&[0.0; N], &down, [0.0, farthest]);
        let mut best = (scaled(&down, way), change);
        if self.change(&inside) < best.1 {
            best = (inside, self.change(&inside));
        }
        if let Some(ways) = reflection.filter(|ways| ways[0] <= ways[1]) {
            let (way, change) = self.best_way(&cut, &reflected, ways);
            if change < best.1 {
                best = (each(|i| cut[i] + way * reflected[i]), change);
            }
        }
        (best.0, -best.1)
    }
}

/// How far from a point inside a sphere around 0 its surface is.
fn to_sphere<const N: usize>(from: &Vector<N>, direction: &Vector<N>, radius: f64) -> f64 {
    let (square, half) = (dot(direction, direction), dot(from, direction));
    let rest = dot(from, from) - radius * radius;
    let root = (half * half - square * rest).max(0.0).sqrt();
    let sum = -(half + root.copysign(half));
    (sum / square).max(rest / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock's valley, with a limit that keeps its minimum out.
    #[test]
    fn the_minimum_within_limits_is_found() {
        let valley = |[x, y]: &[f64; 2], residuals: &mut Vec<f64>| {
            residuals.clear();
            residuals.extend([10.0 * (y - x * x), 1.0 - x]);
        };
        let free = Limits {
            lower: [f64::NEG_INFINITY, -10.0],
            upper: [f64::INFINITY, 10.0],
        };
        let [x, y] = minimum(valley, &[-1.2, 1.0], &free).unwrap();
        assert!((x - 1.0).abs() < 1e-6 && (y - 1.0).abs() < 1e-6, "{x} {y}");
        let narrow = Limits {
            lower: [-2.0, -1.0],
            upper: [0.5, 10.0],
        };
        let [x, y] = minimum(valley, &[-1.2, 1.0], &narrow).unwrap();
        assert!((x - 0.5).abs() < 1e-5 && (y - 0.25).abs() < 1e-4, "{x} {y}");
    }

    #[test]
    fn residuals_that_are_no_numbers_have_no_minimum() {
        let limits = Limits {
            lower: [0.0],
            upper: [1.0],
        };
        let nothing = |_: &[f64; 1], residuals: &mut Vec<f64>| {
            residuals.clear();
            residuals.push(f64::NAN);
        };
        assert_eq!(minimum(nothing, &[0.5], &limits), None);
    }
}
