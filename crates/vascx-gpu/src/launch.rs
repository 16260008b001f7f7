//! Choosing a kernel for a layer and launching it.

#![allow(
    unsafe_code,
    reason = "kernels are launched without bound checks; the sizes they rely on are checked here"
)]

use cubecl::ir::features::MmaConfig;
use cubecl::ir::{DeviceProperties, ElemType, FloatKind};
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::kernel::{self, SizesLaunch, UNITS};
use crate::layer::{Layer, PIECE, STEP, TILE};
use crate::{Convolution, Element, Packing};

fn storage(element: Element) -> StorageType {
    let kind = match element {
        Element::F32 => FloatKind::F32,
        Element::F16 => FloatKind::F16,
        Element::BF16 => FloatKind::BF16,
    };
    StorageType::Scalar(ElemType::Float(kind))
}

/// Feature maps `[N, H, W, C]` in a card's memory, without gaps.
#[derive(Clone, Debug)]
pub struct Maps {
    /// Their values.
    pub handle: Handle,
    /// A multiple of 8.
    pub channels: usize,
}

/// What a convolution reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a> {
    /// The input.
    pub first: &'a Maps,
    /// Another one whose channels follow.
    pub joined: Option<&'a Maps>,
    /// As [`Packing::weights`] has them, in [`Element::products`].
    pub weights: &'a Handle,
    /// As [`Packing::bias`] has it, in f32.
    pub bias: &'a Handle,
    /// What is added before the activation, like the output.
    pub residual: Option<&'a Handle>,
    /// Where the results go.
    pub output: &'a Handle,
}

/// The packing of the weights, if a card has what the kernel needs: tensor cores for its elements,
/// copies behind the program's back and enough shared memory.
pub fn packing(convolution: &Convolution, card: &DeviceProperties) -> Option<Packing> {
    let products = storage(convolution.element.products());
    let instruction = MmaConfig {
        a_type: products,
        b_type: products,
        cd_type: storage(Element::F32),
        m: 16,
        n: 8,
        k: STEP as u32,
    };
    let matrices = &card.features.matmul;
    let multiplies = matrices.mma.contains(&instruction) && matrices.ldmatrix.contains(&products);
    if !multiplies || !card.features.copy_async {
        return None;
    }
    convolution.packing(card.hardware.max_shared_memory_size)
}

/// Convolves maps of so many images, rows and columns.
///
/// # Panics
/// When the card has no kernel for it, or sizes contradict each other.
pub fn convolve<R: Runtime>(
    client: &ComputeClient<R>,
    convolution: &Convolution,
    [images, height, width]: [usize; 3],
    operands: Operands,
) {
    let Operands {
        first,
        joined,
        weights,
        bias,
        residual,
        output,
    } = operands;
    let card = client.properties();
    let packing = packing(convolution, card).expect("a kernel of this card");
    let memory = card.hardware.max_shared_memory_size;
    let layer = convolution.layer(memory).expect("as above");
    let layer = Layer {
        joined: joined.is_some(),
        residual: residual.is_some(),
        ..layer
    };
    let [out_height, out_width] = [height, width].map(|side| side.div_ceil(convolution.stride));
    let second = joined.map_or(0, |maps| maps.channels);
    let channels = first.channels + second;
    assert_eq!(channels, convolution.inputs, "channels of the inputs");
    let pixels = images * height * width;
    let size = |element: Element| storage(element).size();
    let element = convolution.element;
    for maps in [Some(first), joined].into_iter().flatten() {
        check(&maps.handle, pixels * maps.channels * size(element));
    }
    let results = images * out_height * out_width * convolution.outputs * size(element);
    check(output, results);
    if let Some(residual) = residual {
        check(residual, results);
    }
    let taps = convolution.side * convolution.side;
    check(weights, packing.len(taps) * size(element.products()));
    check(bias, packing.groups * packing.width * size_of::<f32>());

    let tiles = out_height.div_ceil(layer.height() as usize) * out_width.div_ceil(TILE);
    let pieces = |channels: usize| (channels / PIECE) as u32;
    let written = convolution.outputs as u32 / layer.written;
    // Lengths are not used, for nothing is checked in the kernel.
    let argument = |handle: &Handle| unsafe { ArrayArg::from_raw_parts(handle.clone(), 1) };
    unsafe {
        kernel::convolution::launch_unchecked::<R>(
            client,
            CubeCount::Static((tiles * packing.groups) as u32, images as u32, 1),
            CubeDim {
                x: UNITS,
                y: 1,
                z: 1,
            },
            argument(&first.handle),
            argument(&joined.unwrap_or(first).handle),
            argument(weights),
            argument(bias),
            argument(residual.unwrap_or(bias)),
            argument(output),
            SizesLaunch::new(
                height as u32,
                width as u32,
                out_height as u32,
                out_width as u32,
                pieces(first.channels),
                pieces(second),
                written,
            ),
            layer,
            storage(element),
            storage(element.products()),
        );
    }
}

fn check(handle: &Handle, bytes: usize) {
    let size = handle.size_in_used() as usize;
    assert!(
        size >= bytes,
        "{size} bytes where {bytes} are read or written"
    );
}
