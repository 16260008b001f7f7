//! Python exceptions for the errors of the crates, and for panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyUserWarning, PyValueError};
use pyo3::prelude::*;
use vascx::inference::Error;

create_exception!(
    vascx_rs,
    VascxError,
    PyException,
    "Base class of what this package raises, beside ValueError and TypeError for arguments."
);
create_exception!(
    vascx_rs,
    ModelError,
    VascxError,
    "A model cannot be found, read or used for this."
);
create_exception!(
    vascx_rs,
    PhotographError,
    VascxError,
    "A photograph cannot be read or predicted; the message names its file."
);
create_exception!(
    vascx_rs,
    DeviceError,
    VascxError,
    "The device, or the element type on it, is not in this build or machine."
);
create_exception!(
    vascx_rs,
    OutOfMemoryError,
    VascxError,
    "The device's memory does not suffice even for the smallest step."
);
create_exception!(
    vascx_rs,
    InternalError,
    VascxError,
    "A fault of this package; please report it with the message."
);
create_exception!(
    vascx_rs,
    VascxWarning,
    PyUserWarning,
    "What the user should know although the call went on."
);

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("VascxError", py.get_type::<VascxError>())?;
    module.add("ModelError", py.get_type::<ModelError>())?;
    module.add("PhotographError", py.get_type::<PhotographError>())?;
    module.add("DeviceError", py.get_type::<DeviceError>())?;
    module.add("OutOfMemoryError", py.get_type::<OutOfMemoryError>())?;
    module.add("InternalError", py.get_type::<InternalError>())?;
    module.add("VascxWarning", py.get_type::<VascxWarning>())
}

/// The exception for an error of the inference crate.
pub(crate) fn exception(error: &Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Model(_) | Error::WrongTask { .. } | Error::Channels { .. } => {
            ModelError::new_err(message)
        }
        Error::Device(_) | Error::Precision(_) => DeviceError::new_err(message),
        Error::OutOfMemory(_) => OutOfMemoryError::new_err(message),
        Error::NoPhotographs
        | Error::ZeroBatchSize
        | Error::SquareSize(_)
        | Error::MapShape { .. } => PyValueError::new_err(message),
        Error::Photograph { .. }
        | Error::PhotographBytes(_)
        | Error::PixelCount { .. }
        | Error::Tensor { .. }
        | Error::NotFinite(_)
        | Error::Pass { .. }
        | Error::TooLarge { .. } => PhotographError::new_err(message),
        _ => VascxError::new_err(message),
    }
}

/// The exception for a model that cannot be located, with the causes.
pub(crate) fn not_located(error: &vascx_hub::Error) -> PyErr {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    ModelError::new_err(message)
}

/// What `work` gives; a panic becomes [`InternalError`].
pub(crate) fn guarded<T>(work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(fault(&*panic)))
}

/// The exception for a panic.
pub(crate) fn fault(panic: &(dyn Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let text = text.unwrap_or_else(|| "a panic without a message".into());
    InternalError::new_err(format!("a fault of vascx_rs: {text}"))
}
