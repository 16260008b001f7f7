//! Parts of a list of photographs, for machines that share the work.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::Inputs;

/// One of N parts of all photographs. Which part a photograph is in depends on its id and N alone, not on
/// what else there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    index: u64,
    count: u64,
}

impl Shard {
    /// Part `number` of `count`, from 1; none when there is no such part.
    pub fn new(number: u64, count: u64) -> Option<Self> {
        (1..=count).contains(&number).then(|| Self {
            index: number - 1,
            count,
        })
    }

    /// Whether a photograph of this id is in it.
    pub fn holds(self, id: &str) -> bool {
        let digest = Sha256::digest(id.as_bytes());
        let first = digest.first_chunk().copied().map_or(0, u64::from_be_bytes);
        first % self.count == self.index
    }
}

impl Inputs {
    /// Leaves out what is not in a part.
    pub fn keep_shard(&mut self, shard: Shard) {
        self.photographs.retain(|input| shard.holds(&input.id));
    }
}

/// `3/8`.
impl Display for Shard {
    fn fmt(&self, formatter: &mut Formatter) -> fmt::Result {
        write!(formatter, "{}/{}", self.index + 1, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no part; 3/8 is the third of eight");
        let (number, count) = text.split_once('/').ok_or_else(wrong)?;
        let parse = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
        Self::new(parse(number)?, parse(count)?).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_photograph_is_in_one_part_and_stays_there() {
        let ids: Vec<String> = (0..3000).map(|index| format!("eye_{index}")).collect();
        let parts = |count: u64| {
            let part = |number| Shard::new(number, count).unwrap();
            let size = |number| ids.iter().filter(|id| part(number).holds(id)).count();
            (1..=count).map(size).collect::<Vec<_>>()
        };
        for count in [1, 2, 7] {
            let sizes = parts(count);
            assert_eq!(sizes.iter().sum::<usize>(), ids.len());
            let even = ids.len() / sizes.len();
            assert!(
                sizes.iter().all(|size| size.abs_diff(even) < 100),
                "{sizes:?}"
            );
        }
        // Never to change: cohorts are begun by one version and ended by another.
        let of_four: Vec<bool> = (0..6)
            .map(|index| Shard::new(1, 4).unwrap().holds(&format!("eye_{index}")))
            .collect();
        assert_eq!(of_four, KNOWN);
    }

    const KNOWN: [bool; 6] = [true, false, false, false, false, false];

    #[test]
    fn parts_are_counted_from_one() {
        assert_eq!("3/8".parse::<Shard>().unwrap().to_string(), "3/8");
        for wrong in ["0/8", "9/8", "3", "a/8", "1/0", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
