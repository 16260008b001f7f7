//! The convolution itself: a cube computes a tile of 16 × 16 or 32 × 16 pixels for some output channels.
//!
//! Chunks of input channels are copied into shared memory, the tile with its surroundings once for
//! all taps of the window, while the chunk before is multiplied on tensor cores. Pieces of 8
//! channels lie there so that the 8 rows that a matrix load reads are in different banks: where
//! pixels (or output channels) 4 … 7 of every 8 begin, the halves of 16 channels change places.

#![allow(
    clippy::too_many_arguments,
    clippy::too_many_lines,
    clippy::used_underscore_binding,
    reason = "a kernel is one function, and its types are arguments to the macro"
)]

use cubecl::ir::MatrixIdent;
use cubecl::prelude::barrier::{Barrier, copy_async, copy_async_checked};
use cubecl::prelude::*;

use crate::layer::{Layer, PIECE, PLANES, TILE};

/// Units of a cube.
pub(crate) const UNITS: u32 = 32 * PLANES as u32;
/// Bytes that the banks of shared memory hold side by side. CubeCL lays the barrier before or after the
/// chunks, by chance per compilation; of two compilations on an H100 those that were seen to begin 16
/// bytes after such a line were the slower ones, by up to 1.8 times.
const LINE: usize = 128;

type Pieces<E> = Array<Vector<E, Const<8>>>;
type Shared<E> = SharedMemory<Vector<E, Const<8>>>;

/// Sizes of the maps; channels of inputs in pieces, of outputs in what is written together.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Sizes {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    first: u32,
    second: u32,
    outputs: u32,
}

/// Where a cube is.
#[derive(CubeType, Clone, Copy)]
struct Place {
    image: u32,
    top: u32,
    left: u32,
    /// Where the weights of its output channels begin.
    weights: u32,
}

/// Maps of elements `G`, multiplied as `E`.
#[cube(launch_unchecked)]
pub(crate) fn convolution<G: Float, E: Float>(
    first: &Pieces<G>,
    second: &Pieces<G>,
    weights: &Pieces<E>,
    bias: &Array<f32>,
    residual: &Pieces<G>,
    output: &mut Pieces<G>,
    sizes: Sizes,
    #[comptime] layer: Layer,
    #[define(G)] _maps: StorageType,
    #[define(E)] _products: StorageType,
) {
    let barrier = Barrier::shared(CUBE_DIM, UNIT_POS == 0);
    let mma = cmma::MmaDefinition::<E, E, f32>::new(16usize, 8usize, 16usize);
    let size!(NA) = mma.vector_size(MatrixIdent::A);
    let size!(NB) = mma.vector_size(MatrixIdent::B);
    let size!(NC) = mma.vector_size(MatrixIdent::Accumulator);
    let mut shared = Shared::<E>::new_aligned(comptime!(layer.pieces() as usize), LINE);

    let groups = (sizes.outputs * layer.written).div_ceil(layer.width);
    let side = comptime!(TILE as u32);
    let across = sizes.out_width.div_ceil(side);
    let group = CUBE_POS_X % groups;
    let tile = CUBE_POS_X / groups;
    let chunks = (sizes.first + sizes.second).div_ceil(comptime!(2 * layer.steps));
    let place = Place {
        image: CUBE_POS_Y,
        top: tile / across * comptime!(layer.height()),
        left: tile % across * side,
        weights: group * chunks * comptime!(layer.parts() * layer.weights()),
    };

    load::<G, E>(
        first,
        second,
        weights,
        &mut shared,
        &sizes,
        &place,
        0,
        0,
        layer,
    );
    barrier.commit_copy_async();

    let plane = UNIT_POS / 32;
    let lane = UNIT_POS % 32;
    let mut sums = Sequence::<Array<Vector<f32, NC>>>::new();
    #[unroll]
    for _ in 0..comptime!(layer.rows * layer.width / 8) {
        let mut sum = Array::<Vector<f32, NC>>::new(2usize);
        sum[0] = Vector::new(0.0f32);
        sum[1] = Vector::new(0.0f32);
        sums.push(sum);
    }

    // The pixel and the output channel whose piece a lane hands to a matrix load.
    let pixel = lane % 16;
    let pixel_half = lane / 16;
    let channel = lane / 16 * 8 + lane % 8;
    let channel_half = (lane / 8 % 2) ^ (channel / 4 % 2);

    for chunk in 0..chunks {
        // The chunk has arrived, and all are done with the one before.
        barrier.arrive_and_wait();
        let begin = chunk % 2 * comptime!(layer.buffer());
        if comptime!(!layer.single) {
            if chunk + 1 < chunks {
                let other = comptime!(layer.buffer()) - begin;
                load::<G, E>(
                    first,
                    second,
                    weights,
                    &mut shared,
                    &sizes,
                    &place,
                    chunk + 1,
                    other,
                    layer,
                );
            }
            barrier.commit_copy_async();
        }

        let rows = begin + 2 * plane * comptime!(layer.rows * layer.inner() * layer.halo()[1]);
        let taps = begin + comptime!(layer.parts() * layer.input()) + 2 * channel + channel_half;
        #[unroll]
        for step in 0..layer.steps {
            #[unroll]
            for dx in 0..layer.side {
                let column = pixel * comptime!(layer.inner()) + dx;
                let column = 2 * column + (pixel_half ^ (column / 4 % 2));
                // Of two parts each, all products but that of the smaller ones.
                #[unroll]
                for part in 0..layer.parts() {
                    let mut inputs = Sequence::<Array<Vector<E, NA>>>::new();
                    #[unroll]
                    for row in 0..comptime!((layer.rows - 1) * layer.inner() + layer.side) {
                        let row = comptime!({
                            let [height, width] = layer.halo();
                            part * layer.input() + 2 * width * (step * height + row)
                        });
                        let at = (rows + column + row) as usize;
                        let piece = shared.slice(at, at + 1);
                        inputs.push(mma.load_matrix::<_, NA>(
                            &piece,
                            MatrixIdent::A,
                            4usize,
                            false,
                        ));
                    }
                    #[unroll]
                    for other in 0..comptime!(layer.parts() - part) {
                        #[unroll]
                        for dy in 0..layer.side {
                            #[unroll]
                            for pair in 0..comptime!(layer.width / 16) {
                                let tap = comptime!((step * layer.side + dy) * layer.side + dx);
                                let tap = comptime!(
                                    other * layer.weights() + 2 * (tap * layer.width + pair * 16)
                                );
                                let at = (taps + tap) as usize;
                                let piece = shared.slice(at, at + 1);
                                let both =
                                    mma.load_matrix::<_, NB>(&piece, MatrixIdent::B, 4usize, false);
                                let mut even = Array::<Vector<E, NB>>::new(2usize);
                                even[0] = both[0];
                                even[1] = both[1];
                                let mut odd = Array::<Vector<E, NB>>::new(2usize);
                                odd[0] = both[2];
                                odd[1] = both[3];
                                #[unroll]
                                for row in 0..layer.rows {
                                    let at = comptime!((row * layer.inner() + dy) as usize);
                                    let input = inputs.index(at);
                                    let sum =
                                        comptime!((row * layer.width / 8 + 2 * pair) as usize);
                                    mma.execute_inplace(input, &even, sums.index_mut(sum));
                                    let sum = comptime!(sum + 1);
                                    mma.execute_inplace(input, &odd, sums.index_mut(sum));
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    // Through shared memory, so that neighbours are written together. Results lie where the chunks did,
    // as elements of theirs: whether memory of its own would be laid over that of the chunks is not
    // certain.
    sync_cube();
    let size!(PAIR) = comptime!(2 * layer.parts() as usize);
    let mut staged = shared.to_slice_mut().with_vector_size::<PAIR>();
    #[unroll]
    for eight in 0..comptime!(layer.width / 8) {
        let channel = eight * 8 + lane % 4 * 2;
        let mut shift = Vector::<f32, NC>::empty();
        shift[0] = bias[(group * layer.width + channel) as usize];
        shift[1] = bias[(group * layer.width + channel + 1) as usize];
        #[unroll]
        for row in 0..layer.rows {
            let sum = sums.index(comptime!((row * layer.width / 8 + eight) as usize));
            #[unroll]
            for half in 0..2u32 {
                let pixel = (plane * layer.rows + row) * side + half * 8 + lane / 4;
                let value = sum[comptime!(half as usize)] + shift;
                let mut pair = Vector::<G, Const<2>>::empty();
                pair[0] = G::cast_from(value[0]);
                pair[1] = G::cast_from(value[1]);
                staged[(pixel * comptime!(layer.pitch()) + channel / 2) as usize] =
                    Vector::<E, PAIR>::reinterpret(pair);
            }
        }
    }
    sync_cube();
    let size!(N) = layer.written as usize;
    let size!(STAGED) = comptime!((layer.parts() * layer.written) as usize);
    let values = shared.to_slice().with_vector_size::<STAGED>();
    let mut output = output.to_slice_mut().with_vector_size::<N>();
    let residual = residual.to_slice().with_vector_size::<N>();
    let wide = comptime!(layer.width / layer.written);
    let results = comptime!(layer.height() * TILE as u32 * wide);
    for index in range_stepped(UNIT_POS, results, UNITS) {
        let part = index % wide;
        let pixel = index / wide;
        let y = place.top + pixel / side;
        let x = place.left + pixel % side;
        let channel = group * wide + part;
        if y < sizes.out_height && x < sizes.out_width && channel < sizes.outputs {
            let row = place.image * sizes.out_height + y;
            let mut at = (row * sizes.out_width + x) * sizes.outputs + channel;
            if comptime!(layer.spread) {
                // Above left, above right, below left, below right.
                let quarter = sizes.outputs / 4;
                let dy = channel / quarter / 2;
                let dx = channel / quarter % 2;
                let pixel = ((2 * row + dy) * sizes.out_width + x) * 2 + dx;
                at = pixel * quarter + channel % quarter;
            }
            let pitch = comptime!(2 * layer.pitch() / layer.written);
            let mut value = Vector::<G, N>::reinterpret(values[(pixel * pitch + part) as usize]);
            if comptime!(layer.residual) {
                value += residual[at as usize];
            }
            if comptime!(layer.leak == Some(0)) {
                value = max(value, Vector::new(G::new(0.0)));
            } else if comptime!(layer.leak.is_some()) {
                let leak = comptime!(f32::from_bits(layer.leak.unwrap_or_default()));
                value = max(value, value * Vector::new(G::new(leak)));
            }
            output[at as usize] = value;
        }
    }
}

/// Begins to copy a chunk of channels of a tile with its surroundings, and their weights.
#[cube]
fn load<G: Float, E: Float>(
    first: &Pieces<G>,
    second: &Pieces<G>,
    weights: &Pieces<E>,
    shared: &mut Shared<E>,
    sizes: &Sizes,
    place: &Place,
    chunk: u32,
    begin: u32,
    #[comptime] layer: Layer,
) {
    #[unroll]
    for turn in 0..comptime!(layer.input().div_ceil(UNITS)) {
        let index = UNIT_POS + turn * UNITS;
        if comptime!((turn + 1) * UNITS <= layer.input()) || index < comptime!(layer.input()) {
            load_input::<G, E>(
                first, second, shared, sizes, place, chunk, begin, index, layer,
            );
        }
    }
    let size = comptime!(layer.parts() * layer.weights());
    let from = place.weights + chunk * size;
    let to = begin + comptime!(layer.parts() * layer.input());
    #[unroll]
    for turn in 0..comptime!(size.div_ceil(UNITS)) {
        let index = UNIT_POS + turn * UNITS;
        if comptime!((turn + 1) * UNITS <= size) || index < size {
            load_weights::<E>(weights, shared, from + index, to + index);
        }
    }
}

/// Begins to copy a piece of weights.
#[cube]
fn load_weights<E: Float>(weights: &Pieces<E>, shared: &mut Shared<E>, from: u32, to: u32) {
    let (from, to) = (from as usize, to as usize);
    let piece = weights.slice(from, from + 1);
    copy_async(
        &piece,
        &mut shared.slice_mut(to, to + 1),
        comptime!(PIECE as u32),
    );
}

/// Begins to copy a piece of the input; beyond its edges there are zeros.
#[cube]
fn load_input<G: Float, E: Float>(
    first: &Pieces<G>,
    second: &Pieces<G>,
    shared: &mut Shared<E>,
    sizes: &Sizes,
    place: &Place,
    chunk: u32,
    begin: u32,
    index: u32,
    #[comptime] layer: Layer,
) {
    let halo = comptime!(layer.halo()[1]);
    let wide = comptime!(2 * layer.steps);
    let apart = comptime!(layer.stride / layer.inner());
    let border = comptime!(layer.side / 2);
    let part = index % wide;
    let pixel = index / wide;
    let column = pixel % halo;
    // Before the first row or column, these wrap to huge numbers.
    let y = place.top * layer.stride + pixel / halo * apart - border;
    let x = place.left * layer.stride + column * apart - border;
    let channel = chunk * wide + part;
    let inside = y < sizes.height && x < sizes.width && channel < sizes.first + sizes.second;
    let from = (place.image * sizes.height + y) * sizes.width + x;
    let half = (part % 2) ^ (column / 4 % 2);
    let to = begin + part / 2 * comptime!(2 * layer.area()) + 2 * pixel + half;
    if comptime!(layer.joined) {
        if channel < sizes.first {
            let from = from * sizes.first + channel;
            fetch::<G, E>(first, shared, from, to, inside, layer);
        } else {
            let from = from * sizes.second + channel - sizes.first;
            fetch::<G, E>(second, shared, from, to, inside, layer);
        }
    } else {
        fetch::<G, E>(
            first,
            shared,
            from * sizes.first + channel,
            to,
            inside,
            layer,
        );
    }
}

/// Begins to copy a piece, or zeros. Values that are split are copied at once.
#[cube]
fn fetch<G: Float, E: Float>(
    source: &Pieces<G>,
    shared: &mut Shared<E>,
    from: u32,
    to: u32,
    inside: bool,
    #[comptime] layer: Layer,
) {
    let from = select(inside, from, 0) as usize;
    let to = to as usize;
    if comptime!(layer.split) {
        let mut value = Vector::<G, Const<8>>::new(G::new(0.0));
        if inside {
            value = source[from];
        }
        let large = Vector::<E, Const<8>>::cast_from(value);
        let small = value - Vector::<G, Const<8>>::cast_from(large);
        shared[to] = large;
        shared[to + comptime!(layer.input() as usize)] = Vector::<E, Const<8>>::cast_from(small);
    } else {
        let length = select(inside, 1u32, 0u32) as usize;
        let piece = source
            .slice(from, from + length)
            .downcast::<Vector<E, Const<8>>>();
        copy_async_checked(
            &piece,
            &mut shared.slice_mut(to, to + 1),
            comptime!(PIECE as u32),
        );
    }
}
