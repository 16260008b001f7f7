//! Cubic smoothing splines after Dierckx (FITPACK's `curfit`): as few knots as reach the wanted
//! sum of squared residuals, placed where the residuals are largest, then a penalty on the jumps of
//! the third derivative that makes the sum equal the wanted one.
//!
//! Every sum and product is taken in FITPACK's order. A vessel that runs along an axis of the image
//! measures one pixel more or less by the last bit of a derivative, so that the order shows.

mod triangle;

use std::borrow::Cow;

use triangle::{Row, Triangle, Turns};

/// Coefficients that are not zero at a place.
const ORDER: usize = 4;

/// A spline of degree 3 on a parameter.
#[derive(Clone, Debug)]
pub struct Spline {
    knots: Vec<f64>,
    coefficients: Vec<f64>,
}

impl Spline {
    /// The smoothing spline through `values` at `places`, whose sum of squared residuals is `sum`.
    /// Without residuals it runs through all of them, for which the places must increase. `None` if
    /// the equations have no finite solution.
    pub(crate) fn smoothing(places: &Places, values: &[f64], sum: f64) -> Option<Self> {
        if sum == 0.0 && places.t.windows(2).any(|pair| pair[0] >= pair[1]) {
            return None;
        }
        let spline = Fit::new(places, values, sum).run();
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
        let at = |i: usize| self.knots[l - 3 + i];
        let mut d = [0.0; ORDER];
        d.copy_from_slice(&self.coefficients[l - 3..=l]);
        let mut all = [sum(&d, &basis::<ORDER>(&self.knots, l, t)), 0.0, 0.0];
        // The coefficients of a derivative are differences of those before.
        for degree in [2, 1] {
            let gone = 2 - degree;
            for i in 0..=degree {
                let width = at(i + ORDER) - at(i + 1 + gone);
                if width > 0.0 {
                    d[i] = (degree + 1) as f64 * (d[i + 1] - d[i]) / width;
                }
            }
            all[gone + 1] = match degree {
                2 => sum(&d, &basis::<3>(&self.knots, l, t)),
                _ => sum(&d, &basis::<2>(&self.knots, l, t)),
            };
        }
        all
    }

    /// Value at a place.
    pub fn value(&self, t: f64) -> f64 {
        let l = interval(&self.knots, t);
        sum(
            &self.coefficients[l - 3..],
            &basis::<ORDER>(&self.knots, l, t),
        )
    }
}

/// Coefficients times what they weigh, added in order.
fn sum(coefficients: &[f64], basis: &[f64]) -> f64 {
    let products = basis.iter().zip(coefficients);
    products.fold(0.0, |sum, (weight, coefficient)| sum + coefficient * weight)
}

/// The interval between knots that holds a place: index of its left knot.
fn interval(knots: &[f64], t: f64) -> usize {
    let inner = &knots[ORDER..knots.len() - ORDER];
    ORDER - 1 + inner.partition_point(|knot| *knot <= t)
}

/// The B-splines of `N` coefficients that are not zero in interval `l`.
fn basis<const N: usize>(knots: &[f64], l: usize, t: f64) -> [f64; N] {
    let mut values = [0.0; N];
    values[0] = 1.0;
    for degree in 1..N {
        let lower = values;
        values[0] = 0.0;
        for i in 0..degree {
            let (right, left) = (knots[l + i + 1], knots[l + i + 1 - degree]);
            if right == left {
                values[i + 1] = 0.0;
                continue;
            }
            let share = lower[i] / (right - left);
            values[i] += share * (right - t);
            values[i + 1] = share * (t - left);
        }
    }
    values
}

/// Places of data, and what all splines without inner knots through data there have in common.
pub(crate) struct Places {
    t: Vec<f64>,
    rows: Vec<Row>,
    turns: Vec<Turns>,
    triangle: Triangle,
}

impl Places {
    /// At least five, which do not decrease.
    pub(crate) fn new(t: Vec<f64>) -> Self {
        let rows = rows(&knots_at_ends(&t), &t);
        let mut triangle = Triangle::new(ORDER);
        let turns = triangle.turn(&rows);
        Self {
            t,
            rows,
            turns,
            triangle,
        }
    }
}

fn knots_at_ends(t: &[f64]) -> Vec<f64> {
    [[t[0]; ORDER], [t[t.len() - 1]; ORDER]].concat()
}

fn rows(knots: &[f64], t: &[f64]) -> Vec<Row> {
    let last = knots.len() - ORDER - 1;
    let mut l = ORDER - 1;
    let row = |t: &f64| {
        while l < last && knots[l + 1] <= *t {
            l += 1;
        }
        (l + 1 - ORDER, basis(knots, l, *t))
    };
    t.iter().map(row).collect()
}

/// A search for knots and a penalty.
struct Fit<'a> {
    places: &'a Places,
    t: &'a [f64],
    values: &'a [f64],
    /// The wanted sum of squared residuals, and how near is near enough.
    wanted: f64,
    accuracy: f64,
    knots: Vec<f64>,
    /// Of each interval between knots: data strictly inside, and their share of the residuals.
    inside: Vec<usize>,
    shares: Vec<f64>,
}

impl<'a> Fit<'a> {
    fn new(places: &'a Places, values: &'a [f64], wanted: f64) -> Self {
        let t = &places.t;
        Self {
            places,
            t,
            values,
            wanted,
            accuracy: 0.001 * wanted,
            knots: knots_at_ends(t),
            inside: vec![t.len() - 2],
            shares: Vec::new(),
        }
    }

    fn run(mut self) -> Spline {
        let most = self.t.len() + ORDER;
        // The reference's caller first gives room for so many knots. When they do not suffice, it
        // calls again with more, and the search goes on from there with one knot at a time.
        let room = (self.t.len() / 2).max(2 * ORDER);
        if self.wanted == 0.0 {
            self.interpolate();
        }
        let mut added = 0_usize;
        let (mut before, mut without_knots) = (0.0, 0.0);
        loop {
            let no_inner_knots = self.knots.len() == 2 * ORDER;
            let rows = if no_inner_knots {
                Cow::Borrowed(&self.places.rows)
            } else {
                Cow::Owned(rows(&self.knots, self.t))
            };
            let (mut triangle, turns) = if no_inner_knots {
                (
                    self.places.triangle.clone(),
                    Cow::Borrowed(&self.places.turns),
                )
            } else {
                let mut triangle = Triangle::new(self.knots.len() - ORDER);
                let turns = triangle.turn(&rows);
                (triangle, Cow::Owned(turns))
            };
            let mut residuals = 0.0;
            for ((row, turns), value) in rows.iter().zip(turns.iter()).zip(self.values) {
                let rest = triangle.take(row.0, *turns, *value);
                residuals += rest * rest;
            }
            let coefficients = triangle.solve(ORDER);
            if no_inner_knots {
                without_knots = residuals;
            }
            let excess = residuals - self.wanted;
            if excess.abs() < self.accuracy || excess < 0.0 && no_inner_knots {
                return self.spline(coefficients);
            }
            if excess < 0.0 {
                let without = without_knots - self.wanted;
                return self.smooth(&triangle, &rows, without, excess);
            }
            if self.knots.len() == most {
                return self.spline(coefficients);
            }
            added = if no_inner_knots || self.knots.len() == room {
                1
            } else {
                let gain = before - residuals;
                let wanted = if gain > self.accuracy {
                    (added as f64 * excess / gain) as usize
                } else {
                    2 * added
                };
                (2 * added).min(wanted.max(added / 2).max(1))
            };
            before = residuals;
            self.share_residuals(&rows, &coefficients);
            for _ in 0..added {
                if !self.add_knot() {
                    return self.spline(coefficients);
                }
                if self.knots.len() == most {
                    self.interpolate();
                    break;
                }
                if self.knots.len() == room {
                    break;
                }
            }
        }
    }

    fn spline(self, coefficients: Vec<f64>) -> Spline {
        Spline {
            knots: self.knots,
            coefficients,
        }
    }

    /// A knot on each datum but the two at each end.
    fn interpolate(&mut self) {
        let count = self.t.len();
        let (first, last) = ([self.t[0]; ORDER], [self.t[count - 1]; ORDER]);
        self.knots = [&first, &self.t[2..count - 2], &last].concat();
    }

    /// Squared residual of each datum, and whether it is the first beyond a knot. Data go from one
    /// interval to the next one at a time, even where several knots are equal.
    fn squares(&self, rows: &[Row], c: &[f64], mut each: impl FnMut(f64, bool)) {
        let mut next = ORDER;
        for (((_, row), value), t) in rows.iter().zip(self.values).zip(self.t) {
            let beyond = *t >= self.knots[next] && next < c.len();
            next += usize::from(beyond);
            let residual = sum(&c[next - ORDER..], row) - value;
            each(residual * residual, beyond);
        }
    }

    /// Squared residuals of each interval between knots; a datum on a knot counts half in both.
    fn share_residuals(&mut self, rows: &[Row], c: &[f64]) {
        let mut shares = Vec::with_capacity(self.inside.len());
        let mut share = 0.0;
        self.squares(rows, c, |square, beyond| {
            share += square;
            if beyond {
                let half = square * 0.5;
                shares.push(share - half);
                share = half;
            }
        });
        shares.push(share);
        // Equal knots may leave the last intervals without data.
        shares.resize(self.inside.len(), 0.0);
        self.shares = shares;
    }

    /// Puts a knot on the middle datum of the interval with the largest residuals, if any has data
    /// inside.
    fn add_knot(&mut self) -> bool {
        let mut largest = 0.0;
        let mut chosen = None;
        let mut begin = 0;
        for (number, (&share, &data)) in self.shares.iter().zip(&self.inside).enumerate() {
            if share > largest && data != 0 {
                largest = share;
                chosen = Some((number, begin));
            }
            begin += data + 1;
        }
        let Some((number, begin)) = chosen else {
            return false;
        };
        let data = self.inside[number];
        let half = data / 2 + 1;
        self.knots.insert(ORDER + number, self.t[begin + half]);
        self.inside[number] = half - 1;
        self.inside.insert(number + 1, data - half);
        self.shares[number] = largest * (half - 1) as f64 / data as f64;
        let rest = largest * (data - half) as f64 / data as f64;
        self.shares.insert(number + 1, rest);
        true
    }

    /// Finds the penalty with which the residuals' sum is the wanted one. `excess_without` and
    /// `excess_last` are the sums without inner knots and without penalty, less the wanted one.
    fn smooth(
        self,
        triangle: &Triangle,
        rows: &[Row],
        excess_without: f64,
        excess_last: f64,
    ) -> Spline {
        const MOST_STEPS: usize = 20;
        let jumps = jumps(&self.knots);
        let (mut p1, mut f1) = (0.0, excess_without);
        let (mut p3, mut f3) = (-1.0, excess_last);
        let diagonal = triangle.diagonal.iter().fold(0.0, |sum, entry| sum + entry);
        let mut p = triangle.diagonal.len() as f64 / diagonal;
        let (mut left_known, mut right_known) = (false, false);
        let mut step = 0;
        let coefficients = loop {
            step += 1;
            let inverse = 1.0 / p;
            let mut penalised = triangle.clone();
            for (at, jump) in jumps.iter().enumerate() {
                penalised.penalise(at, jump.map(|value| value * inverse));
            }
            let coefficients = penalised.solve(ORDER + 1);
            let mut residuals = 0.0;
            self.squares(rows, &coefficients, |square, _| residuals += square);
            let (p2, f2) = (p, residuals - self.wanted);
            if f2.abs() < self.accuracy || step == MOST_STEPS {
                break coefficients;
            }
            if !right_known {
                if f2 - f3 <= self.accuracy {
                    // Too close to no penalty at all.
                    (p3, f3) = (p2, f2);
                    p *= 0.04;
                    if p <= p1 {
                        p = p1 * 0.9 + p2 * 0.1;
                    }
                    continue;
                }
                right_known = f2 < 0.0;
            }
            if !left_known {
                if f1 - f2 <= self.accuracy {
                    (p1, f1) = (p2, f2);
                    p /= 0.04;
                    if p3 >= 0.0 && p >= p3 {
                        p = p2 * 0.1 + p3 * 0.9;
                    }
                    continue;
                }
                left_known = f2 > 0.0;
            }
            if f2 >= f1 || f2 <= f3 {
                break coefficients;
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
        };
        self.spline(coefficients)
    }
}

/// The jump of the third derivative at each inner knot, as coefficients of the five B-splines that
/// have one, in units of the mean distance of knots.
fn jumps(knots: &[f64]) -> Vec<[f64; ORDER + 1]> {
    let intervals = knots.len() + 1 - 2 * ORDER;
    let per_length = intervals as f64 / (knots[knots.len() - 1] - knots[0]);
    (ORDER..knots.len() - ORDER)
        .map(|l| {
            let distances: [f64; 2 * ORDER] = std::array::from_fn(|i| {
                let other = if i < ORDER {
                    l - ORDER + i
                } else {
                    l + 1 + i - ORDER
                };
                knots[l] - knots[other]
            });
            std::array::from_fn(|j| {
                let product = distances[j + 1..j + ORDER]
                    .iter()
                    .fold(distances[j], |product, d| product * d * per_length);
                (knots[l + j] - knots[l + j - ORDER]) / product
            })
        })
        .collect()
}
