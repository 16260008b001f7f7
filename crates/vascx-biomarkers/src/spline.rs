//! Cubic smoothing splines after Dierckx (FITPACK's `curfit`): as few knots as reach the wanted
//! sum of squared residuals, placed where the residuals are largest, then a penalty on the jumps of
//! the third derivative that makes the sum equal the wanted one.

/// Coefficients that are not zero at a place.
const ORDER: usize = 4;

/// A spline of degree 3 on a parameter.
#[derive(Clone, Debug)]
pub struct Spline {
    knots: Vec<f64>,
    coefficients: Vec<f64>,
}

impl Spline {
    /// The smoothing spline through (`t`, `values`), at least five of them, whose sum of squared
    /// residuals is `sum`; `t` must not decrease. A constant needs no residuals. `None` if the
    /// equations have no finite solution.
    pub(crate) fn smoothing(t: &[f64], values: &[f64], sum: f64) -> Option<Self> {
        let (first, last) = (*t.first()?, *t.last()?);
        if values.iter().all(|value| *value == values[0]) && sum == 0.0 {
            // Interpolation of repeated places has no solution, even of a constant.
            return t.windows(2).all(|pair| pair[0] < pair[1]).then(|| Self {
                knots: [[first; ORDER], [last; ORDER]].concat(),
                coefficients: vec![values[0]; ORDER],
            });
        }
        let spline = Fit { t, values, sum }.run();
        spline
            .coefficients
            .iter()
            .all(|value| value.is_finite())
            .then_some(spline)
    }

    /// Number of knots with those at the ends counted once each.
    pub fn knots(&self) -> usize {
        self.knots.len() - 2 * (ORDER - 1)
    }

    /// Value, first and second derivative at a place.
    pub fn derivatives(&self, t: f64) -> [f64; 3] {
        let l = interval(&self.knots, t);
        let mut d = [0.0; ORDER];
        d.copy_from_slice(&self.coefficients[l - 3..=l]);
        // De Boor's triangle on the coefficients and on those of both derivatives.
        let at = |i: usize| self.knots[l - 3 + i];
        let mut slope = [0.0; 3];
        for (i, slope) in slope.iter_mut().enumerate() {
            *slope = 3.0 * (d[i + 1] - d[i]) / (at(i + 4) - at(i + 1));
        }
        let mut bend = [0.0; 2];
        for (i, bend) in bend.iter_mut().enumerate() {
            *bend = 2.0 * (slope[i + 1] - slope[i]) / (at(i + 4) - at(i + 2));
        }
        for level in 1..ORDER {
            for i in (level..ORDER).rev() {
                let share = (t - at(i)) / (at(i + 4 - level) - at(i));
                d[i] = (1.0 - share) * d[i - 1] + share * d[i];
            }
        }
        for level in 1..3 {
            for i in (level..3).rev() {
                let share = (t - at(i + 1)) / (at(i + 4 - level) - at(i + 1));
                slope[i] = (1.0 - share) * slope[i - 1] + share * slope[i];
            }
        }
        let share = (t - at(3)) / (at(4) - at(3));
        let bend = (1.0 - share) * bend[0] + share * bend[1];
        [d[3], slope[2], bend]
    }

    /// Value at a place.
    pub fn value(&self, t: f64) -> f64 {
        let l = interval(&self.knots, t);
        let basis = basis(&self.knots, l, t);
        basis
            .iter()
            .zip(&self.coefficients[l - 3..])
            .map(|(b, c)| b * c)
            .sum()
    }
}

/// The interval between knots that holds a place: index of its left knot.
fn interval(knots: &[f64], t: f64) -> usize {
    let inner = &knots[ORDER..knots.len() - ORDER];
    ORDER - 1 + inner.partition_point(|knot| *knot <= t)
}

/// The four B-splines that are not zero in interval `l`.
fn basis(knots: &[f64], l: usize, t: f64) -> [f64; ORDER] {
    let mut values = [1.0, 0.0, 0.0, 0.0];
    for degree in 1..ORDER {
        let lower = values;
        values[0] = 0.0;
        for i in 0..degree {
            let (right, left) = (knots[l + i + 1], knots[l + i + 1 - degree]);
            let share = lower[i] / (right - left);
            values[i] += share * (right - t);
            values[i + 1] = share * (t - left);
        }
    }
    values
}

struct Fit<'a> {
    t: &'a [f64],
    values: &'a [f64],
    sum: f64,
}

/// An upper triangular system of equations: rows of the entries from the diagonal on.
struct Triangle {
    rows: Vec<[f64; ORDER + 1]>,
    right: Vec<f64>,
}

impl Triangle {
    fn new(unknowns: usize) -> Self {
        Self {
            rows: vec![[0.0; ORDER + 1]; unknowns],
            right: vec![0.0; unknowns],
        }
    }

    /// Rotates an equation in whose first coefficient is that of unknown `at`; what remains of its
    /// right side is the residual.
    fn add(&mut self, at: usize, mut row: [f64; ORDER + 1], mut right: f64) -> f64 {
        for i in at..self.rows.len() {
            let pivot = row[0];
            if pivot != 0.0 {
                let own = &mut self.rows[i];
                let norm = pivot.hypot(own[0]);
                let (cosine, sine) = (own[0] / norm, pivot / norm);
                own[0] = norm;
                for (a, b) in own.iter_mut().zip(&mut row).skip(1) {
                    (*a, *b) = (cosine * *a + sine * *b, cosine * *b - sine * *a);
                }
                let a = &mut self.right[i];
                (*a, right) = (cosine * *a + sine * right, cosine * right - sine * *a);
            }
            row.rotate_left(1);
            row[ORDER] = 0.0;
            if row.iter().all(|value| *value == 0.0) {
                break;
            }
        }
        right
    }

    fn solve(&self) -> Vec<f64> {
        let mut solution = self.right.clone();
        for i in (0..solution.len()).rev() {
            let known: f64 = (1..=ORDER)
                .take_while(|j| i + j < solution.len())
                .map(|j| self.rows[i][j] * solution[i + j])
                .sum();
            solution[i] = (solution[i] - known) / self.rows[i][0];
        }
        solution
    }
}

impl Fit<'_> {
    fn run(&self) -> Spline {
        let (t, sum) = (self.t, self.sum);
        let accuracy = 0.001 * sum;
        let most = t.len() + ORDER;
        let mut knots = [[t[0]; ORDER], [t[t.len() - 1]; ORDER]].concat();
        let mut inside = vec![t.len() - 2];
        let mut added = 0_usize;
        let mut residuals_before = 0.0;
        let mut residuals_without_knots = 0.0;
        let (triangle, rows, residuals) = loop {
            let rows = self.rows(&knots);
            let mut triangle = Triangle::new(knots.len() - ORDER);
            let mut residuals = 0.0;
            for ((at, row), value) in rows.iter().zip(self.values) {
                let rest = triangle.add(*at, [row[0], row[1], row[2], row[3], 0.0], *value);
                residuals += rest * rest;
            }
            let coefficients = triangle.solve();
            if knots.len() == 2 * ORDER {
                residuals_without_knots = residuals;
            }
            let excess = residuals - sum;
            if excess.abs() < accuracy {
                return Spline {
                    knots,
                    coefficients,
                };
            }
            if excess < 0.0 {
                if knots.len() == 2 * ORDER {
                    return Spline {
                        knots,
                        coefficients,
                    };
                }
                break (triangle, rows, residuals);
            }
            if knots.len() >= most {
                return Spline {
                    knots,
                    coefficients,
                };
            }
            added = if added == 0 {
                1
            } else {
                let gain = residuals_before - residuals;
                let wanted = if gain > accuracy {
                    (added as f64 * excess / gain) as usize
                } else {
                    2 * added
                };
                (2 * added).min(wanted.max(added / 2).max(1))
            };
            residuals_before = residuals;
            let mut shares = self.shares(&knots, &rows, &coefficients);
            for _ in 0..added {
                if !self.add_knot(&mut knots, &mut inside, &mut shares) {
                    return Spline {
                        knots,
                        coefficients,
                    };
                }
                if knots.len() >= most {
                    break;
                }
            }
        };
        self.smooth(
            knots,
            &triangle,
            &rows,
            residuals_without_knots - sum,
            residuals - sum,
        )
    }

    /// Of each datum: index of the first coefficient it depends on, and the four B-splines.
    fn rows(&self, knots: &[f64]) -> Vec<(usize, [f64; ORDER])> {
        let place = |t: &f64| {
            let l = interval(knots, *t);
            (l + 1 - ORDER, basis(knots, l, *t))
        };
        self.t.iter().map(place).collect()
    }

    fn residual(row: &(usize, [f64; ORDER]), coefficients: &[f64], value: f64) -> f64 {
        let (at, basis) = row;
        let fitted: f64 = basis
            .iter()
            .zip(&coefficients[*at..])
            .map(|(b, c)| b * c)
            .sum();
        fitted - value
    }

    /// Squared residuals of each interval between knots; a datum on a knot counts half in both.
    fn shares(&self, knots: &[f64], rows: &[(usize, [f64; ORDER])], c: &[f64]) -> Vec<f64> {
        let inner = &knots[ORDER..knots.len() - ORDER];
        let mut shares = vec![0.0; inner.len() + 1];
        let mut now = 0;
        for ((row, value), t) in rows.iter().zip(self.values).zip(self.t) {
            let square = Self::residual(row, c, *value).powi(2);
            if now < inner.len() && *t >= inner[now] {
                shares[now] += square / 2.0;
                now += 1;
                shares[now] += square / 2.0;
            } else {
                shares[now] += square;
            }
        }
        shares
    }

    /// Puts a knot on the middle datum of the interval with the largest residuals, if any has data
    /// inside.
    fn add_knot(
        &self,
        knots: &mut Vec<f64>,
        inside: &mut Vec<usize>,
        shares: &mut Vec<f64>,
    ) -> bool {
        let mut largest = 0.0;
        let mut chosen = None;
        let mut begin = 0;
        for (number, (&share, &data)) in shares.iter().zip(inside.iter()).enumerate() {
            if share > largest && data != 0 {
                largest = share;
                chosen = Some((number, begin));
            }
            begin += data + 1;
        }
        let Some((number, begin)) = chosen else {
            return false;
        };
        let data = inside[number];
        let half = data / 2 + 1;
        knots.insert(ORDER + number, self.t[begin + half]);
        inside[number] = half - 1;
        inside.insert(number + 1, data - half);
        shares[number] = largest * (half - 1) as f64 / data as f64;
        shares.insert(number + 1, largest * (data - half) as f64 / data as f64);
        true
    }

    /// Finds the penalty with which the residuals' sum is the wanted one. `excess_without` and
    /// `excess_last` are the sums without inner knots and without penalty, less the wanted one.
    fn smooth(
        &self,
        knots: Vec<f64>,
        triangle: &Triangle,
        rows: &[(usize, [f64; ORDER])],
        excess_without: f64,
        excess_last: f64,
    ) -> Spline {
        let accuracy = 0.001 * self.sum;
        let jumps = jumps(&knots);
        let (mut p1, mut f1) = (0.0, excess_without);
        let (mut p3, mut f3) = (-1.0, excess_last);
        let diagonal: f64 = triangle.rows.iter().map(|row| row[0]).sum();
        let mut p = triangle.rows.len() as f64 / diagonal;
        let (mut left_known, mut right_known) = (false, false);
        let mut coefficients = Vec::new();
        for _ in 0..20 {
            let mut penalised = Triangle {
                rows: triangle.rows.clone(),
                right: triangle.right.clone(),
            };
            for (at, jump) in jumps.iter().enumerate() {
                penalised.add(at, jump.map(|value| value / p), 0.0);
            }
            coefficients = penalised.solve();
            let residuals: f64 = rows
                .iter()
                .zip(self.values)
                .map(|(row, value)| Self::residual(row, &coefficients, *value).powi(2))
                .sum();
            let (p2, f2) = (p, residuals - self.sum);
            if f2.abs() < accuracy {
                break;
            }
            if !right_known {
                if f2 - f3 <= accuracy {
                    // Too close to no penalty at all.
                    (p3, f3) = (p2, f2);
                    p *= 0.04;
                    if p <= p1 {
                        p = 0.9 * p1 + 0.1 * p2;
                    }
                    continue;
                }
                right_known = f2 < 0.0;
            }
            if !left_known {
                if f1 - f2 <= accuracy {
                    (p1, f1) = (p2, f2);
                    p /= 0.04;
                    if p3 >= 0.0 && p >= p3 {
                        p = 0.1 * p2 + 0.9 * p3;
                    }
                    continue;
                }
                left_known = f2 > 0.0;
            }
            if f2 >= f1 || f2 <= f3 {
                break;
            }
            p = if p3 > 0.0 {
                let (h1, h2, h3) = (f1 * (f2 - f3), f2 * (f3 - f1), f3 * (f1 - f2));
                -(p1 * p2 * h3 + p2 * p3 * h1 + p3 * p1 * h2) / (p1 * h1 + p2 * h2 + p3 * h3)
            } else {
                (p1 * (f1 - f3) * f2 - p2 * (f2 - f3) * f1) / ((f1 - f2) * f3)
            };
            if f2 < 0.0 {
                (p3, f3) = (p2, f2);
            } else {
                (p1, f1) = (p2, f2);
            }
        }
        Spline {
            knots,
            coefficients,
        }
    }
}

/// The jump of the third derivative at each inner knot, as coefficients of the five B-splines that
/// have one, in units of the mean distance of knots.
fn jumps(knots: &[f64]) -> Vec<[f64; ORDER + 1]> {
    let intervals = knots.len() + 1 - 2 * ORDER;
    let per_length = intervals as f64 / (knots[knots.len() - 1] - knots[0]);
    let scale = per_length.powi(3);
    (ORDER..knots.len() - ORDER)
        .map(|l| {
            std::array::from_fn(|j| {
                let i = l - ORDER + j;
                let product: f64 = (i..=i + ORDER)
                    .filter(|q| *q != l)
                    .map(|q| knots[l] - knots[q])
                    .product();
                (knots[i + ORDER] - knots[i]) / (product * scale)
            })
        })
        .collect()
}
