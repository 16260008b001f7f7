//! What is decided about a layer before its kernel is compiled.

/// Channels that a matrix instruction sums over, and pixels of a row that it takes.
pub(crate) const STEP: usize = 16;
/// Channels that are copied and kept together.
pub(crate) const PIECE: usize = 8;
/// Pixels per row of a cube's tile.
pub(crate) const TILE: usize = 16;
/// Planes of a cube; each computes rows of its own.
pub(crate) const PLANES: usize = 4;
/// Of a piece that tensor cores multiply.
const BYTES: usize = 16;

/// Changes with the kernel's source. CubeCL keeps compiled kernels on disk by what is known of them, and
/// would take those of another version of this crate.
pub(crate) const SOURCE: u64 = {
    let sources: [&[u8]; 2] = [include_bytes!("kernel.rs"), include_bytes!("layer.rs")];
    // FNV-1a.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut source = 0;
    while source < sources.len() {
        let mut at = 0;
        while at < sources[source].len() {
            hash = (hash ^ sources[source][at] as u64).wrapping_mul(0x100_0000_01b3);
            at += 1;
        }
        source += 1;
    }
    hash
};

/// What is known of a layer when its kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own.
pub(crate) struct Layer {
    /// [`SOURCE`].
    pub(crate) source: u64,
    /// Side of the window; odd.
    pub(crate) side: u32,
    /// 1 or 2.
    pub(crate) stride: u32,
    /// Output channels of a cube.
    pub(crate) width: u32,
    /// Rows of a tile that a plane computes: with few channels more of them, since every row is
    /// multiplied by the same weights.
    pub(crate) rows: u32,
    /// Steps of [`STEP`] channels that are copied together.
    pub(crate) steps: u32,
    /// Whether there is only one chunk.
    pub(crate) single: bool,
    /// Whether values are sums of two shorter ones.
    pub(crate) split: bool,
    /// Whether a quarter of the channels each is for one of 2 × 2 pixels.
    pub(crate) spread: bool,
    /// Output channels that are written together: a piece, or as many as all of them can be
    /// divided into.
    pub(crate) written: u32,
    /// Whether there are two inputs.
    pub(crate) joined: bool,
    /// Whether something is added.
    pub(crate) residual: bool,
    /// What negative sums are multiplied by, as the bits of an f32, if by anything.
    pub(crate) leak: Option<u32>,
}

impl Layer {
    /// Rows of a tile.
    pub(crate) fn height(&self) -> u32 {
        PLANES as u32 * self.rows
    }

    /// Height and width of the part of the input that is kept for a tile of the output.
    pub(crate) fn halo(&self) -> [u32; 2] {
        [self.height(), TILE as u32].map(|side| (side - 1) * self.inner() + self.side)
    }

    /// Pixels of that part.
    pub(crate) fn area(&self) -> u32 {
        let [height, width] = self.halo();
        height * width
    }

    /// Pixels of that part from one output to the next. A window of one pixel leaves out the
    /// others before they are copied.
    pub(crate) fn inner(&self) -> u32 {
        if self.side == 1 { 1 } else { self.stride }
    }

    pub(crate) fn parts(&self) -> u32 {
        if self.split { 2 } else { 1 }
    }

    /// Pieces of the input per chunk and part.
    pub(crate) fn input(&self) -> u32 {
        2 * self.area() * self.steps
    }

    /// Pieces of the weights per chunk and part.
    pub(crate) fn weights(&self) -> u32 {
        2 * self.side * self.side * self.width * self.steps
    }

    pub(crate) fn buffer(&self) -> u32 {
        self.parts() * (self.input() + self.weights())
    }

    pub(crate) fn buffers(&self) -> u32 {
        if self.single {
            self.buffer()
        } else {
            2 * self.buffer()
        }
    }

    /// Pieces of shared memory: for the chunks and, after them, for the results.
    pub(crate) fn pieces(&self) -> u32 {
        let results = self.height() * TILE as u32 * self.pitch() * 4 / BYTES as u32;
        self.buffers().max(self.parts() * results)
    }

    /// Pairs of outputs of a pixel, with some that keep pixels in different banks.
    pub(crate) fn pitch(&self) -> u32 {
        self.width / 2 + 4
    }

    /// Bytes of shared memory.
    pub(crate) fn shared(&self) -> usize {
        self.pieces() as usize * BYTES
    }
}
