//! How much memory photographs under way may take.

use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::decode::{Declared, DecodeLimits};
use crate::error::Error;

/// Share of the free memory that is used unless something else is asked for.
const SHARE: f64 = 0.5;
/// Bytes for photographs under way, from before they are decoded until their results are written.
#[derive(Debug)]
pub(crate) struct Budget {
    total: u64,
    taken: Mutex<u64>,
    given_back: Condvar,
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share<'b> {
    budget: &'b Budget,
    bytes: u64,
}

impl Budget {
    /// Of so many bytes, else of a share of what this process may take.
    pub(crate) fn new(bytes: Option<u64>) -> Self {
        let share = || free_memory().map_or(u64::MAX, |free| (free as f64 * SHARE) as u64);
        Self {
            total: bytes.unwrap_or_else(share),
            taken: Mutex::new(0),
            given_back: Condvar::new(),
        }
    }

    /// All of it.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    fn taken(&self) -> MutexGuard<'_, u64> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is said of a photograph that takes more than all of it.
    pub(crate) fn refusal(&self, path: &Path, bytes: u64, size: Option<(u32, u32)>) -> Error {
        let (width, height) = size.unwrap_or_default();
        Error::TooLarge {
            path: path.to_owned(),
            width,
            height,
            needed: bytes.div_ceil(1_000_000),
            budget: self.total / 1_000_000,
        }
    }

    /// A share if there is room for it now.
    pub(crate) fn try_take(&self, bytes: u64) -> Option<Share<'_>> {
        let mut taken = self.taken();
        (bytes <= self.total - *taken).then(|| {
            *taken += bytes;
            Share {
                budget: self,
                bytes,
            }
        })
    }

    /// A share as soon as there is room for it; none if there never is.
    pub(crate) fn take(&self, bytes: u64) -> Option<Share<'_>> {
        if bytes > self.total {
            return None;
        }
        let full = |taken: &mut u64| bytes > self.total - *taken;
        let taken = self.given_back.wait_while(self.taken(), full);
        *taken.unwrap_or_else(PoisonError::into_inner) += bytes;
        Some(Share {
            budget: self,
            bytes,
        })
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.budget.taken() -= self.bytes;
        self.budget.given_back.notify_all();
    }
}

/// What a photograph takes while it is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// Beyond which it is refused before it is decoded.
    pub(crate) limits: DecodeLimits,
    /// Bytes per pixel of the photograph, besides those of decoding.
    pub(crate) per_pixel: u64,
    /// Bytes, however large it is.
    pub(crate) fixed: u64,
}

impl Need {
    /// Bytes for the photograph at a path, with its width and height where its header tells them. What
    /// cannot be read takes nothing; why will be said when its turn comes.
    pub(crate) fn of(self, path: &Path) -> (u64, Option<(u32, u32)>) {
        let Some(Declared { size, bytes }) = Declared::of(path, self.limits) else {
            return (0, None);
        };
        let pixels = size.map_or(0, |(width, height)| u64::from(width) * u64::from(height));
        let results = pixels.saturating_mul(self.per_pixel);
        let bytes = bytes.saturating_add(results).saturating_add(self.fixed);
        (bytes, size)
    }
}

/// Bytes that this process may still take: what the machine has free, within the limits of its control
/// groups and its address space. None where the system does not tell.
fn free_memory() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let kilobytes = |text: &str, line: &str| {
        let line = text.lines().find_map(|found| found.strip_prefix(line))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    let machine = read("/proc/meminfo");
    let machine = machine.and_then(|text| Some(kilobytes(&text, "MemAvailable:")? << 10));
    // Every group around this process may have a limit.
    let group = read("/proc/self/cgroup").and_then(|text| {
        let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
        let free = |group: &Path| {
            let file = |name: &str| format!("/sys/fs/cgroup{}/{name}", group.display());
            let limit = number(&file("memory.max"))?;
            Some(limit.saturating_sub(number(&file("memory.current"))?))
        };
        Path::new(own).ancestors().filter_map(free).min()
    });
    let old_group = number("/sys/fs/cgroup/memory/memory.limit_in_bytes").and_then(|limit| {
        let used = number("/sys/fs/cgroup/memory/memory.usage_in_bytes")?;
        Some(limit.saturating_sub(used))
    });
    // `ulimit -v`.
    let address_space = read("/proc/self/limits").and_then(|text| {
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix("Max address space"))?;
        let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
        let used = kilobytes(&read("/proc/self/status")?, "VmSize:")? << 10;
        Some(limit.saturating_sub(used))
    });
    [machine, group, old_group, address_space]
        .into_iter()
        .flatten()
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_wait_for_room_and_what_never_fits_is_refused() {
        let budget = Budget::new(Some(100));
        assert!(budget.take(101).is_none());
        let first = budget.take(60).unwrap();
        assert!(budget.try_take(41).is_none());
        let second = budget.try_take(40).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(budget.take(70)));
            drop(second);
            assert!(budget.try_take(100).is_none());
            drop(first);
            waiting.join().unwrap();
        });
        assert!(budget.try_take(100).is_some());
    }

    #[test]
    fn the_header_tells_what_a_photograph_takes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.png");
        image::RgbImage::new(30, 20).save(&path).unwrap();
        let need = Need {
            limits: DecodeLimits::default(),
            per_pixel: 10,
            fixed: 1000,
        };
        let file = path.metadata().unwrap().len();
        let (bytes, size) = need.of(&path);
        assert_eq!(
            (bytes, size),
            (600 * (10 + 6) + 1000 + file, Some((30, 20)))
        );
        assert_eq!(need.of(folder.path()), (0, None));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn free_memory_is_less_than_all_of_it() {
        let free = free_memory().unwrap();
        assert!((1 << 20..1 << 50).contains(&free), "{free}");
    }
}
