//! The memory that master and workers share.

use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sluice_http1::RejectReason;
use sluice_policy::latency::BOUNDS_US;
use sluice_policy::stats::{Field, Global, Layout, Pressure};
use sluice_policy::totals::RowTotals;
use sluice_policy::upstream::{Priority, Resource};
use sluice_proxy::SharedWords;

use crate::errors::NativeError;

/// Duplicates a descriptor that Python owns.
pub(crate) fn duplicate(fd: RawFd) -> PyResult<std::os::fd::OwnedFd> {
    if fd < 0 {
        return Err(PyValueError::new_err("a file descriptor must not be negative"));
    }
    // SAFETY: the number is used only for the duplication in this call; a number that is not open makes dup(2) fail
    // with EBADF and nothing else.
    #[allow(unsafe_code)]
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned().map_err(PyErr::from)
}

/// Counters, histograms and token buckets in a memory file shared by master and workers.
#[pyclass(frozen, module = "gateway._native")]
pub(crate) struct SharedMemory {
    pub(crate) words: Arc<SharedWords>,
    pub(crate) layout: Layout,
}

const GLOBALS: [(&str, Global); 44] = [
    ("requests", Global::Requests),
    ("accepted", Global::Accepted),
    ("active", Global::Active),
    ("in_flight", Global::InFlight),
    ("rate_limited", Global::RateLimited),
    ("rate_limited_dry_run", Global::RateLimitedDryRun),
    ("limit_evictions", Global::LimitEvictions),
    ("upcalls", Global::Upcalls),
    ("panics", Global::Panics),
    ("config_version", Global::ConfigVersion),
    ("loop_lag_max_us", Global::LoopLagMaxUs),
    ("loop_lag_sum_us", Global::LoopLagSumUs),
    ("loop_turns", Global::LoopTurns),
    ("access_log_lines", Global::AccessLogLines),
    ("access_log_dropped", Global::AccessLogDropped),
    ("tls_failures", Global::TlsFailures),
    ("refused_by_listener", Global::RefusedByListener),
    ("refused_by_address", Global::RefusedByAddress),
    ("accept_failures", Global::AcceptFailures),
    ("shed", Global::Shed),
    ("address_denied", Global::AddressDenied),
    ("fault_delays", Global::FaultDelays),
    ("fault_aborts", Global::FaultAborts),
    ("tasks", Global::Tasks),
    ("tcp_connections", Global::TcpConnections),
    ("tcp_no_route", Global::TcpNoRoute),
    ("tcp_no_endpoint", Global::TcpNoEndpoint),
    ("tcp_overflow", Global::TcpOverflow),
    ("tcp_unreachable", Global::TcpUnreachable),
    ("tcp_upstream_reset", Global::TcpUpstreamReset),
    ("tcp_client_reset", Global::TcpClientReset),
    ("tcp_idle", Global::TcpIdle),
    ("tcp_bad_hello", Global::TcpBadHello),
    ("udp_sessions", Global::UdpSessions),
    ("udp_refused", Global::UdpRefused),
    ("udp_no_endpoint", Global::UdpNoEndpoint),
    ("udp_overflow", Global::UdpOverflow),
    ("udp_unreachable", Global::UdpUnreachable),
    ("udp_dropped", Global::UdpDropped),
    ("filter_failed", Global::FilterFailed),
    ("filter_missing", Global::FilterMissing),
    ("filter_timeout", Global::FilterTimeouts),
    ("filter_stalled", Global::FilterStalls),
    ("filter_refused", Global::FilterRefused),
];

const FIELDS: [(&str, Field); 15] = [
    ("bytes_in", Field::BytesIn),
    ("bytes_out", Field::BytesOut),
    ("connections", Field::Connections),
    ("connections_active", Field::ConnectionsActive),
    ("connections_failed", Field::ConnectionsFailed),
    ("timeouts", Field::Timeouts),
    ("retries", Field::Retries),
    ("in_flight", Field::InFlight),
    ("overflow_connections", Field::OverflowConnections),
    ("overflow_pending", Field::OverflowPending),
    ("overflow_requests", Field::OverflowRequests),
    ("overflow_retries", Field::OverflowRetries),
    ("endpoints", Field::Endpoints),
    ("endpoints_healthy", Field::EndpointsHealthy),
    ("endpoints_ejected", Field::EndpointsEjected),
];

fn rows<'py>(py: Python<'py>, totals: &[RowTotals]) -> PyResult<Bound<'py, PyDict>> {
    let rows = PyDict::new(py);
    for totals in totals {
        let row = PyDict::new(py);
        row.set_item("classes", totals.classes.to_vec())?;
        row.set_item("latency", totals.latency.to_vec())?;
        row.set_item("latency_sum_us", totals.latency_sum_us)?;
        for (name, field) in FIELDS {
            row.set_item(name, totals.get(field))?;
        }
        rows.set_item(totals.slot, row)?;
    }
    Ok(rows)
}

impl SharedMemory {
    /// What all workers hold of a cluster's circuit breakers: connections, pending, requests and retries of the default
    /// priority, then of the high one.
    fn breakers_in_use(&self, slot: usize) -> Vec<u64> {
        let Some(breakers) = self.layout.breakers(self.words.words()) else { return Vec::new() };
        let resources = [Resource::Connections, Resource::Pending, Resource::Requests, Resource::Retries];
        let of = |priority| resources.map(|resource| breakers.in_use(slot, priority, resource));
        [of(Priority::Default), of(Priority::High)].concat()
    }
}

#[pymethods]
impl SharedMemory {
    /// Map ``fd``, growing the file to its fixed size if needed.
    #[new]
    fn new(fd: RawFd, workers: usize) -> PyResult<Self> {
        if workers == 0 || workers > 1024 {
            return Err(PyValueError::new_err(format!("workers must be between 1 and 1024, not {workers}")));
        }
        let layout = Layout { workers };
        let words = SharedWords::map(duplicate(fd)?, layout.words())
            .map_err(|error| PyOSError::new_err((error.raw_os_error(), format!("cannot map the memory: {error}"))))?;
        layout
            .open(words.words(), sluice_proxy::random_seed())
            .map_err(|error| NativeError::new_err(error.to_string()))?;
        Ok(Self { words: Arc::new(words), layout })
    }

    /// Bytes of the file for this number of worker slots.
    #[staticmethod]
    fn size(workers: usize) -> usize {
        Layout { workers }.words() * size_of::<u64>()
    }

    /// Sums over all workers.
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = self.layout.sum(self.words.words()).map_err(|error| NativeError::new_err(error.to_string()))?;
        let dict = PyDict::new(py);
        for (name, number) in GLOBALS {
            dict.set_item(name, totals.get(number))?;
        }
        let rejects = PyDict::new(py);
        for (index, count) in &totals.rejects {
            rejects.set_item(RejectReason::ALL.get(*index).map_or("other", |reason| reason.as_str()), count)?;
        }
        dict.set_item("rejects", rejects)?;
        dict.set_item("config_versions", totals.config_versions.clone())?;
        dict.set_item("in_flight_by_worker", totals.in_flight.clone())?;
        dict.set_item("listeners", rows(py, &totals.listeners)?)?;
        let clusters = rows(py, &totals.clusters)?;
        for totals in &totals.clusters {
            if let Some(row) = clusters.get_item(totals.slot)? {
                row.set_item("breakers_in_use", self.breakers_in_use(totals.slot))?;
            }
        }
        dict.set_item("clusters", clusters)?;
        dict.set_item("latency_bounds_us", BOUNDS_US.to_vec())?;
        Ok(dict)
    }

    /// Turns of each worker slot so far: a worker whose number has not grown for two seconds does not turn.
    fn turns(&self) -> PyResult<Vec<u64>> {
        self.layout.turns(self.words.words()).map_err(|error| NativeError::new_err(error.to_string()))
    }

    /// Tell the workers how short of memory the pod is: 0 not at all, 1 connections end with their next answer, 2
    /// requests are refused.
    fn set_pressure(&self, level: u8) -> PyResult<()> {
        let pressure = match level {
            0 => Pressure::None,
            1 => Pressure::Close,
            2 => Pressure::Refuse,
            _ => return Err(PyValueError::new_err(format!("the level must be 0, 1 or 2, not {level}"))),
        };
        self.layout.set_pressure(self.words.words(), pressure);
        Ok(())
    }

    /// Zero the gauges of a worker slot whose process is gone.
    fn reset_gauges(&self, worker: usize) -> PyResult<()> {
        self.layout.reset_gauges(self.words.words(), worker).map_err(|error| PyValueError::new_err(error.to_string()))
    }
}
