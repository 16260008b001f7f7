//! The tiles of AMX. Compilers of today's stable Rust do not know them, assemblers do.

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::sync::OnceLock;

use super::{ROW, ROWS, Tiles};

/// Palette 1: eight tiles of up to 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

static WHOLE_TILES: Configuration = {
    let mut configuration = Configuration {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        bytes_per_row: [0; 16],
        rows: [0; 16],
    };
    let mut tile = 0;
    while tile < 8 {
        configuration.bytes_per_row[tile] = ROW as u16;
        configuration.rows[tile] = ROWS as u8;
        tile += 1;
    }
    configuration
};

/// Whether processor and system have tiles and bf16 on them, and the system lets this process use them.
pub(super) fn is_available() -> bool {
    /// `ARCH_REQ_XCOMP_PERM` of `arch_prctl`, and the state asked for.
    const REQUEST: libc::c_long = 0x1023;
    const TILES: libc::c_long = 18;
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        let leaf = __cpuid_count(7, 0);
        let (bf16, tiles) = (leaf.edx >> 22 & 1, leaf.edx >> 24 & 1);
        let saved = __cpuid_count(1, 0).ecx >> 27 & 1;
        if bf16 & tiles & saved == 0 {
            return false;
        }
        // SAFETY: the system has set up extended states, and xgetbv is there with them.
        let enabled = unsafe { _xgetbv(0) } >> 17 & 3 == 3;
        // SAFETY: asks for a permission, which no memory is needed for.
        enabled && unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILES) } == 0
    })
}

/// Set up while it lives.
pub(super) struct Amx(());

impl Default for Amx {
    /// To be called only where [`is_available`].
    #[inline(always)]
    fn default() -> Self {
        let mut amx = Self(());
        amx.set_up();
        amx
    }
}

impl Drop for Amx {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the machine has tiles.
        unsafe { asm!("tilerelease", options(nostack)) };
    }
}

// SAFETY of every block: the machine has tiles, which are set up (see `TileSet::run`); compilers use none of
// them; callers vouch for memory. None promises to leave memory alone, so that all stay in order.
impl Tiles for Amx {
    #[inline(always)]
    fn set_up(&mut self) {
        unsafe {
            asm!(
                "tilerelease",
                "ldtilecfg [{0}]",
                in(reg) &raw const WHOLE_TILES,
                options(nostack),
            );
        }
    }

    #[inline(always)]
    fn zero<const TILE: usize>(&mut self) {
        unsafe { asm!("tilezero tmm{0}", const TILE, options(nostack)) };
    }

    #[inline(always)]
    unsafe fn load<const TILE: usize>(&mut self, first: *const u8, stride: usize) {
        unsafe {
            asm!(
                "tileloadd tmm{0}, [{1} + {2}*1]",
                const TILE,
                in(reg) first,
                in(reg) stride,
                options(nostack),
            );
        }
    }

    #[inline(always)]
    fn multiply<const SUMS: usize, const VALUES: usize, const PAIRS: usize>(&mut self) {
        unsafe {
            asm!(
                "tdpbf16ps tmm{0}, tmm{1}, tmm{2}",
                const SUMS,
                const VALUES,
                const PAIRS,
                options(nostack),
            );
        }
    }

    #[inline(always)]
    unsafe fn store<const TILE: usize>(&mut self, first: *mut u8, stride: usize) {
        unsafe {
            asm!(
                "tilestored [{1} + {2}*1], tmm{0}",
                const TILE,
                in(reg) first,
                in(reg) stride,
                options(nostack),
            );
        }
    }
}
