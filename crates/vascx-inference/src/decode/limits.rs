//! What decoding may cost, checked before memory is touched.

use super::Result;

/// How large a photograph may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeLimits {
    /// Pixels of one photograph; whatever declares more is refused before it is decoded.
    pub max_pixels: u64,
}

impl Default for DecodeLimits {
    /// 250 million pixels: 750 MB as RGB, more than ten times what fundus cameras deliver.
    fn default() -> Self {
        Self {
            max_pixels: 250_000_000,
        }
    }
}

impl DecodeLimits {
    /// Limits with another number of pixels.
    #[must_use]
    pub fn with_max_pixels(mut self, max_pixels: u64) -> Self {
        self.max_pixels = max_pixels;
        self
    }

    /// Checks what a header declares; the size is returned as the type that images use.
    pub(super) fn check(self, width: u64, height: u64) -> Result<(u32, u32)> {
        if width == 0 || height == 0 {
            return Err("the image has no pixels".into());
        }
        let pixels = u128::from(width) * u128::from(height);
        match (u32::try_from(width), u32::try_from(height)) {
            (Ok(width), Ok(height)) if pixels <= u128::from(self.max_pixels) => Ok((width, height)),
            _ => Err(format!(
                "the file declares {width} × {height} pixels; the limit (max-pixels) is {} in all",
                self.max_pixels
            )),
        }
    }

    /// Bytes of the largest file: no photograph within the limit takes more than 16 per pixel.
    pub(super) fn most_bytes(self) -> u64 {
        const ELSEWHERE: u64 = 64 << 20;
        self.max_pixels.saturating_mul(16).saturating_add(ELSEWHERE)
    }

    /// Checks a file's length.
    pub(super) fn check_file(self, length: u64) -> Result<()> {
        if length > self.most_bytes() {
            return Err(format!(
                "the file has {length} bytes, more than a photograph of {} pixels (max-pixels) can need",
                self.max_pixels
            ));
        }
        Ok(())
    }
}

/// Zeros, or an error when there is no memory for them.
pub(super) fn zeros(bytes: u64) -> Result<Vec<u8>> {
    let length = usize::try_from(bytes).map_err(|_| no_memory(bytes))?;
    let mut buffer = Vec::new();
    buffer
        .try_reserve_exact(length)
        .map_err(|_| no_memory(bytes))?;
    buffer.resize(length, 0);
    Ok(buffer)
}

/// Whether a decoder that allocates on its own would get this much now: such allocations end the
/// process where they fail.
pub(super) fn check_room(bytes: u64) -> Result<()> {
    let length = usize::try_from(bytes).map_err(|_| no_memory(bytes))?;
    Vec::<u8>::new()
        .try_reserve_exact(length)
        .map_err(|_| no_memory(bytes))
}

pub(super) fn no_memory(bytes: u64) -> String {
    format!(
        "decoding needs {} MB of memory that this process cannot get",
        bytes.div_ceil(1_000_000)
    )
}
