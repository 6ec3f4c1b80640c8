//! Native errors as Python exceptions, in one place.

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError};
use pyo3::prelude::*;
use sluice_proxy::EngineError;

create_exception!(
    gateway._native,
    NativeError,
    PyException,
    "Base of every error that the compiled module raises on purpose."
);
create_exception!(
    gateway._native,
    ParseError,
    NativeError,
    "A request that must be refused. ``args`` are (status: int, reason: str)."
);
create_exception!(
    gateway._native,
    SnapshotError,
    NativeError,
    "A delta that cannot be read at all (not JSON, wrong base version)."
);

pub(crate) fn engine(error: EngineError) -> PyErr {
    match error {
        EngineError::System(_, ref source) => PyOSError::new_err((source.raw_os_error(), error.to_string())),
        _ => NativeError::new_err(error.to_string()),
    }
}
