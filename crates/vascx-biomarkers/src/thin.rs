//! Thinning to lines of one pixel.

use crate::mask::{Mask, places_set};

/// Which neighbourhoods lose their centre in the first and in the second pass of a round: bit i
/// belongs to the neighbourhood of code i (NW 1, N 2, NE 4, E 8, SE 16, S 32, SW 64, W 128). The
/// tables are those of scikit-image's `skeletonize`.
const PASSES: [[u128; 2]; 2] = [
    [
        0x1101_0000_0000_0000_1000_0100_d000_dcc8,
        0x000b_008a_0000_80ce_0000_0003_8000_80cc,
    ],
    [
        0x5101_1101_0000_0000_d100_0100_d500_8480,
        0x1303_0003_0000_008b_0001_0001_0000_0084,
    ],
];

/// The mask's skeleton.
pub(crate) fn thin(mask: &Mask) -> Mask {
    let (width, height) = (mask.width(), mask.height());
    // A border of zeros, so that every pixel has eight neighbours.
    let stride = width + 2;
    let mut padded = vec![0_u8; stride * (height + 2)];
    for y in 0..height {
        let start = (y + 1) * stride + 1;
        padded[start..start + width].copy_from_slice(mask.row(y));
    }
    // A pixel that a pass has left alone stays until its neighbourhood changes, so each pass looks
    // only at pixels around those that were removed since; first at all on the mask's edge, for no
    // pass removes a pixel with all eight neighbours.
    let edge: Vec<u32> = places_set(&padded)
        .filter(|&at| neighbours(&padded, at, stride) != u8::MAX)
        .map(|at| at as u32)
        .collect();
    let mut pending = [edge.clone(), edge];
    let mut queued = vec![0_u8; padded.len()];
    for &at in &pending[0] {
        queued[at as usize] = 0b11;
    }
    let mut removed: Vec<u32> = Vec::new();
    while !pending.iter().all(Vec::is_empty) {
        for (pass, table) in PASSES.iter().enumerate() {
            removed.clear();
            for at in std::mem::take(&mut pending[pass]) {
                queued[at as usize] &= !(1 << pass);
                if padded[at as usize] != 0 {
                    let code = neighbours(&padded, at as usize, stride);
                    if table[usize::from(code >> 7)] >> (code & 127) & 1 == 1 {
                        removed.push(at);
                    }
                }
            }
            for &at in &removed {
                padded[at as usize] = 0;
            }
            for &at in &removed {
                let at = at as usize;
                for row in [at - stride, at, at + stride] {
                    for other in row - 1..=row + 1 {
                        if padded[other] == 0 {
                            continue;
                        }
                        for (pass, pending) in pending.iter_mut().enumerate() {
                            if queued[other] & 1 << pass == 0 {
                                queued[other] |= 1 << pass;
                                pending.push(other as u32);
                            }
                        }
                    }
                }
            }
        }
    }
    let mut skeleton = Mask::new(width, height);
    for y in 0..height {
        let start = (y + 1) * stride + 1;
        skeleton
            .row_mut(y)
            .copy_from_slice(&padded[start..start + width]);
    }
    skeleton
}

fn neighbours(padded: &[u8], at: usize, stride: usize) -> u8 {
    let above = &padded[at - stride - 1..at - stride + 2];
    let below = &padded[at + stride - 1..at + stride + 2];
    above[0]
        | above[1] << 1
        | above[2] << 2
        | padded[at + 1] << 3
        | below[2] << 4
        | below[1] << 5
        | below[0] << 6
        | padded[at - 1] << 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_become_lines_and_lines_stay() {
        let bar = Mask::from_fn(40, 20, |y, x| (8..13).contains(&y) && (5..35).contains(&x));
        let line = thin(&bar);
        assert!(line.count() < 30 && line.count() > 20, "{}", line.count());
        assert!(line.row(10)[8..30].iter().all(|&pixel| pixel == 1));
        assert_eq!(thin(&line), line);
        assert!(thin(&Mask::new(3, 3)).is_empty());
    }
}
