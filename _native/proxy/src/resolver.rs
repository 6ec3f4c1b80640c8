//! Names of upstreams to addresses. `getaddrinfo` blocks, so it runs on threads of its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};

use crate::ttl::Servers;

/// How long an answer is used before it is asked for again: Envoy's default refresh of strict DNS clusters.
const FRESH_NS: u64 = 5_000_000_000;
/// How long a failure is remembered, so that a missing name costs one look-up a second and not one a request.
const FAILED_NS: u64 = 1_000_000_000;
/// Bounds of a time that a name server tells, in seconds. 0 is none (Envoy: the refresh rate is used instead).
const TTL_S: std::ops::RangeInclusive<u32> = 1..=86_400;
/// Look-ups under way at once.
const THREADS: usize = 2;

/// What to look up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) ipv4: bool,
    pub(crate) ipv6: bool,
    /// Only the first address of an answer counts (Envoy: `LOGICAL_DNS`).
    pub(crate) logical: bool,
    /// An answer is used for as long as the name server says.
    pub(crate) respect_ttl: bool,
}

/// What a look-up found: the addresses, and for how many seconds if that is known.
type Found = Result<(Vec<SocketAddr>, Option<u32>), String>;

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
    answer: Option<Found>,
    /// Stays set after the answer was taken: several tasks may wait for one look-up.
    done: bool,
    wakers: Vec<Waker>,
}

struct Job {
    name: Name,
    pending: Arc<Pending>,
}

/// The names a worker knows. Old answers keep serving while a new one is looked up.
pub(crate) struct Resolver {
    known: RefCell<HashMap<Name, Known>>,
    jobs: RefCell<Option<mpsc::Sender<Job>>>,
    look_up: fn(&Name) -> Found,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { known: RefCell::default(), jobs: RefCell::default(), look_up }
    }
}

fn look_up(name: &Name) -> Found {
    let addresses = addresses(name)?;
    let mut ttl = None;
    if name.respect_ttl && name.host.parse::<IpAddr>().is_err() {
        let ips: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
        ttl = Servers::of_system().ttl(&name.host, &ips, crate::random_seed() as u16);
    }
    Ok((addresses, ttl))
}

fn addresses(name: &Name) -> Result<Vec<SocketAddr>, String> {
    let found = (name.host.as_str(), name.port).to_socket_addrs().map_err(|error| error.to_string())?;
    let addresses = chosen(name, found);
    if addresses.is_empty() { Err("no address of an enabled family".to_owned()) } else { Ok(addresses) }
}

/// Those that count.
fn chosen(name: &Name, found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = found
        .filter(|address| match address.ip() {
            IpAddr::V4(_) => name.ipv4,
            IpAddr::V6(_) => name.ipv6,
        })
        .take(if name.logical { 1 } else { usize::MAX })
        .collect();
    // A fixed order keeps round robin even when the name server shuffles.
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn work(jobs: &Mutex<mpsc::Receiver<Job>>, look_up: fn(&Name) -> Found) {
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

fn start_threads(look_up: fn(&Name) -> Found) -> mpsc::Sender<Job> {
    let (sender, receiver) = mpsc::channel::<Job>();
    let receiver = Arc::new(Mutex::new(receiver));
    for index in 0..THREADS {
        let receiver = Arc::clone(&receiver);
        // A thread that cannot be started leaves fewer of them; without any, look-ups fail by timeout.
        drop(std::thread::Builder::new().name(format!("resolver-{index}")).spawn(move || work(&receiver, look_up)));
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
            Some(Ok((addresses, ttl))) => {
                entry.answer = Some(Ok(addresses.into()));
                let ttl = ttl.filter(|&ttl| ttl > 0).map(|ttl| ttl.clamp(*TTL_S.start(), *TTL_S.end()));
                entry.expires_ns = now_ns + ttl.map_or(FRESH_NS, |seconds| u64::from(seconds) * 1_000_000_000);
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
        let sender = jobs.get_or_insert_with(|| start_threads(self.look_up));
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

    fn name(host: &str) -> Name {
        Name { host: host.into(), port: 81, ipv4: true, ipv6: false, logical: false, respect_ttl: true }
    }

    #[test]
    fn numeric_names_resolve_to_themselves() {
        assert_eq!(look_up(&name("127.0.0.1")).unwrap(), (vec!["127.0.0.1:81".parse().unwrap()], None));
    }

    #[test]
    fn a_disabled_family_is_left_out() {
        assert!(look_up(&Name { ipv4: false, ipv6: true, ..name("127.0.0.1") }).is_err());
    }

    #[test]
    fn a_logical_name_has_the_first_address_only() {
        let found: [SocketAddr; 3] = ["[::1]:81", "192.0.2.9:81", "192.0.2.1:81"].map(|text| text.parse().unwrap());
        assert_eq!(chosen(&name("a"), found.into_iter()), [found[2], found[1]]);
        assert_eq!(chosen(&Name { logical: true, ..name("a") }, found.into_iter()), [found[1]]);
    }

    /// Drives a future on this thread until it is done.
    fn done<R>(work: impl Future<Output = R>) -> R {
        struct Unpark(std::thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Arc::new(Unpark(std::thread::current())).into();
        let mut context = Context::from_waker(&waker);
        let mut work = std::pin::pin!(work);
        loop {
            match work.as_mut().poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    #[test]
    fn an_answer_is_used_for_as_long_as_it_may_be() {
        /// The port of the address counts the questions.
        fn counted(name: &Name) -> Found {
            static ASKED: std::sync::Mutex<[u16; 3]> = std::sync::Mutex::new([0; 3]);
            let mut asked = ASKED.lock().unwrap();
            let (index, ttl) = match name.host.as_str() {
                "long" => (0, Some(60)),
                "zero" => (1, Some(0)),
                "none" => (2, None),
                other => return Err(format!("{other} is not known")),
            };
            asked[index] += 1;
            Ok((vec![SocketAddr::new([127, 0, 0, 1].into(), asked[index])], ttl))
        }
        let resolver = Resolver { look_up: counted, ..Resolver::default() };
        let second = 1_000_000_000;
        // The answer of a refresh is there once nothing is pending any more.
        let ports = |host: &str, at: u64| {
            let port = || done(resolver.resolve(&name(host), at)).unwrap()[0].port();
            let first = port();
            loop {
                let waiting = resolver.known.borrow().get(&name(host)).and_then(|known| known.pending.clone());
                let Some(pending) = waiting else { break };
                done(Answered(pending));
                port();
            }
            (first, port())
        };
        for (host, fresh) in [("long", 60), ("zero", 5), ("none", 5)] {
            assert_eq!(ports(host, 0), (1, 1), "{host}");
            assert_eq!(ports(host, fresh * second - 1), (1, 1), "{host}");
            assert_eq!(
                ports(host, fresh * second),
                (1, 2),
                "{host}: the old one serves while the new one is asked for"
            );
        }
    }
}
