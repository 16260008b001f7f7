//! Steps of a given length.

use super::{Vector, dot, each, norm, scaled};

/// The singular values of a triangle, from which steps of any length follow.
pub(super) struct Directions<const N: usize> {
    /// Columns: the directions in the space of steps.
    across: [Vector<N>; N],
    sizes: Vector<N>,
    /// The residuals along each.
    along: Vector<N>,
}

impl<const N: usize> Directions<N> {
    /// By Jacobi's rotations of columns.
    pub(super) fn of(triangle: &[Vector<N>; N], residuals: &Vector<N>) -> Self {
        const MOST_SWEEPS: usize = 40;
        let mut columns: [Vector<N>; N] = std::array::from_fn(|j| each(|i| triangle[i][j]));
        let mut across: [Vector<N>; N] =
            std::array::from_fn(|j| each(|i| f64::from(u8::from(i == j))));
        for _ in 0..MOST_SWEEPS {
            let mut turned = false;
            for p in 0..N {
                for q in p + 1..N {
                    let (a, b) = (dot(&columns[p], &columns[p]), dot(&columns[q], &columns[q]));
                    let c = dot(&columns[p], &columns[q]);
                    if c.abs() <= f64::EPSILON * (a * b).sqrt() {
                        continue;
                    }
                    turned = true;
                    let cotangent = (b - a) / (2.0 * c);
                    let tangent = cotangent.signum() / (cotangent.abs() + cotangent.hypot(1.0));
                    let cosine = 1.0 / tangent.hypot(1.0);
                    let sine = tangent * cosine;
                    for matrix in [&mut columns, &mut across] {
                        let (before, from) = matrix.split_at_mut(q);
                        for (x, y) in before[p].iter_mut().zip(&mut from[0]) {
                            (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
                        }
                    }
                }
            }
            if !turned {
                break;
            }
        }
        let sizes = columns.each_ref().map(norm);
        let along = each(|i| {
            if sizes[i] > 0.0 {
                dot(&columns[i], residuals) / sizes[i]
            } else {
                0.0
            }
        });
        Self {
            across,
            sizes,
            along,
        }
    }

    fn combined(&self, weights: &Vector<N>) -> Vector<N> {
        each(|i| -(0..N).fold(0.0, |sum, j| sum + self.across[j][i] * weights[j]))
    }

    /// The best step no longer than `radius`, and its damping; the search for it starts at
    /// `damping`. `count` is the number of residuals.
    pub(super) fn step(&self, radius: f64, damping: f64, count: usize) -> (Vector<N>, f64) {
        /// How near to the radius is near enough.
        const NEAR: f64 = 0.01;
        const MOST_TRIALS: usize = 10;
        let products: Vector<N> = each(|i| self.sizes[i] * self.along[i]);
        let largest = self.sizes.iter().fold(0.0_f64, |a, b| a.max(*b));
        let least = self.sizes.iter().fold(f64::INFINITY, |a, b| a.min(*b));
        let full = least > f64::EPSILON * count as f64 * largest;
        if full {
            let step = self.combined(&each(|i| self.along[i] / self.sizes[i]));
            if norm(&step) <= radius {
                return (step, 0.0);
            }
        }
        // Excess of length over the radius, and its derivative by the damping.
        let excess = |damping: f64| {
            let sums: Vector<N> = each(|i| self.sizes[i] * self.sizes[i] + damping);
            let length = norm(&each::<N>(|i| products[i] / sums[i]));
            let slope = (0..N).fold(0.0, |sum, i| sum + products[i].powi(2) / sums[i].powi(3));
            (length - radius, -slope / length)
        };
        let mut upper = norm(&products) / radius;
        let mut lower = 0.0;
        if full {
            let (value, slope) = excess(0.0);
            lower = -value / slope;
        }
        let between = |lower: f64, upper: f64| (0.001 * upper).max((lower * upper).sqrt());
        let mut damping = damping;
        if !full && damping == 0.0 {
            damping = between(lower, upper);
        }
        for _ in 0..MOST_TRIALS {
            if damping < lower || damping > upper {
                damping = between(lower, upper);
            }
            let (value, slope) = excess(damping);
            if value < 0.0 {
                upper = damping;
            }
            let ratio = value / slope;
            lower = lower.max(damping - ratio);
            damping -= (value + radius) * ratio / radius;
            if value.abs() < NEAR * radius {
                break;
            }
        }
        let step = self.combined(&each(|i| {
            products[i] / (self.sizes[i] * self.sizes[i] + damping)
        }));
        (scaled(&step, radius / norm(&step)), damping)
    }
}
