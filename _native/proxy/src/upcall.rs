//! Requests that wait for a decision from the host language.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::IpAddr;
use std::task::{Poll, Waker};

use slab::Slab;

/// A copy of what a filter may look at.
#[derive(Debug, Clone)]
pub struct Upcall {
    /// Handle for the answer. Never reused while the request lives.
    pub id: u64,
    /// Name of the filter to run.
    pub filter: String,
    /// Request method.
    pub method: String,
    /// Normalised host.
    pub host: String,
    /// Normalised path.
    pub path: String,
    /// Query without the question mark.
    pub query: Option<String>,
    /// All request headers; bytes outside of UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// Trusted client address.
    pub client: IpAddr,
    /// Name of the route.
    pub route: String,
}

/// What the filter decided.
#[derive(Debug, Clone)]
pub enum UpcallAnswer {
    /// Go on, with these edits to the request.
    Continue {
        /// Headers to set.
        add: Vec<(String, String)>,
        /// Headers to remove.
        remove: Vec<String>,
    },
    /// Answer the request.
    Respond {
        /// Status code.
        status: u16,
        /// Headers of the answer.
        headers: Vec<(String, String)>,
        /// Body of the answer.
        body: Vec<u8>,
    },
}

struct Waiting {
    serial: u32,
    answer: Option<UpcallAnswer>,
    waker: Option<Waker>,
}

/// Upcalls to deliver and requests that wait for them.
#[derive(Default)]
pub(crate) struct Upcalls {
    outbox: RefCell<Vec<Upcall>>,
    waiting: RefCell<Slab<Waiting>>,
    serial: RefCell<u32>,
    timeout_ns: Cell<u64>,
}

/// Frees the place of a request that stopped waiting (answered, timed out or gone).
struct Place<'u> {
    upcalls: &'u Upcalls,
    key: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.upcalls.waiting.borrow_mut().try_remove(self.key);
    }
}

impl Upcalls {
    /// How long a request waits for its answer, in nanoseconds.
    pub(crate) fn timeout_ns(&self) -> u64 {
        self.timeout_ns.get()
    }

    /// See [`Upcalls::timeout_ns`].
    pub(crate) fn set_timeout(&self, timeout_ns: u64) {
        self.timeout_ns.set(timeout_ns);
    }

    /// Queues `upcall` (its id is filled in) and waits for the answer.
    pub(crate) async fn call(&self, mut upcall: Upcall) -> UpcallAnswer {
        let place = {
            let mut serial = self.serial.borrow_mut();
            *serial = serial.wrapping_add(1);
            let key = self.waiting.borrow_mut().insert(Waiting { serial: *serial, answer: None, waker: None });
            upcall.id = u64::from(*serial) << 32 | key as u64 & 0xffff_ffff;
            Place { upcalls: self, key }
        };
        self.outbox.borrow_mut().push(upcall);
        poll_fn(|context| {
            let mut waiting = self.waiting.borrow_mut();
            let Some(entry) = waiting.get_mut(place.key) else { return Poll::Pending };
            match entry.answer.take() {
                Some(answer) => Poll::Ready(answer),
                None => {
                    entry.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Takes what is to be delivered.
    pub(crate) fn take(&self) -> Vec<Upcall> {
        std::mem::take(&mut *self.outbox.borrow_mut())
    }

    /// Delivers an answer. False if the request no longer waits.
    pub(crate) fn answer(&self, id: u64, answer: UpcallAnswer) -> bool {
        let (serial, key) = ((id >> 32) as u32, (id & 0xffff_ffff) as usize);
        let waker = {
            let mut waiting = self.waiting.borrow_mut();
            match waiting.get_mut(key) {
                Some(entry) if entry.serial == serial => {
                    entry.answer = Some(answer);
                    entry.waker.take()
                }
                _ => return false,
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}
