//! Comparing a model's answers with those of the program it comes from.

use std::path::{Path, PathBuf};

use burn::backend::{Flex, NdArray};
use burn::tensor::{Tensor, TensorData, backend::Backend};
use safetensors::SafeTensors;
use vascx_convert::{ConvertOptions, Model, Task};
use vascx_models::{MemberOutput, Precision, Prediction};

/// Relative to the largest reference value: f32 rounding over up to a hundred layers, against a
/// reference computed in f64.
pub(crate) const TOLERANCE: f32 = 1e-4;

/// A path below `tests/fixtures`.
pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(path)
}

/// Answers to one image, in row-major order.
pub(crate) struct Answers {
    /// `[M, N, …]`
    pub(crate) shape: Vec<usize>,
    pub(crate) expected: Vec<f32>,
    pub(crate) actual: Vec<f32>,
}

fn read(tensors: &SafeTensors, name: &str) -> (Vec<usize>, Vec<f32>) {
    let view = tensors.tensor(name).unwrap();
    let chunks = view.data().as_chunks::<4>().0;
    (
        view.shape().to_vec(),
        chunks.iter().map(|&b| f32::from_le_bytes(b)).collect(),
    )
}

/// Whether tests run on NdArray; on Flex unless `VASCX_TEST_DEVICE` says so.
fn on_ndarray() -> bool {
    match std::env::var("VASCX_TEST_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => false,
        Ok("ndarray") => true,
        Ok(other) => panic!("VASCX_TEST_DEVICE is cpu or ndarray, not {other}"),
    }
}

/// Runs the model on every `image…` of a safetensors file, beside whose `prediction…` it stands.
pub(crate) fn answers(model: &Model, reference: &Path) -> Vec<Answers> {
    if on_ndarray() {
        answers_on::<NdArray>(model, reference)
    } else {
        answers_on::<Flex>(model, reference)
    }
}

fn answers_on<B: Backend>(model: &Model, reference: &Path) -> Vec<Answers> {
    let ensemble = model.load::<B>(&Default::default()).unwrap();
    answers_of::<B>(reference, |image| match ensemble.forward(image) {
        Prediction::Spatial(maps) => maps.into_data(),
        Prediction::Vector(vectors) => vectors.into_data(),
    })
}

/// The largest difference of the model's first member as a plain burn module.
pub(crate) fn error_of_module(model: &Model, reference: &Path) -> f32 {
    if on_ndarray() {
        error_of_module_on::<NdArray>(model, reference)
    } else {
        error_of_module_on::<Flex>(model, reference)
    }
}

fn error_of_module_on<B: Backend>(model: &Model, reference: &Path) -> f32 {
    let network = model.load_network::<B>(0, &Default::default());
    let network = network.unwrap();
    let answers = answers_of::<B>(reference, |image| match network.forward(image) {
        MemberOutput::Spatial(map) => map.unsqueeze_dim::<5>(0).into_data(),
        MemberOutput::Vector(vector) => vector.unsqueeze_dim::<3>(0).into_data(),
    });
    let answers = answers.into_iter();
    let differences = answers.map(|answer| difference(&answer.expected, &answer.actual));
    differences.fold(0.0, f32::max)
}

fn answers_of<B: Backend>(
    reference: &Path,
    run: impl Fn(Tensor<B, 4>) -> TensorData,
) -> Vec<Answers> {
    let bytes = std::fs::read(reference).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let device = Default::default();
    let names = tensors.names().into_iter();
    let suffixes = names.filter_map(|name| name.strip_prefix("image"));
    let answer = |suffix| {
        let (shape, image) = read(&tensors, &format!("image{suffix}"));
        let (expected_shape, expected) = read(&tensors, &format!("prediction{suffix}"));
        let image = Tensor::<B, 4>::from_data(TensorData::new(image, shape), &device);
        let data = run(image);
        let reference = reference.display();
        assert_eq!(data.shape[..], expected_shape[..], "{reference}{suffix}");
        Answers {
            shape: expected_shape,
            expected,
            actual: data.to_vec().unwrap(),
        }
    };
    let answers: Vec<Answers> = suffixes.map(answer).collect();
    assert!(!answers.is_empty(), "{}", reference.display());
    answers
}

/// max|Δ| / max|reference|; infinite where an answer is no number.
pub(crate) fn difference(expected: &[f32], actual: &[f32]) -> f32 {
    if actual.iter().any(|value| !value.is_finite()) {
        return f32::INFINITY;
    }
    let scale = expected.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    let pairs = actual.iter().zip(expected);
    pairs.fold(0.0_f32, |max, (a, b)| max.max((a - b).abs())) / scale
}

/// The largest difference over the images of a safetensors file.
pub(crate) fn relative_error(model: &Model, reference: &Path) -> f32 {
    let answers = answers(model, reference).into_iter();
    let differences = answers.map(|answer| difference(&answer.expected, &answer.actual));
    differences.fold(0.0, f32::max)
}

/// A checkpoint of the fixtures converts and answers like the `.safetensors` beside it, and so does
/// the model directory written from it.
pub(crate) fn check(checkpoint: &str, task: Task, members: usize) {
    let path = fixture(checkpoint);
    let reference = path.with_extension("safetensors");
    let model = Model::convert(&path, &ConvertOptions::default()).unwrap();
    let manifest = model.manifest();
    assert_eq!(
        (manifest.task, manifest.members),
        (task, members),
        "{checkpoint}"
    );
    let error = relative_error(&model, &reference);
    println!("{checkpoint}: relative error {error:e}");
    assert!(error <= TOLERANCE, "{checkpoint}: relative error {error:e}");

    // The directory gives exactly what the checkpoint gave.
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("model");
    model.save(&directory, Precision::F32, false).unwrap();
    let reopened = Model::open(&directory).unwrap();
    assert_eq!(reopened.manifest(), model.manifest(), "{checkpoint}");
    assert_eq!(relative_error(&reopened, &reference), error, "{checkpoint}");
    let manifest = std::fs::read_to_string(directory.join("model.json")).unwrap();
    let weights = std::fs::read(directory.join("weights.safetensors")).unwrap();
    let embedded = vascx_format::Model::from_bytes(&manifest, &weights).unwrap();
    assert_eq!(embedded.manifest(), model.manifest(), "{checkpoint}");
    assert_eq!(embedded.weights_sha256(), reopened.weights_sha256());
}
