//! An engine in the test's thread, with clients and upstreams as threads around it.

#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod config;
pub(crate) mod http2;
pub(crate) mod latch;
pub(crate) mod pair;
pub(crate) mod quic;
pub(crate) mod secure;
pub(crate) mod upstream;
pub(crate) mod wire;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::Value;
use sluice_host::RemoteWaker;
use sluice_policy::stats::{Field, Global, Layout, Region};
use sluice_proxy::{Engine, EngineConfig, SharedWords, Upcall, UpcallAnswer};
use sluice_snapshot::Compiled;

use wire::Wire;

/// Longest wait for something that must happen, in milliseconds: only a failing test waits this long.
pub(crate) const STALLED_MS: u64 = 20_000;
/// Rows of the shared memory that the configurations of the tests use.
pub(crate) const LISTENER_ROW: usize = 1;

/// What becomes of an upcall; `None` never answers.
type Filter = Box<dyn Fn(&Upcall) -> Option<UpcallAnswer>>;

pub(crate) struct Gate {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    pub(crate) filter: Filter,
    memory: Arc<SharedWords>,
}

impl Gate {
    /// An engine that serves `sections` on a port of its own.
    pub(crate) fn new(sections: &[(&str, Value)]) -> Self {
        Self::logging(sections, None)
    }

    /// As [`Gate::new`] for sections of which something cannot be built.
    pub(crate) fn with_issues(sections: &[(&str, Value)]) -> Self {
        Self::serving(config::compiled_with_issues(1, sections), None)
    }

    /// As [`Gate::new`], with an access log.
    pub(crate) fn logging(sections: &[(&str, Value)], access_log: Option<OwnedFd>) -> Self {
        Self::serving(config::compiled(1, sections), access_log)
    }

    fn serving(compiled: Arc<Compiled>, access_log: Option<OwnedFd>) -> Self {
        let memory = Arc::new(SharedWords::private(Layout { workers: 1 }.words()).unwrap());
        let config = EngineConfig {
            worker: 0,
            memory: Some((Arc::clone(&memory), 1)),
            access_log,
            seed: 7,
            upcall_timeout: Duration::from_secs(5),
        };
        let engine = Engine::new(config).unwrap();
        engine.apply(compiled);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        engine.listen("http", OwnedFd::from(listener)).unwrap();
        Self { engine, address, filter: Box::new(|_| None), memory }
    }

    /// One pass of a host loop: waits for work, does it, delivers upcalls.
    #[allow(unsafe_code)]
    pub(crate) fn turn(&self) {
        let mut watched = libc::pollfd { fd: self.engine.fileno(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the pointer is to one valid pollfd, and the count says one.
        let ready = unsafe { libc::poll(&raw mut watched, 1, i32::try_from(STALLED_MS).unwrap()) };
        assert!(ready == 1, "the engine has nothing to do, but should");
        self.engine.turn();
        for upcall in self.engine.take_upcalls() {
            if let Some(answer) = (self.filter)(&upcall) {
                assert!(self.engine.answer(upcall.id, answer));
            }
        }
    }

    /// Turns the engine until `done`. The engine's own sweep keeps this going.
    pub(crate) fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        for _ in 0..100_000 {
            if done() {
                return;
            }
            self.turn();
        }
        panic!("never came: {what}");
    }

    /// Starts a client in a thread.
    pub(crate) fn start<R: Send + 'static>(&self, client: impl FnOnce(SocketAddr) -> R + Send + 'static) -> Client<R> {
        let (sender, result) = mpsc::channel();
        let (address, waker) = (self.address, self.engine.waker());
        std::thread::spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(|| client(address)));
            drop(sender.send(done));
            waker.wake();
        });
        Client { result }
    }

    /// Turns the engine until the client has ended.
    pub(crate) fn join<R>(&self, client: &Client<R>) -> R {
        let mut got = None;
        self.until("the end of the client", || {
            got = client.result.try_recv().ok();
            got.is_some()
        });
        match got.unwrap() {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Runs a client to its end.
    pub(crate) fn run<R: Send + 'static>(&self, client: impl FnOnce(SocketAddr) -> R + Send + 'static) -> R {
        self.join(&self.start(client))
    }

    pub(crate) fn waker(&self) -> RemoteWaker {
        self.engine.waker()
    }

    pub(crate) fn apply(&self, version: u64, sections: &[(&str, Value)]) {
        self.engine.apply(config::compiled(version, sections));
    }

    fn region(&self) -> Region<'_> {
        Layout { workers: 1 }.region(self.memory.words(), 0).unwrap()
    }

    pub(crate) fn global(&self, number: Global) -> u64 {
        self.region().word(number).load(std::sync::atomic::Ordering::Relaxed)
    }

    pub(crate) fn listener(&self, field: Field) -> u64 {
        self.region().listener(LISTENER_ROW).word(field).load(std::sync::atomic::Ordering::Relaxed)
    }

    /// A number of the cluster in row `slot`.
    pub(crate) fn cluster(&self, slot: usize, field: Field) -> u64 {
        self.region().cluster(slot).word(field).load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Waits until no client is connected and checks that nothing is left of any.
    pub(crate) fn assert_settled(&self) {
        self.until("the end of every connection", || self.engine.connections() == 0);
        assert_eq!(self.engine.in_flight(), 0);
        assert_eq!(self.engine.panics(), 0);
        for gauge in [Global::Active, Global::InFlight, Global::Panics] {
            assert_eq!(self.global(gauge), 0, "{gauge:?}");
        }
        assert_eq!(self.listener(Field::ConnectionsActive), 0);
        for slot in 0..8 {
            assert_eq!(self.cluster(slot, Field::InFlight), 0, "cluster row {slot}");
        }
        let open: u64 = (0..8).map(|slot| self.cluster(slot, Field::ConnectionsActive)).sum();
        assert_eq!(open, self.engine.idle_upstreams() as u64, "open upstream connections that are not idle ones");
    }
}

/// A client in a thread.
pub(crate) struct Client<R> {
    result: mpsc::Receiver<std::thread::Result<R>>,
}

impl<R> Client<R> {
    /// Waits for its end, for which the engine has nothing more to do.
    pub(crate) fn end(&self) -> R {
        match self.result.recv().unwrap() {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// Connects to the gateway.
pub(crate) fn connect(address: SocketAddr) -> Wire<TcpStream> {
    Wire::tcp(TcpStream::connect(address).unwrap())
}

/// One request on a connection of its own; the answer.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> wire::Answer {
    let mut wire = connect(address);
    wire.send(request);
    wire.answer(request.starts_with(b"HEAD "))
}
