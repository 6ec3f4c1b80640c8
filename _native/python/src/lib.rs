//! `gateway._native`: the only crate that knows Python.

// Arguments arrive from Python by value.
#![allow(clippy::needless_pass_by_value)]

mod bucket;
mod engine;
mod errors;
mod head;
mod memory;
mod snapshot;
mod table;

use pyo3::prelude::*;

/// The compiled part of the gateway.
#[pymodule(name = "_native", gil_used = true)]
mod native {
    #[pymodule_export]
    use super::bucket::TokenBucket;
    #[pymodule_export]
    use super::build_info;
    #[pymodule_export]
    use super::engine::{Engine, Upcall, Waker};
    #[pymodule_export]
    use super::errors::{NativeError, ParseError, SnapshotError};
    #[pymodule_export]
    use super::head::{RequestHead, parse_request_head};
    #[pymodule_export]
    use super::memory::SharedMemory;
    #[pymodule_export]
    use super::snapshot::Snapshot;
    #[pymodule_export]
    use super::table::RouteTable;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// Facts of the build, so that a benchmark can refuse a debug build and a report can say what ran.
#[pyfunction]
fn build_info() -> std::collections::BTreeMap<&'static str, &'static str> {
    [
        ("version", env!("CARGO_PKG_VERSION")),
        ("profile", if cfg!(debug_assertions) { "debug" } else { "release" }),
        ("rustc", env!("SLUICE_RUSTC")),
        ("target", env!("SLUICE_TARGET")),
    ]
    .into()
}
