//! A compiled virtual host on its own.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sluice_route::Request;
use sluice_snapshot::VirtualHost;

/// A compiled virtual host: the first route in rank order that matches.
#[pyclass(frozen, module = "gateway._native")]
pub(crate) struct RouteTable(VirtualHost);

#[pymethods]
impl RouteTable {
    #[new]
    fn new(virtual_host: &Bound<'_, PyBytes>) -> PyResult<Self> {
        VirtualHost::from_json(virtual_host.as_bytes()).map(Self).map_err(PyValueError::new_err)
    }

    /// Name of the matching route. ``path`` must already be normalised.
    #[pyo3(name = "match", signature = (method, host, path, query=None, headers=Vec::new()))]
    fn find(
        &self,
        method: &str,
        host: &str,
        path: &str,
        query: Option<&str>,
        headers: Vec<(String, String)>,
    ) -> Option<String> {
        let request = Request {
            method: method.as_bytes(),
            host: host.as_bytes(),
            path: path.as_bytes(),
            query: query.map(str::as_bytes),
            headers: &headers,
        };
        let index = self.0.table.find(&request, 0)?;
        self.0.routes.get(index).map(|route| route.name.to_string())
    }

    fn __len__(&self) -> usize {
        self.0.routes.len()
    }
}
