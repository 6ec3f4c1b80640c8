//! What all connections of one engine share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use sluice_host::Host;
use sluice_http1::{RequestHead, ResponseHead};
use sluice_policy::addresses::Addresses;
use sluice_policy::rng::Rng;
use sluice_policy::stats::{Field, Global, Layout, LayoutError, Pressure, Region, Row};
use sluice_policy::table::LimitTable;
use sluice_policy::upstream::{BreakerWorker, Resource};
use sluice_snapshot::Compiled;

use crate::buffers::BufferPool;
use crate::deadline::Deadlines;
use crate::log_writer::LogWriter;
use crate::memory::SharedWords;
use crate::pool::Pools;
use crate::resolver::Resolver;
use crate::target::Targets;
use crate::upcall::Upcalls;

/// Scratch objects kept for reuse.
const KEPT: usize = 256;
/// Scratch vectors that grew beyond this are freed instead of kept, in bytes.
const KEPT_BYTES: usize = 32 * 1024;

/// Objects with capacity worth keeping between requests. Heads are boxed so that a task holds a pointer, not a copy.
#[derive(Default)]
#[allow(clippy::vec_box)]
pub(crate) struct Scratch {
    outs: RefCell<Vec<Vec<u8>>>,
    requests: RefCell<Vec<Box<RequestHead>>>,
    responses: RefCell<Vec<Box<ResponseHead>>>,
    deadlines: RefCell<Vec<Deadlines>>,
}

impl Scratch {
    pub(crate) fn out(&self) -> Vec<u8> {
        self.outs.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(2048))
    }

    pub(crate) fn put_out(&self, mut out: Vec<u8>) {
        let mut outs = self.outs.borrow_mut();
        if outs.len() < KEPT && out.capacity() <= KEPT_BYTES {
            out.clear();
            outs.push(out);
        }
    }

    pub(crate) fn request(&self) -> Box<RequestHead> {
        self.requests.borrow_mut().pop().unwrap_or_else(|| Box::new(RequestHead::new()))
    }

    pub(crate) fn put_request(&self, mut head: Box<RequestHead>) {
        let mut heads = self.requests.borrow_mut();
        if heads.len() < KEPT {
            head.clear();
            heads.push(head);
        }
    }

    #[allow(clippy::unnecessary_box_returns)]
    pub(crate) fn response(&self) -> Box<ResponseHead> {
        self.responses.borrow_mut().pop().unwrap_or_else(|| Box::new(ResponseHead::new()))
    }

    /// Timers of streams are lent: each new one would leave an entry in the wheel behind.
    pub(crate) fn deadlines(&self, host: &Host) -> Deadlines {
        self.deadlines.borrow_mut().pop().unwrap_or_else(|| Deadlines::new(host))
    }

    pub(crate) fn put_deadlines(&self, deadlines: Deadlines) {
        deadlines.clear();
        let mut kept = self.deadlines.borrow_mut();
        if kept.len() < KEPT {
            kept.push(deadlines);
        }
    }

    pub(crate) fn put_response(&self, head: Box<ResponseHead>) {
        let mut heads = self.responses.borrow_mut();
        if heads.len() < KEPT {
            heads.push(head);
        }
    }
}

/// The `Date` header, formatted once a second (RFC 9110 section 6.6.1).
#[derive(Default)]
struct DateCache {
    second: Cell<u64>,
    text: RefCell<String>,
}

/// State of an engine that its tasks reach through one pointer.
pub(crate) struct Shared {
    pub(crate) host: Host,
    compiled: RefCell<Arc<Compiled>>,
    memory: Arc<SharedWords>,
    layout: Layout,
    pub(crate) worker: usize,
    pub(crate) pools: Pools,
    pub(crate) targets: Targets,
    pub(crate) buffers: BufferPool,
    pub(crate) scratch: Scratch,
    pub(crate) resolver: Resolver,
    pub(crate) upcalls: Upcalls,
    pub(crate) log: Option<LogWriter>,
    rng: RefCell<Rng>,
    date: DateCache,
    pub(crate) draining: Cell<bool>,
    pub(crate) connections: Cell<usize>,
    pub(crate) in_flight: Cell<usize>,
    /// Requests being tried again.
    pub(crate) retries: Cell<u64>,
    /// Answers being compressed.
    pub(crate) encoders: Cell<usize>,
}

impl Shared {
    pub(crate) fn new(
        host: Host,
        compiled: Arc<Compiled>,
        memory: Arc<SharedWords>,
        layout: Layout,
        worker: usize,
        log: Option<LogWriter>,
        seed: u64,
    ) -> Result<Rc<Self>, LayoutError> {
        layout.open(memory.words(), crate::random_seed())?;
        layout.region(memory.words(), worker)?;
        Ok(Rc::new(Self {
            host,
            compiled: RefCell::new(compiled),
            memory,
            layout,
            worker,
            pools: Pools::default(),
            targets: Targets::default(),
            buffers: BufferPool::default(),
            scratch: Scratch::default(),
            resolver: Resolver::default(),
            upcalls: Upcalls::default(),
            log,
            rng: RefCell::new(Rng::new(seed)),
            date: DateCache::default(),
            draining: Cell::new(false),
            connections: Cell::new(0),
            in_flight: Cell::new(0),
            retries: Cell::new(0),
            encoders: Cell::new(0),
        }))
    }

    /// The configuration for a request that starts now.
    pub(crate) fn compiled(&self) -> Arc<Compiled> {
        Arc::clone(&self.compiled.borrow())
    }

    pub(crate) fn apply(&self, compiled: Arc<Compiled>) {
        self.count_value(Global::ConfigVersion, compiled.version);
        *self.compiled.borrow_mut() = compiled;
    }

    /// Counters of this worker. The slot was checked when the engine was made.
    fn region(&self) -> Option<Region<'_>> {
        self.layout.region(self.memory.words(), self.worker).ok()
    }

    pub(crate) fn count(&self, number: Global, n: u64) {
        if let Some(region) = self.region() {
            region.add(number, n);
        }
    }

    pub(crate) fn uncount(&self, gauge: Global, n: u64) {
        if let Some(region) = self.region() {
            region.sub(gauge, n);
        }
    }

    fn count_value(&self, number: Global, value: u64) {
        if let Some(region) = self.region() {
            region.word(number).store(value, std::sync::atomic::Ordering::Relaxed);
        }
    }

    pub(crate) fn count_reject(&self, reason: usize) {
        if let Some(region) = self.region() {
            region.reject(reason);
        }
    }

    pub(crate) fn count_turn(&self, elapsed_us: u64, tasks: usize) {
        if let Some(region) = self.region() {
            region.loop_lag(elapsed_us);
            region.word(Global::Tasks).store(tasks as u64, std::sync::atomic::Ordering::Relaxed);
        }
    }

    pub(crate) fn listener_row(&self, slot: usize) -> Option<Row<'_>> {
        self.region().map(|region| region.listener(slot))
    }

    pub(crate) fn cluster_row(&self, slot: usize) -> Option<Row<'_>> {
        self.region().map(|region| region.cluster(slot))
    }

    /// Counts that a circuit breaker of a cluster declined.
    pub(crate) fn count_overflow(&self, slot: usize, resource: Resource) {
        if let Some(row) = self.cluster_row(slot) {
            row.add(
                match resource {
                    Resource::Connections => Field::OverflowConnections,
                    Resource::Pending => Field::OverflowPending,
                    Resource::Requests => Field::OverflowRequests,
                    Resource::Retries => Field::OverflowRetries,
                },
                1,
            );
        }
    }

    /// Open connections of a listener in all workers.
    pub(crate) fn listener_connections(&self, slot: usize) -> u64 {
        let regions =
            (0..self.layout.workers).filter_map(|worker| self.layout.region(self.memory.words(), worker).ok());
        regions.map(|region| region.connections_of_listener(slot)).sum()
    }

    /// Connections by client address, in all workers.
    pub(crate) fn addresses(&self) -> Option<Addresses<'_>> {
        self.layout.addresses(self.memory.words())
    }

    /// How short of memory the pod is.
    pub(crate) fn pressure(&self) -> Pressure {
        self.layout.pressure(self.memory.words())
    }

    /// Connections shall end with their next answer.
    pub(crate) fn closes_connections(&self) -> bool {
        self.draining.get() || self.pressure() > Pressure::None
    }

    /// The token buckets that all workers share.
    pub(crate) fn limits(&self) -> LimitTable<'_> {
        let words = self.memory.words().get(self.layout.limit_table_range()).unwrap_or_default();
        LimitTable::new(words)
    }

    /// The circuit breakers that all workers share.
    pub(crate) fn breakers(&self) -> Option<BreakerWorker<'_>> {
        self.layout.breakers(self.memory.words())?.worker(self.worker)
    }

    pub(crate) fn random(&self) -> u64 {
        self.rng.borrow_mut().next_u64()
    }

    /// A key of WebSocket for clients that send none (RFC 6455 section 4.1).
    pub(crate) fn random_key(&self) -> [u8; 16] {
        (u128::from(self.random()) << 64 | u128::from(self.random())).to_be_bytes()
    }

    /// Runs `draw` with the generator.
    pub(crate) fn with_rng<R>(&self, draw: impl FnOnce(&mut Rng) -> R) -> R {
        draw(&mut self.rng.borrow_mut())
    }

    /// A number in 0..100, for weights.
    pub(crate) fn percent(&self) -> f64 {
        self.rng.borrow_mut().percent()
    }

    /// Appends the current date in the format of RFC 9110 section 5.6.7.
    pub(crate) fn append_date(&self, out: &mut Vec<u8>) {
        let second = self.host.wall_ns() / 1_000_000_000;
        if self.date.second.replace(second) != second {
            *self.date.text.borrow_mut() = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        }
        out.extend_from_slice(self.date.text.borrow().as_bytes());
    }
}
