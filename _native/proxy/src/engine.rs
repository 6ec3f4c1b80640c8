//! The data plane of one worker, as its host sees it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::os::fd::{OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use sluice_host::{Host, HostError, RemoteWaker, SystemClock, Timer, TurnBudget};
use sluice_policy::stats::{Global, Layout, LayoutError};
use sluice_snapshot::Compiled;

use crate::accept::{self, Stop};
use crate::checks;
use crate::http3::listen::{self, QuicListener};
use crate::log_writer::LogWriter;
use crate::memory::SharedWords;
use crate::rules::nanos;
use crate::shared::Shared;
use crate::udp_proxy;
use crate::upcall::{Upcall, UpcallAnswer};

/// How often idle upstream connections are looked over, in nanoseconds. The master takes an engine that does not turn for
/// twice as long for one that hangs.
const SWEEP_NS: u64 = 1_000_000_000;
/// Shortest pause between two looks at endpoints that may return, in nanoseconds.
const JUDGE_NS: u64 = 100_000_000;

/// Why an engine cannot start or serve a socket.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The runtime could not be set up, or a socket not registered.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The shared memory does not fit.
    #[error("the shared memory cannot be used: {0}")]
    Memory(#[from] LayoutError),
    /// Memory or a thread could not be had.
    #[error("cannot {0}: {1}")]
    System(&'static str, std::io::Error),
    /// The cryptography that QUIC begins with is missing.
    #[error("QUIC has no cipher to begin with")]
    Quic,
}

/// Settings of an engine.
pub struct EngineConfig {
    /// Slot of this worker in the shared memory.
    pub worker: usize,
    /// Memory shared with other workers, with its number of slots; `None` for an engine of its own.
    pub memory: Option<(Arc<SharedWords>, usize)>,
    /// Where access-log lines go.
    pub access_log: Option<OwnedFd>,
    /// Seed for weights and request ids.
    pub seed: u64,
    /// Longest time until an upcall must be answered; then its request is answered 504.
    pub upcall_timeout: Duration,
}

/// A single-threaded data plane that a foreign loop turns.
pub struct Engine {
    host: Host,
    shared: Rc<Shared>,
    listeners: RefCell<HashMap<String, Vec<Rc<Stop>>>>,
    quic: RefCell<Vec<Weak<QuicListener>>>,
    panics: Cell<u64>,
}

impl Engine {
    /// Makes an engine that serves nothing yet.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let host = Host::new(SystemClock, TurnBudget::default())?;
        let (memory, layout) = match config.memory {
            Some((memory, workers)) => (memory, Layout { workers }),
            None => {
                let layout = Layout { workers: config.worker + 1 };
                let memory = SharedWords::private(layout.words()).map_err(|e| EngineError::System("get memory", e))?;
                (Arc::new(memory), layout)
            }
        };
        let log = config.access_log.map(LogWriter::new).transpose();
        let log = log.map_err(|e| EngineError::System("start the access-log thread", e))?;
        let compiled = Arc::new(Compiled::empty());
        let shared = Shared::new(host.clone(), compiled, memory, layout, config.worker, log, config.seed)?;
        shared.upcalls.set_timeout(nanos(config.upcall_timeout));
        let sweeping = Rc::clone(&shared);
        host.spawn(async move {
            let timer = Timer::new(&sweeping.host);
            let mut next_ns = sweeping.host.now_ns() + SWEEP_NS;
            loop {
                let judge_ns = sweeping.targets.next_sweep_ns().max(sweeping.host.now_ns() + JUDGE_NS);
                timer.sleep_until(next_ns.min(judge_ns)).await;
                let now = sweeping.host.now_ns();
                if now < next_ns {
                    sweeping.targets.judge(&sweeping, now);
                } else {
                    sweep(&sweeping);
                    next_ns = now + SWEEP_NS;
                }
            }
        });
        Ok(Self { host, shared, listeners: RefCell::default(), quic: RefCell::default(), panics: Cell::new(0) })
    }

    /// The descriptor to watch for readability.
    pub fn fileno(&self) -> RawFd {
        self.host.fileno()
    }

    /// Does the work that is due.
    pub fn turn(&self) {
        let report = self.host.turn();
        self.shared.count_turn(report.elapsed_ns / 1000, self.host.tasks());
        if report.panics > 0 {
            self.panics.set(self.panics.get() + report.panics as u64);
            self.shared.count(Global::Panics, report.panics as u64);
        }
        if let Some(log) = &self.shared.log {
            log.flush_if_old(self.host.now_ns());
        }
    }

    /// Nanoseconds until the earliest timer.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        self.host.next_deadline_ns()
    }

    /// A wake-up handle for other threads.
    pub fn waker(&self) -> RemoteWaker {
        self.host.remote_waker()
    }

    /// Makes a configuration current for new requests.
    pub fn apply(&self, compiled: Arc<Compiled>) {
        // At once: the address of an endpoint that is gone may be another's before the next sweep.
        self.shared.pools.sweep(self.shared.host.now_ns(), &compiled);
        self.shared.apply(compiled);
    }

    /// The configuration in force.
    pub fn compiled(&self) -> Arc<Compiled> {
        self.shared.compiled()
    }

    /// Accepts from a listening socket for the listener section `name`, beside earlier sockets of that name: a worker
    /// also serves the queue of a sibling that keeps crashing.
    pub fn listen(&self, name: &str, fd: OwnedFd) -> Result<(), EngineError> {
        let stop = accept::start(&self.shared, name, fd)?;
        self.listeners.borrow_mut().entry(name.to_owned()).or_default().push(stop);
        self.waker().wake();
        Ok(())
    }

    /// Takes HTTP/3 connections from a bound UDP socket for the listener section `name`, or forwards its datagrams where
    /// the section says so. A socket that has HTTP/3 connections of an earlier name goes on under the new one.
    pub fn listen_udp(&self, name: &str, fd: OwnedFd) -> Result<(), EngineError> {
        if self.shared.compiled().listener(name).is_some_and(|listener| !listener.http3) {
            let stop = udp_proxy::start(&self.shared, name, fd)?;
            self.listeners.borrow_mut().entry(name.to_owned()).or_default().push(stop);
            self.waker().wake();
            return Ok(());
        }
        let mut quic = self.quic.borrow_mut();
        quic.retain(|listener| listener.strong_count() > 0);
        let started = listen::start(&self.shared, name, fd, &quic)?;
        quic.extend(started);
        self.waker().wake();
        Ok(())
    }

    /// Stops accepting on all sockets of a listener, after what is queued was accepted. HTTP/3 connections of a UDP socket
    /// are asked to leave, because they keep the socket open.
    pub fn unlisten(&self, name: &str) {
        for listener in self.quic.borrow().iter().filter_map(Weak::upgrade) {
            listener.retire(name);
            self.waker().wake();
        }
        let stops = self.listeners.borrow_mut().remove(name).unwrap_or_default();
        for stop in stops {
            stop.stop();
            self.waker().wake();
        }
    }

    /// Takes the upcalls to deliver.
    pub fn take_upcalls(&self) -> Vec<Upcall> {
        self.shared.upcalls.take()
    }

    /// Delivers the answer to an upcall. False if its request is gone.
    pub fn answer(&self, id: u64, answer: UpcallAnswer) -> bool {
        let waited = self.shared.upcalls.answer(id, answer);
        if waited {
            self.waker().wake();
        }
        waited
    }

    /// Counts one more of a number that only the host of the engine knows about.
    pub fn count(&self, number: Global) {
        self.shared.count(number, 1);
    }

    /// Closes idle connections and tells the others that their next answer is the last.
    pub fn drain(&self) {
        self.shared.draining.set(true);
        self.shared.pools.clear();
        self.quic.borrow().iter().filter_map(Weak::upgrade).for_each(|listener| listener.wake_all());
        self.host.wake_all();
    }

    /// Open downstream connections.
    pub fn connections(&self) -> usize {
        self.shared.connections.get()
    }

    /// Requests being served.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.get()
    }

    /// Idle upstream connections.
    pub fn idle_upstreams(&self) -> usize {
        self.shared.pools.len()
    }

    /// Tasks that panicked since the start.
    pub fn panics(&self) -> u64 {
        self.panics.get()
    }

    /// Drops everything at once.
    pub fn close(&self) {
        self.listeners.borrow_mut().clear();
        self.quic.borrow_mut().clear();
        self.host.close();
        self.shared.pools.clear();
        if let Some(log) = &self.shared.log {
            log.flush();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Tasks and pooled connections point back to the shared state: without this they would keep each other alive.
        self.close();
    }
}

fn sweep(shared: &Rc<Shared>) {
    let now = shared.host.now_ns();
    let compiled = shared.compiled();
    shared.pools.sweep(now, &compiled);
    shared.resolver.sweep(now);
    shared.targets.sweep(shared, &compiled, now);
    for cluster in compiled.clusters().filter(|cluster| !cluster.health_checks.is_empty()) {
        checks::ensure(shared, &shared.targets.of(cluster, compiled.version, now, || shared.random()));
    }
    if let Some(log) = &shared.log {
        log.flush_if_old(now);
        let dropped = log.take_dropped();
        if dropped > 0 {
            shared.count(Global::AccessLogDropped, dropped);
        }
    }
}
