//! `vascx forward`: the bare ensemble on a tensor.

use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData, backend::Backend};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use vascx::convert::Model;
use vascx::inference::{DeviceWork, check_outputs, write_tensor};
use vascx::models::{Architecture, Precision, Prediction};

use super::pull::locate;
use super::{Done, Failure, Result, keep_kernels, model_files, print_result};
use crate::arguments::ForwardArguments;

pub(crate) fn run(arguments: &ForwardArguments) -> Result {
    let (device, dtype) = (arguments.computing.device, arguments.computing.dtype);
    keep_kernels(&arguments.computing.kernels, device)?;
    let model = locate(&arguments.model)?;
    let read = [vec![arguments.input.clone()], model_files(&model)].concat();
    let written = [arguments.output.as_path()];
    check_outputs(read.iter().map(PathBuf::as_path), written)?;
    let model = Model::open(model)?;
    let image = read_image(&arguments.input)?;
    check_shape(&model.manifest().architecture, &image.shape)
        .map_err(|reason| Failure::file(&arguments.input, reason))?;
    let prediction = device.run(Forward {
        model,
        image,
        precision: dtype.on(device),
    })??;
    let values: Vec<f32> = prediction
        .to_vec()
        .map_err(|error| Failure::Other(format!("the device gave no f32: {error}")))?;
    write_tensor(&arguments.output, "prediction", &prediction.shape, &values)?;
    print_result(format_args!(
        "{}: prediction {:?}",
        arguments.output.display(),
        prediction.shape.to_vec()
    ));
    Ok(Done::All)
}

struct Forward {
    model: Model,
    image: TensorData,
    precision: Precision,
}

impl DeviceWork for Forward {
    type Output = vascx::inference::Result<TensorData>;

    fn run<B: Backend>(self, devices: &[B::Device]) -> Self::Output {
        let device = &devices[0];
        if !self.precision.is_supported::<B>(device) {
            return Err(vascx::inference::Error::Precision(self.precision));
        }
        let ensemble = self.model.load::<B>(device)?.with_precision(self.precision);
        // The file's copy of the weights is not needed beside the device's.
        drop(self.model);
        let image = Tensor::<B, 4>::from_data(self.image, device);
        let data = match ensemble.forward(image) {
            Prediction::Spatial(maps) => maps.into_data(),
            Prediction::Vector(vectors) => vectors.into_data(),
        };
        Ok(data.convert::<f32>())
    }
}

fn read_image(path: &Path) -> Result<TensorData> {
    let failed = |reason: String| Failure::file(path, reason);
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| failed(error.to_string()))?;
    let view = file
        .tensor("image")
        .map_err(|_| failed("holds no tensor `image`; expected [N,C,H,W] f32".into()))?;
    if view.dtype() != Dtype::F32 || view.shape().len() != 4 {
        return Err(failed(format!(
            "`image` is {:?} {:?}; expected f32 [N,C,H,W]",
            view.dtype(),
            view.shape()
        )));
    }
    let (values, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = values
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect();
    Ok(TensorData::new(values, view.shape().to_vec()))
}

/// Whether a network takes images of a shape `[N, C, H, W]`.
pub(super) fn check_shape(
    architecture: &Architecture,
    shape: &[usize],
) -> std::result::Result<(), String> {
    let (channels, divisor) = (architecture.in_channels(), architecture.size_divisor());
    if shape.contains(&0) {
        return Err(format!("`image` {shape:?} is empty"));
    }
    if shape[1] != channels {
        return Err(format!(
            "`image` has {} channels, the model takes {channels}",
            shape[1]
        ));
    }
    if !shape[2].is_multiple_of(divisor) || !shape[3].is_multiple_of(divisor) {
        return Err(format!(
            "`image` is {} × {} pixels, the model takes multiples of {divisor}",
            shape[2], shape[3]
        ));
    }
    architecture
        .check_input([shape[0], shape[1], shape[2], shape[3]])
        .map_err(|error| format!("the model does not take `image` {shape:?}: {error}"))
}
