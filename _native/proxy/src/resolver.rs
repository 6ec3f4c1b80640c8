//! Names of upstreams to addresses. `getaddrinfo` blocks, so it runs on threads of its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};

/// How long an answer is used before it is asked for again: Envoy's default refresh of strict DNS clusters.
const FRESH_NS: u64 = 5_000_000_000;
/// How long a failure is remembered, so that a missing name costs one look-up a second and not one a request.
const FAILED_NS: u64 = 1_000_000_000;
/// Look-ups under way at once.
const THREADS: usize = 2;

/// What to look up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) ipv4: bool,
    pub(crate) ipv6: bool,
}

type Answer = Result<Rc<[SocketAddr]>, String>;

struct Known {
    answer: Option<Answer>,
    expires_ns: u64,
    pending: Option<Arc<Pending>>,
}

#[derive(Default)]
struct Pending {
    state: Mutex<PendingState>,
}

#[derive(Default)]
struct PendingState {
    answer: Option<Result<Vec<SocketAddr>, String>>,
    /// Stays set after the answer was taken: several tasks may wait for one look-up.
    done: bool,
    wakers: Vec<Waker>,
}

struct Job {
    name: Name,
    pending: Arc<Pending>,
}

/// The names a worker knows. Old answers keep serving while a new one is looked up.
#[derive(Default)]
pub(crate) struct Resolver {
    known: RefCell<HashMap<Name, Known>>,
    jobs: RefCell<Option<mpsc::Sender<Job>>>,
}

fn look_up(name: &Name) -> Result<Vec<SocketAddr>, String> {
    let found = (name.host.as_str(), name.port).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut addresses: Vec<SocketAddr> = found
        .filter(|address| match address.ip() {
            IpAddr::V4(_) => name.ipv4,
            IpAddr::V6(_) => name.ipv6,
        })
        .collect();
    // A fixed order keeps round robin even when the name server shuffles.
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() { Err("no address of an enabled family".to_owned()) } else { Ok(addresses) }
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let received = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { name, pending }) = received else { return };
        let answer = look_up(&name);
        let mut state = pending.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answer = Some(answer);
        state.done = true;
        for waker in state.wakers.drain(..) {
            waker.wake();
        }
    }
}

fn start_threads() -> mpsc::Sender<Job> {
    let (sender, receiver) = mpsc::channel::<Job>();
    let receiver = Arc::new(Mutex::new(receiver));
    for index in 0..THREADS {
        let receiver = Arc::clone(&receiver);
        // A thread that cannot be started leaves fewer of them; without any, look-ups fail by timeout.
        drop(std::thread::Builder::new().name(format!("resolver-{index}")).spawn(move || work(&receiver)));
    }
    sender
}

impl Resolver {
    /// Addresses of `name`. Waits only for the first look-up of a name; later ones happen behind the last answer.
    pub(crate) async fn resolve(&self, name: &Name, now_ns: u64) -> Answer {
        loop {
            let pending = {
                let mut known = self.known.borrow_mut();
                let entry =
                    known.entry(name.clone()).or_insert_with(|| Known { answer: None, expires_ns: 0, pending: None });
                Self::collect(entry, now_ns);
                if entry.expires_ns <= now_ns && entry.pending.is_none() {
                    entry.pending = Some(self.ask(name));
                }
                match (&entry.answer, &entry.pending) {
                    (Some(answer), _) => return answer.clone(),
                    (None, Some(pending)) => Arc::clone(pending),
                    (None, None) => return Err("the resolver did not start".to_owned()),
                }
            };
            Answered(pending).await;
        }
    }

    fn collect(entry: &mut Known, now_ns: u64) {
        let Some(pending) = &entry.pending else { return };
        let answer = pending.state.lock().unwrap_or_else(PoisonError::into_inner).answer.take();
        match answer {
            None => return,
            Some(Ok(addresses)) => {
                entry.answer = Some(Ok(addresses.into()));
                entry.expires_ns = now_ns + FRESH_NS;
            }
            Some(Err(message)) => {
                // A name that resolved before keeps its addresses through an outage of the name server.
                if !matches!(entry.answer, Some(Ok(_))) {
                    entry.answer = Some(Err(message));
                }
                entry.expires_ns = now_ns + FAILED_NS;
            }
        }
        entry.pending = None;
    }

    fn ask(&self, name: &Name) -> Arc<Pending> {
        let pending = Arc::new(Pending::default());
        let mut jobs = self.jobs.borrow_mut();
        let sender = jobs.get_or_insert_with(start_threads);
        let job = Job { name: name.clone(), pending: Arc::clone(&pending) };
        if sender.send(job).is_err() {
            let mut state = pending.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.answer = Some(Err("the resolver threads are gone".to_owned()));
            state.done = true;
        }
        pending
    }

    /// Forgets failed and expired names that nobody asked for again.
    pub(crate) fn sweep(&self, now_ns: u64) {
        self.known.borrow_mut().retain(|_, entry| entry.pending.is_some() || entry.expires_ns + 60 * FRESH_NS > now_ns);
    }
}

struct Answered(Arc<Pending>);

impl Future for Answered {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.done {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_names_resolve_to_themselves() {
        let name = Name { host: "127.0.0.1".into(), port: 81, ipv4: true, ipv6: false };
        assert_eq!(look_up(&name).unwrap(), ["127.0.0.1:81".parse().unwrap()]);
    }

    #[test]
    fn a_disabled_family_is_left_out() {
        let name = Name { host: "127.0.0.1".into(), port: 81, ipv4: false, ipv6: true };
        assert!(look_up(&name).is_err());
    }
}
