//! Compiled configurations.

use std::net::IpAddr;
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use sluice_proxy::explain::{Question, explain};
use sluice_snapshot::Compiled;

use crate::errors::SnapshotError;

/// A compiled configuration: immutable, shared by reference, safe to hand to another thread.
#[pyclass(frozen, module = "gateway._native")]
pub(crate) struct Snapshot(pub(crate) Arc<Compiled>);

#[pymethods]
impl Snapshot {
    /// Apply a delta to ``base``. Releases the GIL. Raises :class:`SnapshotError`.
    #[staticmethod]
    #[pyo3(signature = (delta, base=None))]
    fn compile(py: Python<'_>, delta: PyBackedBytes, base: Option<Py<Self>>) -> PyResult<Self> {
        let base = base.map(|base| Arc::clone(&base.get().0));
        let compiled = py.detach(|| Compiled::apply(base.as_deref(), &delta));
        compiled.map(|compiled| Self(Arc::new(compiled))).map_err(|error| SnapshotError::new_err(error.to_string()))
    }

    /// Version of the configuration.
    #[getter]
    fn version(&self) -> u64 {
        self.0.version
    }

    /// (section key, field path, message) of every section or route that could not be compiled.
    #[getter]
    fn issues(&self) -> Vec<(String, String, String)> {
        let parts = |issue: &sluice_snapshot::Issue| (issue.section.clone(), issue.path.clone(), issue.message.clone());
        self.0.issues.iter().map(parts).collect()
    }

    /// JSON: which listener, virtual host and route take the request, why, and what would go upstream.
    #[pyo3(signature = (method, url, headers=Vec::new(), listener=None, peer="127.0.0.1"))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        url: &str,
        headers: Vec<(String, String)>,
        listener: Option<&str>,
        peer: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let peer: IpAddr = peer.parse().map_err(|_| PyValueError::new_err(format!("{peer:?} is no IP address")))?;
        let question = Question { method, url, headers: &headers, listener, peer };
        let answer = explain(&self.0, &question).map_err(PyValueError::new_err)?;
        Ok(PyBytes::new(py, answer.as_bytes()))
    }
}
