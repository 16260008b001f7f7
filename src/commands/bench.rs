//! `vascx bench`: seconds per bare forward pass, or per photograph from file to answer.

use std::time::Instant;

use burn::tensor::{Distribution, Tensor, backend::Backend};
use serde::Serialize;
use vascx::convert::Model;
use vascx::graph::{Peak, count_operations, measure_layers};
use vascx::inference::{AnyEnsemble, DeviceWork, Inputs};
use vascx::models::{Architecture, Ensemble, Prediction, ResNetConfig, ResNetDepth, UNetConfig};

use super::layers::{self, Row};
use super::pull::locate;
use super::{Done, Failure, Result, keep_kernels};
use crate::arguments::{BenchArchitecture, BenchArguments, PassArguments};

pub(crate) fn run(arguments: &BenchArguments) -> Result {
    keep_kernels(&arguments.computing.kernels, arguments.computing.device)?;
    let report = arguments.computing.device.run(Bench { arguments })??;
    if arguments.json {
        let json = serde_json::to_string(&report).map_err(|e| Failure::Other(e.to_string()))?;
        super::print(format_args!("{json}"))?;
    } else {
        report.print()?;
    }
    Ok(Done::All)
}

/// What was measured; the JSON object.
#[derive(Serialize)]
struct Report {
    device: String,
    dtype: &'static str,
    size: usize,
    batch: usize,
    members: usize,
    /// Per forward pass of the whole batch, after one that is not counted.
    seconds: Vec<f64>,
    /// Of the convolutions and matrix products of one pass, in units of 10⁹.
    gflop: f64,
    /// At the median.
    gflops_per_second: f64,
    /// Where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<Row>,
    #[serde(skip)]
    peak: Option<Peak>,
    /// From file to answer, where photographs were given; one entry per run over all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seconds_per_photograph: Vec<f64>,
}

impl Report {
    fn print(&self) -> Result<()> {
        let seconds = &self.seconds;
        super::print(format_args!(
            "{} {}: {} × {}² pixels, {} members, {} passes",
            self.device,
            self.dtype,
            self.batch,
            self.size,
            self.members,
            seconds.len()
        ))?;
        let least = seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = seconds.iter().copied().fold(0.0, f64::max);
        super::print(format_args!(
            "  seconds per pass   {:.4} (median), {least:.4} … {most:.4}",
            median(seconds)
        ))?;
        super::print(format_args!(
            "  GFLOP per pass     {:.2}, {:.1} GFLOP/s",
            self.gflop, self.gflops_per_second
        ))?;
        if !self.seconds_per_photograph.is_empty() {
            super::print(format_args!(
                "  from file to answer {:.4} seconds per photograph (median)",
                median(&self.seconds_per_photograph)
            ))?;
        }
        if let Some(peak) = &self.peak {
            layers::print(&self.layers, peak, median(seconds))?;
        }
        Ok(())
    }
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

struct Bench<'a> {
    arguments: &'a BenchArguments,
}

impl DeviceWork for Bench<'_> {
    type Output = Result<Report>;

    fn run<B: Backend>(self, devices: &[B::Device]) -> Self::Output {
        let device = &devices[0];
        let arguments = self.arguments;
        let PassArguments {
            device: on, dtype, ..
        } = &arguments.computing;
        let precision = dtype.on(*on);
        if !precision.is_supported::<B>(device) {
            return Err(vascx::inference::Error::Precision(precision).into());
        }
        let model = match &arguments.model {
            Some(model) => Some(Model::open(locate(model)?)?),
            None => None,
        };
        let (ensemble, architecture, size) = match (&model, arguments.arch) {
            (Some(model), _) => {
                let manifest = model.manifest();
                let size = if manifest.task.is_spatial() {
                    manifest.inference.window[0]
                } else {
                    manifest.preprocessing.input_size()
                };
                let ensemble = model.load::<B>(device)?;
                (ensemble, manifest.architecture.clone(), size)
            }
            (None, Some(name)) => {
                let architecture = architecture(name);
                let random = || {
                    let network = architecture.init(0, device)?;
                    Ensemble::<B>::of_networks(&architecture, &[network], device)
                };
                let ensemble = random().map_err(|error| Failure::Other(error.to_string()))?;
                (ensemble, architecture, 512)
            }
            (None, None) => unreachable!("the command line asks for one of the two"),
        };
        let size = arguments.size.unwrap_or(size);
        let shape = [arguments.batch, architecture.in_channels(), size, size];
        super::forward::check_shape(&architecture, &shape).map_err(Failure::Other)?;
        let members = ensemble.members();
        let ensemble = ensemble.with_precision(precision);
        let image = Tensor::<B, 4>::random(shape, Distribution::Normal(0.0, 1.0), device);
        // The first pass packs weights, compiles kernels and fills caches.
        let ((), operations) = count_operations(|| pass(&ensemble, &image));
        let (seconds, passes): (Vec<f64>, Vec<_>) = (0..arguments.runs)
            .map(|_| measure_layers(|| timed(|| pass(&ensemble, &image))))
            .unzip();
        if arguments.layers && passes[0].is_empty() {
            let message = "--layers: no layer ran on this program's own CPU kernels";
            return Err(Failure::Other(message.into()));
        }
        let peak = arguments.layers.then(Peak::measure);
        let layers = peak.map_or_else(Vec::new, |peak| layers::rows(&passes, &peak));
        let gflop = operations as f64 / 1e9;
        Ok(Report {
            device: on.to_string(),
            dtype: precision.name(),
            size,
            batch: arguments.batch,
            members,
            gflop,
            gflops_per_second: gflop / median(&seconds),
            layers,
            peak,
            seconds,
            seconds_per_photograph: match &model {
                Some(model) if !arguments.inputs.is_empty() => self.photographs(model)?,
                _ => Vec::new(),
            },
        })
    }
}

impl Bench<'_> {
    /// Seconds from file to answer, per photograph.
    fn photographs(&self, model: &Model) -> Result<Vec<f64>> {
        let device = self.arguments.computing.device;
        let precision = self.arguments.computing.dtype.on(device);
        let ensemble = AnyEnsemble::load(model, device)?.with_precision(precision)?;
        let inputs = Inputs::resolve(&self.arguments.inputs, Default::default())?.photographs;
        let paths: Vec<_> = inputs.into_iter().map(|input| input.path).collect();
        let predict = || -> Result<()> {
            for answer in ensemble.predict(paths.as_slice())? {
                answer?;
            }
            Ok(())
        };
        predict()?;
        (0..self.arguments.runs)
            .map(|_| {
                let start = Instant::now();
                predict()?;
                Ok(start.elapsed().as_secs_f64() / paths.len() as f64)
            })
            .collect()
    }
}

/// A forward pass, waited for: devices compute behind the caller's back until a value is read.
fn pass<B: Backend>(ensemble: &Ensemble<B>, image: &Tensor<B, 4>) {
    match ensemble.forward(image.clone()) {
        Prediction::Spatial(maps) => drop(maps.slice([0..1, 0..1, 0..1, 0..1, 0..1]).into_data()),
        Prediction::Vector(vectors) => drop(vectors.slice([0..1, 0..1, 0..1]).into_data()),
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Published networks with random weights, for six channels and four answers.
fn architecture(name: BenchArchitecture) -> Architecture {
    let resnet = |depth| Architecture::ResNet(ResNetConfig::new(depth, 6, 4));
    match name {
        BenchArchitecture::Unet => {
            Architecture::UNet(UNetConfig::new(6, 4, [32, 64, 128, 256, 512]))
        }
        BenchArchitecture::Resnet18 => resnet(ResNetDepth::D18),
        BenchArchitecture::Resnet34 => resnet(ResNetDepth::D34),
        BenchArchitecture::Resnet50 => resnet(ResNetDepth::D50),
    }
}
