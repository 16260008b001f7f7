//! The random draws of the reference.
//!
//! Which circle is found first decides which points count, and so does the contrast that networks were
//! trained with hang on the draws: they are those of `numpy.random.default_rng(42)`, a permuted
//! congruential generator (PCG64, XSL-RR) and Floyd's way to draw without replacement.

/// What the seed 42 becomes.
const STATE: u128 = 0xcea4_4f67_9879_8f2a_acbc_7c9d_6886_0ac8;
const INCREMENT: u128 = 0xfa50_5436_c9a8_416e_66ca_f2e2_8d25_abff;
const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

/// A stream of draws, the same every time.
#[derive(Debug)]
pub(super) struct Draws {
    state: u128,
    /// The upper half of the last number, which is drawn next.
    upper: Option<u32>,
}

impl Draws {
    pub(super) fn new() -> Self {
        Self {
            state: STATE,
            upper: None,
        }
    }

    /// Three different numbers below `count`, which is at least three: `choice(count, 3, replace=False)`.
    pub(super) fn three(&mut self, count: u32) -> [usize; 3] {
        let mut drawn = [u32::MAX; 3];
        for (place, last) in (count - 3..count).enumerate() {
            let number = self.below(last + 1);
            drawn[place] = if drawn.contains(&number) {
                last
            } else {
                number
            };
        }
        // NumPy shuffles what it drew, which takes numbers from the stream.
        for place in [2, 1] {
            drawn.swap(place, self.below(place as u32 + 1) as usize);
        }
        drawn.map(|number| number as usize)
    }

    /// A number below `end`, all equally probable (Lemire's method).
    fn below(&mut self, end: u32) -> u32 {
        if end == 1 {
            return 0;
        }
        let unfair = end.wrapping_neg() % end;
        loop {
            let product = u64::from(self.next()) * u64::from(end);
            if product as u32 >= unfair {
                return (product >> 32) as u32;
            }
        }
    }

    fn next(&mut self) -> u32 {
        if let Some(upper) = self.upper.take() {
            return upper;
        }
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        let number = folded.rotate_right((self.state >> 122) as u32);
        self.upper = Some((number >> 32) as u32);
        number as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_numpy() {
        let first = |count| {
            let mut draws = Draws::new();
            [(); 6].map(|()| draws.three(count))
        };
        let of_256 = [
            [167, 22, 197],
            [21, 178, 218],
            [133, 248, 188],
            [130, 199, 32],
            [127, 94, 46],
            [210, 163, 102],
        ];
        assert_eq!(first(256), of_256);
        // Often the same number twice: the last one instead.
        let of_5 = [
            [4, 0, 3],
            [0, 3, 2],
            [1, 3, 4],
            [3, 2, 0],
            [1, 3, 0],
            [4, 1, 3],
        ];
        assert_eq!(first(5), of_5);
        let mut draws = Draws::new();
        let last = (0..100_000).map(|_| draws.three(256)).last();
        assert_eq!(last, Some([242, 144, 1]));
    }
}
