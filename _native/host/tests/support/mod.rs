//! A foreign loop around a host: waits for its descriptor with poll(2) and turns it.

#![allow(dead_code, reason = "each test uses a part")]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;

use sluice_host::{Clock, Host, SystemClock, TcpIo, TurnBudget};

/// Longest wait for something that must happen, in milliseconds: only a failing test waits this long.
const STALLED_MS: i32 = 20_000;

/// A clock that stands still until it is set.
#[derive(Clone)]
pub(crate) struct HandClock(Rc<Cell<u64>>);

impl HandClock {
    pub(crate) fn at(now_ns: u64) -> Self {
        Self(Rc::new(Cell::new(now_ns)))
    }

    pub(crate) fn set(&self, now_ns: u64) {
        self.0.set(now_ns);
    }
}

impl Clock for HandClock {
    fn monotonic_ns(&self) -> u64 {
        self.0.get()
    }

    fn realtime_ns(&self) -> u64 {
        self.0.get()
    }
}

/// A clock that gives one reading after the other, then the last one again and again.
pub(crate) struct ScriptClock(pub(crate) Rc<RefCell<Vec<u64>>>);

impl Clock for ScriptClock {
    fn monotonic_ns(&self) -> u64 {
        let mut readings = self.0.borrow_mut();
        if readings.len() > 1 { readings.remove(0) } else { readings[0] }
    }

    fn realtime_ns(&self) -> u64 {
        0
    }
}

pub(crate) fn host() -> Host {
    Host::new(SystemClock, TurnBudget::default()).unwrap()
}

/// A host with a clock of its own. It stands an hour ahead of the machine's, so that the kernel's timer, which knows
/// only the machine's, does not fire in between.
pub(crate) fn hand_host() -> (Host, HandClock, u64) {
    let start = SystemClock.monotonic_ns() + 3_600_000_000_000;
    let clock = HandClock::at(start);
    (Host::new(clock.clone(), TurnBudget::default()).unwrap(), clock, start)
}

/// Whether the descriptor of `host` becomes readable within a time.
#[allow(unsafe_code)]
fn wait(host: &Host, milliseconds: i32) -> bool {
    let mut watched = libc::pollfd { fd: host.fileno(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the pointer is to one valid pollfd, and the count says one.
    let ready = unsafe { libc::poll(&raw mut watched, 1, milliseconds) };
    ready == 1 && watched.revents & libc::POLLIN != 0
}

/// Whether there is work now.
pub(crate) fn readable(host: &Host) -> bool {
    wait(host, 0)
}

/// Waits for work that must come.
pub(crate) fn await_work(host: &Host) {
    assert!(wait(host, STALLED_MS), "the host has nothing to do, but should");
}

/// Turns the host whenever it is readable until `done`.
pub(crate) fn drive(host: &Host, mut done: impl FnMut() -> bool) {
    while !done() {
        await_work(host);
        host.turn();
    }
}

/// Turns the host until it has nothing more to do.
pub(crate) fn settle(host: &Host) {
    while readable(host) {
        host.turn();
    }
}

/// Runs `work` as a task to its end.
pub(crate) fn run<R: 'static>(host: &Host, work: impl Future<Output = R> + 'static) -> R {
    let result = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&result);
    host.spawn(async move {
        let value = work.await;
        *slot.borrow_mut() = Some(value);
    });
    drive(host, || result.borrow().is_some());
    result.take().unwrap()
}

/// A connection: our end on the host, and the peer's.
pub(crate) fn pair(host: &Host) -> (TcpIo, TcpStream) {
    pair_with(host, |_, _| {})
}

/// As [`pair`], with socket options set on both ends first.
pub(crate) fn pair_with(host: &Host, set: impl FnOnce(&TcpStream, &TcpStream)) -> (TcpIo, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    set(&ours, &peer);
    ours.set_nonblocking(true).unwrap();
    (TcpIo::accepted(host, mio::net::TcpStream::from_std(ours)).unwrap(), peer)
}

pub(crate) async fn read(io: &TcpIo, buffer: &mut [u8]) -> std::io::Result<usize> {
    std::future::poll_fn(|context| io.poll_read(context, buffer)).await
}

pub(crate) async fn write(io: &TcpIo, data: &[u8]) -> std::io::Result<usize> {
    std::future::poll_fn(|context| io.poll_write(context, data)).await
}
