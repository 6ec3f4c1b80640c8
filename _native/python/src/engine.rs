//! The data plane as an object of an event loop.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sluice_host::RemoteWaker;
use sluice_policy::stats::Global;
use sluice_proxy::{EngineConfig, UpcallAnswer};

use crate::errors::{self, NativeError};
use crate::memory::{SharedMemory, duplicate};
use crate::snapshot::Snapshot;

/// A request that waits for Python.
#[pyclass(frozen, get_all, module = "gateway._native")]
pub(crate) struct Upcall {
    id: u64,
    filter: String,
    method: String,
    host: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    client: String,
    route: String,
}

impl From<sluice_proxy::Upcall> for Upcall {
    fn from(upcall: sluice_proxy::Upcall) -> Self {
        Self {
            id: upcall.id,
            filter: upcall.filter,
            method: upcall.method,
            host: upcall.host,
            path: upcall.path,
            query: upcall.query,
            headers: upcall.headers,
            client: upcall.client.to_string(),
            route: upcall.route,
        }
    }
}

/// Wakes an engine from any thread.
#[pyclass(frozen, module = "gateway._native")]
pub(crate) struct Waker(RemoteWaker);

#[pymethods]
impl Waker {
    /// Make the engine's descriptor readable.
    fn wake(&self) {
        self.0.wake();
    }
}

/// The data plane of one worker. All methods must be called on the thread that made it.
#[pyclass(frozen, unsendable, module = "gateway._native")]
pub(crate) struct Engine {
    engine: sluice_proxy::Engine,
    on_upcalls: Option<Py<PyAny>>,
}

/// Rounds of upcalls answered at once within one turn; the rest waits for the loop.
const UPCALL_ROUNDS: usize = 4;

fn check_headers(headers: &[(String, String)]) -> PyResult<()> {
    for (name, value) in headers {
        if !sluice_policy::token::is_token(name.as_bytes()) || !sluice_policy::token::is_field_value(value.as_bytes()) {
            return Err(PyValueError::new_err(format!(
                "{name:?}: not a valid header name or value (RFC 9110 section 5)"
            )));
        }
    }
    Ok(())
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (worker=0, memory=None, on_upcalls=None, access_log_fd=None, upcall_timeout=5.0))]
    fn new(
        worker: usize,
        memory: Option<&Bound<'_, SharedMemory>>,
        on_upcalls: Option<Py<PyAny>>,
        access_log_fd: Option<RawFd>,
        upcall_timeout: f64,
    ) -> PyResult<Self> {
        let memory = memory.map(|memory| {
            let memory = memory.get();
            (Arc::clone(&memory.words), memory.layout.workers)
        });
        let seed = sluice_proxy::random_seed();
        let access_log = access_log_fd.map(duplicate).transpose()?;
        let upcall_timeout = Duration::try_from_secs_f64(upcall_timeout)
            .map_err(|_| PyValueError::new_err(format!("{upcall_timeout} is no number of seconds")))?;
        let config = EngineConfig { worker, memory, access_log, seed, upcall_timeout };
        let engine = sluice_proxy::Engine::new(config);
        Ok(Self { engine: engine.map_err(errors::engine)?, on_upcalls })
    }

    /// Readable whenever :meth:`turn` has work, deadlines included.
    fn fileno(&self) -> RawFd {
        self.engine.fileno()
    }

    /// Do the native work that is due, within the budget of a turn, then deliver upcalls.
    fn turn(&self, py: Python<'_>) -> PyResult<()> {
        for _ in 0..UPCALL_ROUNDS {
            self.engine.turn();
            let upcalls = self.engine.take_upcalls();
            if upcalls.is_empty() {
                return Ok(());
            }
            let Some(deliver) = &self.on_upcalls else {
                for upcall in upcalls {
                    let body = b"no filter host\n".to_vec();
                    self.engine.answer(upcall.id, UpcallAnswer::Respond { status: 500, headers: Vec::new(), body });
                }
                continue;
            };
            let batch =
                upcalls.into_iter().map(|upcall| Py::new(py, Upcall::from(upcall))).collect::<PyResult<Vec<_>>>()?;
            deliver.call1(py, (batch,))?;
        }
        Ok(())
    }

    /// Seconds until the earliest timer, for hosts that poll.
    fn next_deadline(&self) -> Option<f64> {
        self.engine.next_deadline_ns().map(|nanos| nanos as f64 / 1e9)
    }

    /// A wake-up handle for other threads.
    fn waker(&self) -> Waker {
        Waker(self.engine.waker())
    }

    /// Make ``snapshot`` current for new requests; running ones keep theirs.
    fn apply(&self, snapshot: &Bound<'_, Snapshot>) {
        self.engine.apply(Arc::clone(&snapshot.get().0));
    }

    /// Accept from listening socket ``fd`` (duplicated) for listener section ``listener``.
    fn listen(&self, listener: &str, fd: RawFd) -> PyResult<()> {
        self.engine.listen(listener, duplicate(fd)?).map_err(errors::engine)
    }

    /// Take HTTP/3 connections from UDP socket ``fd`` (duplicated) for listener section ``listener``.
    fn listen_udp(&self, listener: &str, fd: RawFd) -> PyResult<()> {
        self.engine.listen_udp(listener, duplicate(fd)?).map_err(errors::engine)
    }

    /// Stop accepting for a listener. Connections over TCP stay, those over UDP are asked to leave.
    fn unlisten(&self, listener: &str) {
        self.engine.unlisten(listener);
    }

    /// Let a request continue (``status`` is None) or answer it.
    #[pyo3(signature = (
        upcall, *, status=None, body=Vec::new(), headers=Vec::new(), add_request_headers=Vec::new(),
        remove_request_headers=Vec::new()
    ))]
    fn answer(
        &self,
        upcall: u64,
        status: Option<u16>,
        body: Vec<u8>,
        headers: Vec<(String, String)>,
        add_request_headers: Vec<(String, String)>,
        remove_request_headers: Vec<String>,
    ) -> PyResult<()> {
        check_headers(&headers)?;
        check_headers(&add_request_headers)?;
        let answer = match status {
            Some(status) if (200..=599).contains(&status) => UpcallAnswer::Respond { status, headers, body },
            Some(status) => return Err(NativeError::new_err(format!("{status} is not a final status"))),
            None => UpcallAnswer::Continue { add: add_request_headers, remove: remove_request_headers },
        };
        self.engine.answer(upcall, answer);
        Ok(())
    }

    /// Count what became of a filter: ``failed``, ``missing``, ``timeout``, ``stalled`` or ``refused``.
    fn count_filter(&self, outcome: &str) -> PyResult<()> {
        let number = match outcome {
            "failed" => Global::FilterFailed,
            "missing" => Global::FilterMissing,
            "timeout" => Global::FilterTimeouts,
            "stalled" => Global::FilterStalls,
            "refused" => Global::FilterRefused,
            _ => return Err(PyValueError::new_err(format!("{outcome:?} is no outcome of a filter"))),
        };
        self.engine.count(number);
        Ok(())
    }

    /// Close idle connections, answer the rest with ``Connection: close``. Accepting goes on until ``unlisten``.
    fn drain(&self) {
        self.engine.drain();
    }

    /// Open downstream connections.
    fn connections(&self) -> usize {
        self.engine.connections()
    }

    /// Requests being served.
    fn in_flight(&self) -> usize {
        self.engine.in_flight()
    }

    /// Drop everything at once.
    fn close(&self) {
        self.engine.close();
    }
}
