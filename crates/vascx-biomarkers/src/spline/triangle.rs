//! Systems of equations in the shape that splines give them.

use super::ORDER;

/// Which B-splines a datum sees: index of the first, and the values of four.
pub(super) type Row = (usize, [f64; ORDER]);

/// The rotations that bring a row into the triangle.
pub(super) type Turns = [(f64, f64); ORDER];

/// An upper triangular system of equations. The diagonal stands apart: each rotation waits for the
/// one before to write it, which takes several times as long where it is read together with others.
#[derive(Clone)]
pub(super) struct Triangle {
    pub(super) diagonal: Vec<f64>,
    /// Of each row what follows the diagonal.
    beyond: Vec<[f64; ORDER]>,
    right: Vec<f64>,
}

/// Data that are rotated in together.
const TOGETHER: usize = 4;

/// The rotation that takes `pivot` into the diagonal: its cosine and sine.
fn rotation(pivot: f64, diagonal: &mut f64) -> (f64, f64) {
    let size = pivot.abs();
    let large = if size > *diagonal { size } else { *diagonal };
    let small = if size < *diagonal { size } else { *diagonal };
    let ratio = small / large;
    let norm = large * (1.0 + ratio * ratio).sqrt();
    let turn = (*diagonal / norm, pivot / norm);
    *diagonal = norm;
    turn
}

fn rotate((cosine, sine): (f64, f64), new: &mut f64, own: &mut f64) {
    (*own, *new) = (cosine * *own + sine * *new, cosine * *new - sine * *own);
}

impl Triangle {
    pub(super) fn new(unknowns: usize) -> Self {
        Self {
            diagonal: vec![0.0; unknowns],
            beyond: vec![[0.0; ORDER]; unknowns],
            right: vec![0.0; unknowns],
        }
    }

    /// Rotates the rows of data in, in order. A rotation waits long for the one before it, so that
    /// several data go together: each is one rotation behind the one before.
    pub(super) fn turn(&mut self, rows: &[Row]) -> Vec<Turns> {
        let mut all = Vec::with_capacity(rows.len());
        let mut rest = rows;
        while let Some(((at, _), _)) = rest.split_first() {
            let together = rest.first_chunk::<TOGETHER>();
            let Some(chunk) = together.filter(|chunk| chunk.iter().all(|row| row.0 == *at)) else {
                all.extend(self.turn_together(*at, [rest[0].1]));
                rest = &rest[1..];
                continue;
            };
            all.extend(self.turn_together(*at, chunk.map(|row| row.1)));
            rest = &rest[TOGETHER..];
        }
        all
    }

    fn turn_together<const N: usize>(
        &mut self,
        at: usize,
        mut rows: [[f64; ORDER]; N],
    ) -> [Turns; N] {
        let mut turns = [[(1.0, 0.0); ORDER]; N];
        for stage in 0..ORDER + N - 1 {
            for datum in 0..N {
                match stage.wrapping_sub(datum) {
                    0 => self.step::<0>(at, &mut rows[datum], &mut turns[datum]),
                    1 => self.step::<1>(at, &mut rows[datum], &mut turns[datum]),
                    2 => self.step::<2>(at, &mut rows[datum], &mut turns[datum]),
                    3 => self.step::<3>(at, &mut rows[datum], &mut turns[datum]),
                    _ => {}
                }
            }
        }
        turns
    }

    #[inline]
    fn step<const I: usize>(&mut self, at: usize, row: &mut [f64; ORDER], turns: &mut Turns) {
        if row[I] == 0.0 {
            return;
        }
        let turn = rotation(row[I], &mut self.diagonal[at + I]);
        turns[I] = turn;
        for (new, own) in row[I + 1..].iter_mut().zip(&mut self.beyond[at + I]) {
            rotate(turn, new, own);
        }
    }

    /// Takes a datum's value along; what remains of it is the residual.
    pub(super) fn take(&mut self, at: usize, turns: Turns, mut value: f64) -> f64 {
        for (turn, own) in turns.into_iter().zip(&mut self.right[at..]) {
            rotate(turn, &mut value, own);
        }
        value
    }

    /// Rotates in an equation without a right side, whose first coefficient is that of unknown `at`.
    pub(super) fn penalise(&mut self, at: usize, mut row: [f64; ORDER + 1]) {
        let mut value = 0.0;
        let unknowns = self.diagonal.len();
        for i in at..unknowns {
            let turn = rotation(row[0], &mut self.diagonal[i]);
            rotate(turn, &mut value, &mut self.right[i]);
            let reach = ORDER.min(unknowns - 1 - i);
            for (j, own) in self.beyond[i][..reach].iter_mut().enumerate() {
                rotate(turn, &mut row[j + 1], own);
                row[j] = row[j + 1];
            }
            row[reach] = 0.0;
        }
    }

    /// The solution, where rows have entries in `bands` places.
    pub(super) fn solve(&self, bands: usize) -> Vec<f64> {
        let mut solution = self.right.clone();
        for i in (0..solution.len()).rev() {
            let mut rest = solution[i];
            for (known, entry) in solution[i + 1..].iter().zip(&self.beyond[i][..bands - 1]) {
                rest -= known * entry;
            }
            solution[i] = rest / self.diagonal[i];
        }
        solution
    }
}
