//! The facade as a user's crate sees it: a photograph from memory, progress, cancelling, JSON, tensors.
//! Its argument is the checkout.

use std::error::Error;
use std::path::PathBuf;

use vascx::burn::tensor::TensorData;
use vascx::convert::Model;
use vascx::image::{GrayImage, RgbImage};
use vascx::inference::{
    Answer, AnyEnsemble, BatchSize, Cancel, DecodeLimits, Device, Existing, Inputs, Job,
    Photograph, PredictOptions, SegmentationEnsemble, Source, Status, Warnings,
};

/// Ensembles are values like any other: a field of a struct, on a device from a configuration.
struct Service {
    ensemble: AnyEnsemble,
    options: PredictOptions,
}

impl Service {
    fn open(model: &Model, device: &str) -> vascx::inference::Result<Self> {
        let mut options = PredictOptions::default();
        options.batch_size = Some(BatchSize::Photographs(2));
        options.cancel = Cancel::default();
        options.warnings = Warnings::to(|warning| println!("warning: {warning}"));
        Ok(Self {
            ensemble: AnyEnsemble::load(model, device.parse::<Device>()?)?,
            options,
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(
        std::env::args_os()
            .nth(1)
            .ok_or("usage: outside CHECKOUT")?,
    );
    let file = std::fs::read(root.join("examples/images/bad_quality_right.png"))?;

    // From memory, however it came there.
    let model = Model::open(root.join("weights/demo/disc.pt"))?;
    let ensemble = SegmentationEnsemble::load(&model, Device::Cpu)?;
    let photograph = Photograph::decode(file.clone(), DecodeLimits::default())?;
    let pixels: RgbImage = photograph.rgb().clone();
    let (width, height) = pixels.dimensions();
    let again = Photograph::from_rgb(width, height, pixels.into_raw())?;
    let mut maps: Vec<GrayImage> = Vec::new();
    for disc in ensemble.predict(&[photograph, again])? {
        maps.push(disc?.class_map);
    }
    assert_eq!(maps[0], maps[1]);

    // One by one with the caller's keys, as JSON.
    let quality = Model::open(root.join("weights/demo/quality.pt"))?;
    let service = Service::open(&quality, "cpu")?;
    let uploads = (0..3).map({
        let file = file.clone();
        move |id| (format!("upload {id}"), file.clone())
    });
    for (id, answer) in service.ensemble.predict_iter(uploads, &service.options)? {
        let json = serde_json::to_string(&answer?)?;
        println!("{id}: {json}");
        let _: Answer = serde_json::from_str(&json)?;
    }

    // Preprocessed by the caller: `[C, H, W]`.
    let side = quality.manifest().preprocessing.input_size();
    let channels = quality.manifest().architecture.in_channels();
    let tensor = TensorData::zeros::<f32, _>([channels, side, side]);
    service
        .ensemble
        .predict(vec![Source::Tensor(tensor)])?
        .remove(0)?;

    // A folder of results, cancelled after the first photograph.
    let out = std::env::temp_dir().join(format!("vascx-outside-{}", std::process::id()));
    let mut job = Job::default();
    job.inputs = Inputs::resolve(&[root.join("examples/images")], Default::default())?.photographs;
    job.out = out.clone();
    job.existing = Existing::Refuse;
    job.options.batch_size = Some(BatchSize::Photographs(1));
    let (cancel, mut done) = (job.options.cancel.clone(), 0);
    let summary = job.run(&service.ensemble, |outcome| {
        done += usize::from(*outcome.status == Status::Done);
        cancel.cancel();
    })?;
    std::fs::remove_dir_all(out)?;
    assert_eq!(done, summary.succeeded);
    println!("{done} done, {} not begun", summary.left);
    Ok(())
}
