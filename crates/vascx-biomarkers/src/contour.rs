//! The outer border of a component, followed as OpenCV does (Suzuki and Abe 1985).

use crate::mask::Mask;

/// East, then anticlockwise as seen on screen: (dy, dx).
const AROUND: [(i64, i64); 8] = [
    (0, 1),
    (-1, 1),
    (-1, 0),
    (-1, -1),
    (0, -1),
    (1, -1),
    (1, 0),
    (1, 1),
];

/// The border's pixels (y, x) where its chain of steps changes direction, from the first pixel in
/// raster order; empty for an empty mask.
pub(crate) fn corners(mask: &Mask) -> Vec<(i64, i64)> {
    let Some(first) = mask.pixels().iter().position(|&pixel| pixel != 0) else {
        return Vec::new();
    };
    let start = ((first / mask.width()) as i64, (first % mask.width()) as i64);
    let step = |(y, x): (i64, i64), direction: usize| {
        let (dy, dx) = AROUND[direction % 8];
        (y + dy, x + dx)
    };
    let set = |(y, x)| mask.get(y, x);
    // From the west, where there is nothing, clockwise to the first neighbour.
    let Some(towards) = (0..8)
        .map(|turn| (4 + 8 - turn) % 8)
        .find(|&d| set(step(start, d)))
    else {
        return vec![start];
    };
    let before = step(start, towards);
    let (mut at, mut last, mut from) = (start, (towards + 4) % 8, towards);
    let mut corners = Vec::new();
    loop {
        // Anticlockwise from the pixel that was left.
        let Some(direction) = (1..=8)
            .map(|turn| (from + turn) % 8)
            .find(|&d| set(step(at, d)))
        else {
            return corners;
        };
        if direction != last {
            corners.push(at);
            last = direction;
        }
        let next = step(at, direction);
        if next == start && at == before {
            return corners;
        }
        at = next;
        from = (direction + 4) % 8;
    }
}

/// Centroid (y, x) of a polygon; `None` if it has no area.
pub(crate) fn centroid(corners: &[(i64, i64)]) -> Option<(f64, f64)> {
    let (mut area, mut y, mut x) = (0.0, 0.0, 0.0);
    for (index, &(y0, x0)) in corners.iter().enumerate() {
        let (y1, x1) = corners[(index + 1) % corners.len()];
        let cross = (x0 * y1 - x1 * y0) as f64;
        area += cross;
        y += cross * (y0 + y1) as f64;
        x += cross * (x0 + x1) as f64;
    }
    (area != 0.0).then(|| (y / (3.0 * area), x / (3.0 * area)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_has_four_corners_and_its_middle() {
        let mask = Mask::from_fn(12, 10, |y, x| (2..=6).contains(&y) && (3..=9).contains(&x));
        let found = corners(&mask);
        assert_eq!(found, [(2, 3), (6, 3), (6, 9), (2, 9)]);
        assert_eq!(centroid(&found), Some((4.0, 6.0)));
        let dot = Mask::from_fn(5, 5, |y, x| y == 2 && x == 3);
        assert_eq!(corners(&dot), [(2, 3)]);
        assert_eq!(centroid(&corners(&dot)), None);
        assert!(corners(&Mask::new(4, 4)).is_empty());
    }
}
