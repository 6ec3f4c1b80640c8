//! The host itself: reactor, run queue and timers behind one descriptor.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

use crate::clock::Clock;
use crate::executor::{RemoteWaker, RunQueue, Tasks};
use crate::readiness::{HUNG_UP, READ_CLOSED, READABLE, Readiness, WRITABLE};
use crate::timer::{COARSE_SHIFT, FINE_SHIFT, Wheel};
use crate::timerfd::TimerFd;

const WAKE: Token = Token(usize::MAX - 1);
const TIMER: Token = Token(usize::MAX - 2);
/// Events per poll: enough that a busy worker needs one system call for everything that is ready.
const EVENTS: usize = 1024;
/// Fewer events than this and polling again costs more than it finds (measured: -2 % at one connection).
const REPOLL_EVENTS: usize = 4;

/// Reads and writes of one task before others get their turn: at 64 KiB each some 2 MiB, about a millisecond. A task
/// whose peers are always ready would otherwise never wait, and keep the worker to itself.
const OPERATIONS: u32 = 64;

/// Why a host could not be made or a socket not be registered.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {source}")]
pub struct HostError {
    action: &'static str,
    source: io::Error,
}

impl HostError {
    pub(crate) fn new(action: &'static str, source: io::Error) -> Self {
        Self { action, source }
    }
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> HostError {
    move |source| HostError { action, source }
}

/// How much one turn may do before the foreign loop gets its share.
#[derive(Debug, Clone, Copy)]
pub struct TurnBudget {
    /// Polls of the reactor.
    pub polls: u32,
    /// Nanoseconds after which no further task is started.
    pub time_ns: u64,
}

impl Default for TurnBudget {
    fn default() -> Self {
        // 4 polls gain 5-8 % at 256 connections; 5 ms keeps asyncio callbacks (Python filters) responsive.
        Self { polls: 4, time_ns: 5_000_000 }
    }
}

/// What a turn did.
#[derive(Debug, Default, Clone, Copy)]
pub struct TurnReport {
    /// Socket events seen.
    pub events: usize,
    /// Tasks polled.
    pub tasks: usize,
    /// Tasks that panicked and were dropped.
    pub panics: usize,
    /// Duration of the turn in nanoseconds.
    pub elapsed_ns: u64,
}

struct Inner {
    poll: RefCell<Poll>,
    events: RefCell<Events>,
    registry: Registry,
    sources: RefCell<Slab<Rc<Readiness>>>,
    queue: Arc<RunQueue>,
    tasks: Rc<Tasks>,
    wheel: RefCell<Wheel>,
    /// Timers of protocols that count single milliseconds.
    fine: RefCell<Wheel>,
    timer: TimerFd,
    armed_ns: Cell<u64>,
    clock: Box<dyn Clock>,
    now_ns: Cell<u64>,
    wall_ns: Cell<u64>,
    woken: RefCell<Vec<Waker>>,
    budget: TurnBudget,
    /// Reads and writes the running task may still do.
    operations: Cell<u32>,
}

/// A handle to the runtime; clones share it.
#[derive(Clone)]
pub struct Host(Rc<Inner>);

impl Host {
    /// Creates a runtime on the calling thread.
    pub fn new(clock: impl Clock + 'static, budget: TurnBudget) -> Result<Self, HostError> {
        let poll = Poll::new().map_err(failed("create an epoll instance"))?;
        let registry = poll.registry().try_clone().map_err(failed("duplicate the epoll descriptor"))?;
        let waker = mio::Waker::new(&registry, WAKE).map_err(failed("create the wake-up descriptor"))?;
        let timer = TimerFd::new().map_err(failed("create a timer descriptor"))?;
        registry
            .register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)
            .map_err(failed("register the timer descriptor"))?;
        let (now_ns, wall_ns) = (clock.monotonic_ns(), clock.realtime_ns());
        Ok(Self(Rc::new(Inner {
            poll: RefCell::new(poll),
            events: RefCell::new(Events::with_capacity(EVENTS)),
            registry,
            sources: RefCell::default(),
            queue: Arc::new(RunQueue::new(waker)),
            tasks: Rc::default(),
            wheel: RefCell::new(Wheel::new(COARSE_SHIFT)),
            fine: RefCell::new(Wheel::new(FINE_SHIFT)),
            timer,
            armed_ns: Cell::new(0),
            clock: Box::new(clock),
            now_ns: Cell::new(now_ns),
            wall_ns: Cell::new(wall_ns),
            woken: RefCell::new(Vec::with_capacity(EVENTS)),
            budget,
            operations: Cell::new(OPERATIONS),
        })))
    }

    /// The descriptor to watch for readability.
    pub fn fileno(&self) -> RawFd {
        self.0.poll.borrow().as_raw_fd()
    }

    /// Monotonic nanoseconds at the last poll.
    pub fn now_ns(&self) -> u64 {
        self.0.now_ns.get()
    }

    /// Nanoseconds since the Unix epoch at the last poll.
    pub fn wall_ns(&self) -> u64 {
        self.0.wall_ns.get()
    }

    /// Nanoseconds until the earliest timer entry.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        Some(self.earliest_ns()?.saturating_sub(self.0.clock.monotonic_ns()))
    }

    /// A wake-up handle for other threads.
    pub fn remote_waker(&self) -> RemoteWaker {
        RemoteWaker(Arc::clone(&self.0.queue))
    }

    /// Starts a task; it runs in the next turn.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.0.tasks.spawn(&self.0.queue, future);
        // Outside of a turn nobody would look at the queue before the next event.
        self.0.queue.wake();
    }

    /// As [`Host::spawn`], for callers that run inside a turn: saves the wake-up system call.
    pub fn spawn_in_turn(&self, future: impl Future<Output = ()> + 'static) {
        self.0.tasks.spawn(&self.0.queue, future);
    }

    /// Live tasks.
    pub fn tasks(&self) -> usize {
        self.0.tasks.len()
    }

    /// Wakes every task that waits for a socket, so that it can look at changed circumstances (a drain).
    pub fn wake_all(&self) {
        let mut woken = Vec::new();
        for (_, readiness) in self.0.sources.borrow().iter() {
            readiness.take_wakers(&mut woken);
        }
        for waker in woken {
            waker.wake();
        }
        self.0.queue.wake();
    }

    /// Does the work that is due.
    pub fn turn(&self) -> TurnReport {
        let mut report = TurnReport::default();
        let start = self.read_clock();
        for _ in 0..self.0.budget.polls.max(1) {
            let seen = self.poll_events();
            report.events += seen;
            self.expire_timers();
            self.0.queue.collect_remote();
            self.run_tasks(start, &mut report);
            let spent = self.read_clock().saturating_sub(start);
            if seen < REPOLL_EVENTS || spent >= self.0.budget.time_ns {
                break;
            }
        }
        if !self.0.queue.is_empty() {
            self.0.queue.wake();
        }
        self.arm();
        report.elapsed_ns = self.now_ns().saturating_sub(start);
        report
    }

    /// Drops every task and timer. The host can still be turned but has nothing to do.
    pub fn close(&self) {
        drop(self.0.tasks.take_all());
        // A task that another thread woke waits in the queue of that thread's wake-ups.
        self.0.queue.collect_remote();
        while !self.0.queue.is_empty() {
            self.run_tasks(self.read_clock(), &mut TurnReport::default());
        }
        self.0.wheel.borrow_mut().clear();
        self.0.fine.borrow_mut().clear();
        // Wakers that are left belong to dropped tasks; the slab keeps no socket alive.
        self.0.sources.borrow_mut().clear();
    }

    fn read_clock(&self) -> u64 {
        let now = self.0.clock.monotonic_ns();
        self.0.now_ns.set(now);
        self.0.wall_ns.set(self.0.clock.realtime_ns());
        now
    }

    fn poll_events(&self) -> usize {
        let mut events = self.0.events.borrow_mut();
        // An interrupted poll is an empty one: the descriptor stays readable and the loop comes back.
        if self.0.poll.borrow_mut().poll(&mut events, Some(std::time::Duration::ZERO)).is_err() {
            return 0;
        }
        let mut woken = self.0.woken.borrow_mut();
        let mut count = 0;
        {
            let sources = self.0.sources.borrow();
            for event in events.iter() {
                let Some(readiness) = sources.get(event.token().0) else {
                    continue;
                };
                let mut flags = 0;
                if event.is_readable() {
                    flags |= READABLE;
                }
                if event.is_writable() {
                    flags |= WRITABLE;
                }
                if event.is_read_closed() {
                    flags |= READABLE | READ_CLOSED;
                }
                if event.is_error() || (event.is_read_closed() && event.is_write_closed()) {
                    flags |= READABLE | WRITABLE | READ_CLOSED | HUNG_UP;
                }
                readiness.event(flags, &mut woken);
                count += 1;
            }
        }
        drop(events);
        wake_each(&mut woken);
        count
    }

    fn expire_timers(&self) {
        let mut woken = self.0.woken.borrow_mut();
        self.0.wheel.borrow_mut().expire(self.now_ns(), &mut woken);
        self.0.fine.borrow_mut().expire(self.now_ns(), &mut woken);
        wake_each(&mut woken);
    }

    fn run_tasks(&self, start: u64, report: &mut TurnReport) {
        let mut work = 0;
        while let Some(runnable) = self.0.queue.pop() {
            report.tasks += 1;
            self.0.operations.set(OPERATIONS);
            // A panic costs the one task: async-task has already marked it closed, and its future is dropped.
            if catch_unwind(AssertUnwindSafe(|| runnable.run())).is_err() {
                report.panics += 1;
            }
            let left = self.0.operations.get();
            if left == 0 {
                // It queued itself again. Sockets that became ready meanwhile go first.
                break;
            }
            work += 1 + OPERATIONS - left;
            if work >= OPERATIONS {
                work = 0;
                if self.0.clock.monotonic_ns().saturating_sub(start) >= self.0.budget.time_ns {
                    break;
                }
            }
        }
        self.0.operations.set(OPERATIONS);
    }

    /// Takes one read or write from the budget of the running task. False if there is none left: then the task is
    /// queued again and must return.
    pub(crate) fn take_operation(&self, context: &Context<'_>) -> bool {
        let left = self.0.operations.get();
        if left == 0 {
            context.waker().wake_by_ref();
            return false;
        }
        self.0.operations.set(left - 1);
        true
    }

    fn arm(&self) {
        let earliest = self.earliest_ns().unwrap_or(0);
        // A deadline that passed within this turn may have used up its event before the clock showed it: arming for
        // the past makes the descriptor readable again.
        let passed = earliest != 0 && earliest <= self.now_ns();
        if (earliest != self.0.armed_ns.get() || passed) && self.0.timer.arm(earliest).is_ok() {
            self.0.armed_ns.set(earliest);
        }
    }

    fn earliest_ns(&self) -> Option<u64> {
        let both = [self.0.wheel.borrow().earliest_ns(), self.0.fine.borrow().earliest_ns()];
        both.into_iter().flatten().min()
    }

    /// The wheel whose ticks are 2^`shift` nanoseconds.
    pub(crate) fn wheel(&self, shift: u32) -> &RefCell<Wheel> {
        if shift == FINE_SHIFT { &self.0.fine } else { &self.0.wheel }
    }

    pub(crate) fn register(
        &self,
        source: &mut impl Source,
        interest: Interest,
        ready: u8,
    ) -> Result<(usize, Rc<Readiness>), HostError> {
        let readiness = Rc::new(Readiness::default());
        readiness.set(ready);
        let token = self.0.sources.borrow_mut().insert(Rc::clone(&readiness));
        if let Err(source) = self.0.registry.register(source, Token(token), interest) {
            self.0.sources.borrow_mut().remove(token);
            return Err(HostError { action: "register a socket", source });
        }
        Ok((token, readiness))
    }

    pub(crate) fn deregister(&self, source: &mut impl Source, token: usize) {
        // A listening socket has duplicates in the master, so closing ours would leave it in this epoll set.
        drop(self.0.registry.deregister(source));
        self.forget(token);
    }

    pub(crate) fn forget(&self, token: usize) {
        if let Ok(mut sources) = self.0.sources.try_borrow_mut() {
            sources.try_remove(token);
        }
    }
}

fn wake_each(woken: &mut Vec<Waker>) {
    for waker in woken.drain(..) {
        waker.wake();
    }
}
