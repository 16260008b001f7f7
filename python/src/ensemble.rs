//! Models on devices, and answers as they are ready.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use numpy::{IntoPyArray, PyArrayDyn, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator};
use vascx::convert::{ConvertOptions, Model, Task};
use vascx::inference::{
    AnyEnsemble, BatchSize, Cancel, DecodeLimits, Devices, KeypointRule, PredictOptions,
    PreprocessMode, Source, Warnings,
};
use vascx::models::Precision;
use vascx_hub::{Hub, HubName};

use crate::answers::Ready;
use crate::errors::{ModelError, VascxWarning, exception, fault, not_located};
use crate::inputs;
use crate::threads::{Waiting, check_fork, interruptible, receive};

/// The file or folder that is meant: a path as it is, a name on the Hugging Face hub fetched into its cache.
#[pyfunction]
pub(crate) fn locate(py: Python<'_>, model: PathBuf) -> PyResult<PathBuf> {
    let Some(name) = model.to_str().filter(|model| HubName::is_meant_by(model)) else {
        return Ok(model);
    };
    let name: HubName = name.parse().map_err(|error| not_located(&error))?;
    interruptible(py, &Cancel::default(), move || {
        let fetched = Hub::from_environment().and_then(|hub| hub.fetch(&name, |_| ()));
        fetched.map_err(|error| not_located(&error))
    })
}

/// A model on its devices. Threads may share one.
#[pyclass(frozen, module = "vascx_rs._native")]
pub(crate) struct Ensemble {
    ensemble: AnyEnsemble,
    /// What was assumed of the checkpoint.
    #[pyo3(get)]
    notes: Vec<String>,
    #[pyo3(get)]
    device: String,
    #[pyo3(get)]
    dtype: &'static str,
}

#[pymethods]
impl Ensemble {
    #[new]
    #[pyo3(signature = (path, device, dtype, task, names, key))]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        device: &str,
        dtype: &str,
        task: Option<&str>,
        names: Vec<String>,
        key: Option<String>,
    ) -> PyResult<Self> {
        let devices: Devices = device.parse().map_err(|error| exception(&error))?;
        let precision = precision(dtype, &devices)?;
        let plain = task.is_none() && names.is_empty() && key.is_none();
        let options = ConvertOptions {
            task: task.map(task_of).transpose()?,
            names,
            key,
            ..ConvertOptions::default()
        };
        interruptible(py, &Cancel::default(), move || {
            let model = if plain {
                Model::open(&path)
            } else {
                Model::convert(&path, &options)
            };
            let model = model.map_err(|error| ModelError::new_err(error.to_string()))?;
            let device = devices.to_string();
            let ensemble = AnyEnsemble::load(&model, devices)
                .and_then(|ensemble| ensemble.with_precision(precision))
                .map_err(|error| exception(&error))?;
            Ok(Self {
                ensemble,
                notes: model.notes().to_vec(),
                device,
                dtype: precision.name(),
            })
        })
    }

    #[getter]
    fn task(&self) -> &'static str {
        self.ensemble.manifest().task.name()
    }

    /// The description of the model, `model.json`.
    fn manifest(&self) -> PyResult<String> {
        serde_json::to_string(self.ensemble.manifest())
            .map_err(|error| ModelError::new_err(error.to_string()))
    }

    /// Names of classes, keypoints or values; as many as there are.
    #[getter]
    fn names(&self) -> Vec<String> {
        let manifest = self.ensemble.manifest();
        let letter = match manifest.task {
            Task::Segmentation | Task::Overlaps | Task::Classification => 'c',
            Task::Heatmap | Task::Keypoints => 'k',
            Task::Regression | Task::Embedding => 'y',
        };
        if manifest.output_names.len() == manifest.answers() {
            manifest.output_names.clone()
        } else {
            (0..manifest.answers())
                .map(|index| format!("{letter}{index}"))
                .collect()
        }
    }

    /// Answers as they are ready, of an iterator of inputs.
    fn stream(
        &self,
        py: Python<'_>,
        inputs: Bound<'_, PyIterator>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Stream> {
        check_fork()?;
        let cancel = Cancel::default();
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let (tensors, mut options) = predict_options(options)?;
        options.cancel = cancel.clone();
        let sink = warnings.clone();
        options.warnings = Warnings::to(move |warning| lock(&sink).push(warning.to_owned()));
        let end = Arc::new(Mutex::new(None));
        let inputs = Inputs {
            iterator: inputs.unbind(),
            tensors,
            end: end.clone(),
            cancel: cancel.clone(),
        };
        let ensemble = &self.ensemble;
        let answers = py.detach(|| ensemble.predict_iter(inputs, &options));
        let answers = answers.map_err(|error| exception(&error))?;
        let (sender, receiver) = sync_channel(1);
        thread::spawn(move || {
            let each = AssertUnwindSafe(|| {
                for (refused, answer) in answers {
                    let ready = match refused {
                        Some(error) => Err(error),
                        None => answer
                            .map_err(|error| exception(&error))
                            .and_then(Ready::new),
                    };
                    if sender.send(Message::Answer(ready)).is_err() {
                        return;
                    }
                }
            });
            if let Err(panic) = catch_unwind(each) {
                // Nobody waits after ^C.
                let _ = sender.send(Message::Fault(fault(&*panic)));
            }
        });
        Ok(Stream {
            answers: Waiting::new(receiver),
            cancel,
            warnings,
            end,
        })
    }

    /// Combined logits of each input, without softmax, on the network input's grid.
    fn logits<'py>(
        &self,
        py: Python<'py>,
        inputs: Vec<Bound<'py, PyAny>>,
        options: &Bound<'_, PyDict>,
    ) -> PyResult<Vec<Bound<'py, PyArrayDyn<f32>>>> {
        let (tensors, mut options) = predict_options(options)?;
        let sources = inputs.iter().map(|input| read(input, tensors));
        let sources: Vec<Source<'static>> = sources.collect::<PyResult<_>>()?;
        let cancel = Cancel::default();
        options.cancel = cancel.clone();
        let ensemble = self.ensemble.clone();
        let logits = interruptible(py, &cancel, move || {
            let logits = ensemble.logits(sources, &options);
            let logits = logits.and_then(|each| each.into_iter().collect::<Result<Vec<_>, _>>());
            logits.map_err(|error| exception(&error))
        })?;
        let array =
            |logits: vascx::inference::Logits| logits.values.into_pyarray(py).reshape(logits.shape);
        logits.into_iter().map(array).collect()
    }
}

/// Answers as they are ready, in the order of the inputs.
#[pyclass(frozen, module = "vascx_rs._native")]
pub(crate) struct Stream {
    answers: Waiting<Message>,
    cancel: Cancel,
    warnings: Arc<Mutex<Vec<String>>>,
    /// What the iterator of inputs ended with, when not with its end.
    end: Arc<Mutex<Option<PyErr>>>,
}

enum Message {
    Answer(PyResult<Ready>),
    /// A panic, after which nothing comes.
    Fault(PyErr),
}

#[pymethods]
impl Stream {
    fn __iter__(stream: PyRef<'_, Self>) -> PyRef<'_, Self> {
        stream
    }

    /// Arrays by name, or the exception that is this input's answer.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let message = receive(py, &self.cancel, |patience| self.answers.next(patience))?;
        for warning in std::mem::take(&mut *lock(&self.warnings)) {
            let warnings = py.import("warnings")?;
            warnings.call_method1("warn", (warning, py.get_type::<VascxWarning>(), 4))?;
        }
        match message {
            Some(Message::Answer(Ok(ready))) => Ok(Some(ready.into_dict(py)?.into_any().unbind())),
            Some(Message::Answer(Err(error))) => Ok(Some(error.into_value(py).into_any())),
            Some(Message::Fault(error)) => Err(error),
            None => lock(&self.end).take().map_or(Ok(None), Err),
        }
    }

    /// Inputs that are not begun are left.
    fn cancel(&self) {
        self.cancel.cancel();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// An iterator of Python's, from which other threads take inputs.
struct Inputs {
    iterator: Py<PyIterator>,
    tensors: bool,
    end: Arc<Mutex<Option<PyErr>>>,
    cancel: Cancel,
}

impl Iterator for Inputs {
    /// An input, or why it is none beside one that fails at once.
    type Item = (Option<PyErr>, Source<'static>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.cancel.is_cancelled() {
            return None;
        }
        // None when Python is ending.
        Python::try_attach(|py| {
            let item = self.iterator.bind(py).clone().next()?;
            let item = item.map_err(|error| *lock(&self.end) = Some(error)).ok()?;
            Some(match read(&item, self.tensors) {
                Ok(source) => (None, source),
                Err(error) => (Some(error), Vec::new().into()),
            })
        })?
    }
}

fn read(input: &Bound<'_, PyAny>, tensors: bool) -> PyResult<Source<'static>> {
    if tensors {
        inputs::tensor(input)
    } else {
        inputs::source(input)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether inputs are tensors, and the options of a call; absent ones are the model's.
fn predict_options(given: &Bound<'_, PyDict>) -> PyResult<(bool, PredictOptions)> {
    let mut options = PredictOptions::default();
    if let Some(size) = given.get_item("batch_size")? {
        options.batch_size = Some(match size.extract::<&str>() {
            Ok("auto") => BatchSize::Auto,
            _ => BatchSize::Photographs(size.extract()?),
        });
    }
    options.window_batch_size = option(given, "window_batch_size")?;
    options.tta = option(given, "tta")?;
    if let Some(mode) = option::<String>(given, "preprocess")? {
        options.preprocess = preprocess_mode(&mode)?;
    }
    options.keep_maps = option(given, "maps")?.unwrap_or_default();
    if let Some(most) = option(given, "max_pixels")? {
        options.limits = DecodeLimits::default().with_max_pixels(most);
    }
    if let Some(rule) = option::<String>(given, "keypoints")? {
        let rules = [KeypointRule::ArgmaxOfSum, KeypointRule::MeanOfArgmax];
        options.keypoints = rules
            .into_iter()
            .find(|known| known.name() == rule)
            .ok_or_else(|| {
                PyValueError::new_err(format!(
                    "keypoints is argmax_of_sum or mean_of_argmax, not {rule:?}"
                ))
            })?;
    }
    Ok((option(given, "tensors")?.unwrap_or_default(), options))
}

fn option<'py, T>(given: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<T>>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    given
        .get_item(name)?
        .map(|value| value.extract())
        .transpose()
}

/// None for `auto`.
pub(crate) fn preprocess_mode(name: &str) -> PyResult<Option<PreprocessMode>> {
    match name {
        "auto" => Ok(None),
        "full" => Ok(Some(PreprocessMode::Full)),
        "simple" => Ok(Some(PreprocessMode::Simple)),
        "resize" => Ok(Some(PreprocessMode::Resize)),
        "crop" => Ok(Some(PreprocessMode::Crop)),
        _ => Err(PyValueError::new_err(format!(
            "preprocess is auto, full, simple, resize or crop, not {name:?}"
        ))),
    }
}

fn precision(name: &str, devices: &Devices) -> PyResult<Precision> {
    match name {
        "f32" => Ok(Precision::F32),
        "f16" => Ok(Precision::F16),
        "bf16" => Ok(Precision::BF16),
        "auto" if devices.first().is_gpu() => Ok(Precision::F32),
        "auto" => Ok(Precision::fastest_on_cpu()),
        _ => Err(PyValueError::new_err(format!(
            "dtype is f32, f16, bf16 or auto, not {name:?}"
        ))),
    }
}

fn task_of(name: &str) -> PyResult<Task> {
    let tasks = [
        Task::Segmentation,
        Task::Overlaps,
        Task::Classification,
        Task::Regression,
        Task::Heatmap,
        Task::Keypoints,
        Task::Embedding,
    ];
    tasks
        .into_iter()
        .find(|task| task.name() == name)
        .ok_or_else(|| {
            let names = tasks.map(Task::name).join(", ");
            PyValueError::new_err(format!("task is one of {names}, not {name:?}"))
        })
}
