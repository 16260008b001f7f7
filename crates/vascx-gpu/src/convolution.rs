//! What is convolved with what.

use crate::layer::{Layer, PIECE, SOURCE, STEP};

/// Element type of feature maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Multiplied as sums of two bf16 each, which keeps 16 bits of every factor.
    F32,
    /// Multiplied as they are.
    F16,
    /// Multiplied as they are.
    BF16,
}

impl Element {
    /// Element type of the weights: bf16 for f32's parts.
    #[must_use]
    pub fn products(self) -> Self {
        match self {
            Self::F32 => Self::BF16,
            other => other,
        }
    }
}

/// What happens to the sums of a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// Negative ones are multiplied by a slope of 0 to 1; by 0 for ReLU.
    LeakyRelu(f32),
}

/// A convolution with an odd square window, padded by half of it: height and width are divided by
/// the stride, rounding up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convolution {
    /// Element type of the maps.
    pub element: Element,
    /// Channels of all inputs together; a multiple of 8.
    pub inputs: usize,
    /// A multiple of 32 if they are spread.
    pub outputs: usize,
    /// Side of the window; odd.
    pub side: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Whether quarters of the outputs are the 2 × 2 pixels of a map of twice the height and width.
    pub spread: bool,
    /// Of the sums.
    pub activation: Activation,
}

/// How the kernel reads weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Groups of output channels.
    pub(crate) groups: usize,
    /// Output channels of a group.
    pub(crate) width: usize,
    /// Chunks of input channels.
    pub(crate) chunks: usize,
    /// Input channels of a chunk in units of 16.
    pub(crate) steps: usize,
    /// 2 where values are sums of two.
    pub(crate) parts: usize,
}

impl Convolution {
    /// The packing of the weights, if there is a kernel that fits into shared memory, in bytes.
    pub fn packing(&self, shared_memory: usize) -> Option<Packing> {
        self.layer(shared_memory).map(|layer| {
            let (width, steps) = (layer.width as usize, layer.steps as usize);
            Packing {
                groups: self.outputs.div_ceil(width),
                width,
                chunks: self.inputs.div_ceil(steps * STEP),
                steps,
                parts: if layer.split { 2 } else { 1 },
            }
        })
    }

    /// With as many outputs per cube as fit and, where they are few, as many rows.
    pub(crate) fn layer(&self, shared_memory: usize) -> Option<Layer> {
        let odd = self.side % 2 == 1 && self.side <= 7;
        let apart = !self.spread || self.outputs.is_multiple_of(4 * PIECE);
        let whole = self.inputs.is_multiple_of(PIECE) && apart;
        if !odd || !whole || !(1..=2).contains(&self.stride) || self.inputs * self.outputs == 0 {
            return None;
        }
        let split = self.element == Element::F32;
        let most = if self.side == 1 { 4 } else { 1 };
        let steps = self.inputs.div_ceil(STEP).min(most);
        let leak = match self.activation {
            Activation::Identity => None,
            Activation::LeakyRelu(slope) => Some(slope.to_bits()),
        };
        // Rows that are kept for a taller tile pay where windows overlap, and take registers: too many
        // with larger windows or a stride.
        let tall = self.stride == 1 && (3..=5).contains(&self.side);
        let tiles = [(64, 4), (32, 8), (32, 4)]
            .into_iter()
            .filter(|&(width, rows)| (width == 32 || self.outputs > 32) && (rows == 4 || tall));
        let mut layers = tiles.map(|(width, rows)| Layer {
            source: SOURCE,
            side: self.side as u32,
            stride: self.stride as u32,
            width,
            rows,
            steps: steps as u32,
            single: self.inputs <= steps * STEP,
            split,
            spread: self.spread,
            written: 1 << self.outputs.trailing_zeros().min(PIECE.ilog2()),
            joined: false,
            residual: false,
            leak,
        });
        // Besides, there is a barrier.
        layers.find(|layer| layer.shared() + 1024 <= shared_memory)
    }
}
