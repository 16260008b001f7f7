//! The native half of the Python package `vascx_rs`: NumPy arrays and Python objects on one side, the crates of
//! this repository on the other. Types, defaults and documentation that Python users see are in `../vascx_rs`.

mod answers;
mod biomarkers;
mod ensemble;
mod errors;
mod inputs;
mod square;
mod threads;

use std::ffi::OsString;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// Runs the program `vascx` on a command line to its exit code.
#[pyfunction]
fn program(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| vascx::program::run(arguments))
}

/// The devices of this build and machine: name and what there is to say about it.
#[pyfunction]
fn devices() -> Vec<(String, String)> {
    let survey = vascx::inference::Device::survey().into_iter();
    survey
        .map(|(device, state)| (device.to_string(), state))
        .collect()
}

/// Panics on another thread, for the tests.
#[cfg(debug_assertions)]
#[pyfunction]
fn panic(py: Python<'_>) -> PyResult<()> {
    threads::interruptible(py, &vascx::inference::Cancel::default(), || {
        panic!("on purpose")
    })
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    vascx::models::check_instruction_set().map_err(PyImportError::new_err)?;
    errors::add_to(module)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<ensemble::Ensemble>()?;
    module.add_class::<ensemble::Stream>()?;
    module.add_class::<square::Square>()?;
    module.add_class::<biomarkers::Maps>()?;
    module.add_function(wrap_pyfunction!(program, module)?)?;
    module.add_function(wrap_pyfunction!(devices, module)?)?;
    module.add_function(wrap_pyfunction!(biomarkers::feature_sets, module)?)?;
    module.add_function(wrap_pyfunction!(biomarkers::variables, module)?)?;
    module.add_function(wrap_pyfunction!(inputs::is_single, module)?)?;
    module.add_function(wrap_pyfunction!(ensemble::locate, module)?)?;
    module.add_function(wrap_pyfunction!(square::preprocess, module)?)?;
    module.add_function(wrap_pyfunction!(threads::set_threads, module)?)?;
    #[cfg(debug_assertions)]
    module.add_function(wrap_pyfunction!(panic, module)?)?;
    Ok(())
}
