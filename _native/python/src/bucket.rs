//! One token bucket.

use std::sync::atomic::AtomicU64;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sluice_policy::gcra::{self, Decision, Rate};

const NANOS: f64 = 1e9;

fn nanos(seconds: f64) -> PyResult<u64> {
    // 2^63 ns are 292 years: any clock fits below.
    if seconds.is_finite() && (0.0..9.2e9).contains(&seconds) {
        #[allow(clippy::cast_sign_loss)]
        return Ok((seconds * NANOS) as u64);
    }
    Err(PyValueError::new_err(format!("a time must be between 0 and 9.2e9 seconds, not {seconds}")))
}

/// One GCRA bucket.
#[pyclass(frozen, module = "gateway._native")]
pub(crate) struct TokenBucket {
    tat: AtomicU64,
    rate: Rate,
}

#[pymethods]
impl TokenBucket {
    #[new]
    fn new(rate: u64, period: f64, burst: u64) -> PyResult<Self> {
        let period = nanos(period)?;
        if rate == 0 || period == 0 || burst == 0 {
            return Err(PyValueError::new_err("rate, period and burst must be above zero"));
        }
        Ok(Self { tat: AtomicU64::new(0), rate: Rate::new(rate, period, burst) })
    }

    /// Take ``n`` tokens at time ``now`` (seconds, monotonic); False when they are not there.
    #[pyo3(signature = (now, n=1))]
    fn take(&self, now: f64, n: u64) -> PyResult<bool> {
        Ok(gcra::take(&self.tat, nanos(now)?, n, &self.rate).is_allowed())
    }

    /// Seconds until ``n`` tokens would be there.
    #[pyo3(signature = (now, n=1))]
    fn retry_after(&self, now: f64, n: u64) -> PyResult<f64> {
        Ok(match gcra::peek(&self.tat, nanos(now)?, n, &self.rate) {
            Decision::Allowed { .. } => 0.0,
            Decision::Denied { retry_after_ns: u64::MAX } => f64::INFINITY,
            Decision::Denied { retry_after_ns } => retry_after_ns as f64 / NANOS,
        })
    }
}
