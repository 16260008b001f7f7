//! What answers are made of, and how it is cut down before it leaves a card.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{DType, Int, Tensor, TensorData, backend::Backend};

use super::undo::to_photograph;
use crate::geometry::Geometry;
use crate::placement::Placement;
use crate::window::HostMaps;

/// One image's numbers on the host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// What [`super::FromMembers::combine`] gave.
    Numbers {
        /// Its last three axes.
        shape: [usize; 3],
        /// Row-major.
        data: Vec<f32>,
    },
    /// The most probable class of every pixel.
    Classes {
        /// Number of classes.
        count: usize,
        /// Whether pixels are the photograph's, not the network input's.
        undone: bool,
        /// Row by row.
        data: Vec<u8>,
    },
    /// The pixel of every heat map's maximum, row by row counted.
    Maxima(Vec<usize>),
    /// No numbers: infinities, or what is left of them.
    NotFinite,
    /// The network takes no images of that size, for this reason.
    Refused(String),
}

/// What [`super::FromMembers::combine`] gives for all images of a chunk.
#[derive(Debug)]
pub(super) enum Combined<B: Backend> {
    /// Maps in memory.
    Host(Vec<HostMaps>),
    /// On the device.
    Device {
        /// `[n, K, H, W]` for maps, `[n, M, D, 1]` for vectors.
        numbers: Tensor<B, 4>,
        /// How many of an image's numbers are not finite, `[n]`.
        astray: Tensor<B, 1, Int>,
    },
}

impl<B: Backend> Combined<B> {
    pub(super) fn on_device(numbers: Tensor<B, 4>) -> Self {
        let [count, k, height, width] = numbers.dims();
        let astray = numbers.clone().is_finite().bool_not().int();
        let astray = astray.reshape([count, k * height * width]).sum_dim(1);
        Self::Device {
            numbers,
            astray: astray.squeeze_dim(1),
        }
    }

    /// Softmax over the K of maps.
    pub(super) fn softmax(self) -> Self {
        self.map(HostMaps::softmax, |maps| softmax(maps, 1))
    }

    /// The logistic function of every value.
    pub(super) fn sigmoid(self) -> Self {
        self.map(HostMaps::sigmoid, sigmoid)
    }

    fn map(
        self,
        on_host: fn(HostMaps) -> HostMaps,
        on_device: fn(Tensor<B, 4>) -> Tensor<B, 4>,
    ) -> Self {
        match self {
            Self::Host(maps) => Self::Host(maps.into_iter().map(on_host).collect()),
            Self::Device { numbers, astray } => Self::Device {
                numbers: on_device(numbers),
                astray,
            },
        }
    }
}

impl From<HostMaps> for Values {
    fn from(maps: HostMaps) -> Self {
        let HostMaps {
            shape,
            values,
            finite,
        } = maps;
        if !finite {
            return Self::NotFinite;
        }
        Self::Numbers {
            shape,
            data: values,
        }
    }
}

/// What is still on the device, for all images of a chunk.
#[derive(Debug)]
pub(super) enum Reduced<B: Backend> {
    /// `[n, K, H, W]`.
    Numbers(Tensor<B, 4>),
    /// Class maps one after another.
    Classes {
        /// Number of classes.
        count: usize,
        /// Pixels of every map and whether they are the photograph's.
        maps: Vec<(usize, bool)>,
        /// All of them, one after another.
        data: Tensor<B, 1, Int>,
    },
    /// `[n, K]`.
    Maxima(Tensor<B, 2, Int>),
}

impl<B: Backend> Reduced<B> {
    /// What `pick` makes of probabilities `[n, C, H, W]`, pixel by pixel. Where every pixel of a photograph is one of
    /// the network input's, that is left to be picked on the host; else probabilities are
    /// interpolated first.
    pub(super) fn classes(
        probabilities: Tensor<B, 4>,
        geometries: &[&Geometry],
        pick: fn(Tensor<B, 3>) -> Tensor<B, 1, Int>,
    ) -> Self {
        let count = probabilities.dims()[1];
        let device = probabilities.device();
        let mut maps = Vec::new();
        let mut flat = Vec::new();
        for (index, geometry) in geometries.iter().enumerate() {
            let map: Tensor<B, 3> = probabilities.clone().narrow(0, index, 1).squeeze_dim(0);
            let undone = !geometry.picks_pixels();
            let classes: Vec<_> = if undone {
                to_photograph(map, geometry).map(pick).collect()
            } else {
                vec![pick(map)]
            };
            maps.push((classes.iter().map(|part| part.dims()[0]).sum(), undone));
            flat.extend(classes);
        }
        let data = Tensor::cat(flat, 0);
        let data = match Placement::of::<B>(&device) {
            Placement::Device { bytes: false } => data,
            _ => data.cast(DType::U8),
        };
        Self::Classes { count, maps, data }
    }

    /// The maxima of heat maps `[n, K, H, W]`.
    pub(super) fn maxima(maps: Tensor<B, 4>) -> Self {
        let [images, keypoints, height, width] = maps.dims();
        let flat: Tensor<B, 3> = maps.reshape([images, keypoints, height * width]);
        let highest = flat.clone().max_dim(2);
        let below = flat.lower(highest.expand([images, keypoints, height * width]));
        let beyond = (height * width) as i64;
        let index = Tensor::<B, 1, Int>::arange(0..beyond, &below.device());
        let index =
            index
                .reshape([1, 1, height * width])
                .expand([images, keypoints, height * width]);
        // The first of equals, whatever the order in which a device compares.
        let first = index.mask_fill(below, beyond).min_dim(2);
        Self::Maxima(first.squeeze_dim(2))
    }

    /// Waits for the device and copies; one result per image. `astray` are those of
    /// [`Combined::Device`].
    ///
    /// # Errors
    /// What the device says, when an operation failed.
    pub(super) fn take(self, astray: Tensor<B, 1, Int>) -> Result<Vec<Values>, String> {
        fn read<T>(
            data: Result<TensorData, burn::tensor::backend::ExecutionError>,
        ) -> Result<Vec<T>, String>
        where
            T: burn::tensor::Element,
        {
            let data = data.map_err(|error| error.to_string())?;
            let values = data.convert::<T>().into_vec();
            Ok(values.expect("just converted"))
        }
        let mut values: Vec<Values> = match self {
            Self::Numbers(tensor) => {
                let [_, shape @ ..] = tensor.dims();
                let data = read::<f32>(tensor.try_into_data())?;
                data.chunks_exact(shape.iter().product())
                    .map(|data| Values::Numbers {
                        shape,
                        data: data.to_vec(),
                    })
                    .collect()
            }
            Self::Classes { count, maps, data } => {
                let data = read::<u8>(data.try_into_data())?;
                let mut rest = &data[..];
                let cut = |(length, undone)| {
                    let (map, tail) = rest.split_at(length);
                    rest = tail;
                    Values::Classes {
                        count,
                        undone,
                        data: map.to_vec(),
                    }
                };
                maps.into_iter().map(cut).collect()
            }
            Self::Maxima(tensor) => {
                let [_, keypoints] = tensor.dims();
                let data = read::<i64>(tensor.try_into_data())?;
                let image = |maxima: &[i64]| maxima.iter().map(|&at| at as usize).collect();
                data.chunks_exact(keypoints)
                    .map(|maxima| Values::Maxima(image(maxima)))
                    .collect()
            }
        };
        let astray = read::<i64>(astray.try_into_data())?;
        for (values, astray) in values.iter_mut().zip(astray) {
            if astray > 0 {
                *values = Values::NotFinite;
            }
        }
        Ok(values)
    }
}

/// Index of the largest value; the first of equals.
pub(crate) fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

/// Index of the largest value of every pixel of maps `[C, h, w]`, flat; the first of equals, as on
/// the host.
pub(super) fn most_probable_on_device<B: Backend>(maps: Tensor<B, 3>) -> Tensor<B, 1, Int> {
    let [count, height, width] = maps.dims();
    let mut best = maps.clone().narrow(0, 0, 1);
    let mut classes = Tensor::<B, 3, Int>::zeros([1, height, width], &maps.device());
    for class in 1..count {
        let value = maps.clone().narrow(0, class, 1);
        let higher = value.clone().greater(best.clone());
        classes = classes.mask_fill(higher.clone(), class as i64);
        best = best.mask_where(higher, value);
    }
    classes.reshape([height * width])
}
