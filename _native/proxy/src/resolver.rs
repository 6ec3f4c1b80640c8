//! Names of upstreams to addresses. `getaddrinfo` blocks, so it runs on threads of its own. How long an answer holds is
//! asked after it was given, on yet another thread: name servers that keep silent delay no address.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use crate::pending::{Answered, Pending};
use crate::ttl::Servers;
use crate::ttl_thread::TtlThread;

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

/// What a look-up found.
type Found = Result<Vec<SocketAddr>, String>;

type Answer = Result<Rc<[SocketAddr]>, String>;

#[derive(Default)]
struct Known {
    answer: Option<Answer>,
    answered_ns: u64,
    expires_ns: u64,
    pending: Option<Arc<Pending<Found>>>,
    /// For how many seconds `answer` holds, where that is being asked.
    ttl: Option<Arc<Pending<Option<u32>>>>,
}

struct Job {
    name: Name,
    pending: Arc<Pending<Found>>,
}

/// The names a worker knows. Old answers keep serving while a new one is looked up.
pub(crate) struct Resolver {
    known: RefCell<HashMap<Name, Known>>,
    jobs: RefCell<Option<mpsc::Sender<Job>>>,
    ttls: TtlThread,
    look_up: fn(&Name) -> Found,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(addresses, Arc::new(Servers::of_system))
    }
}

fn addresses(name: &Name) -> Found {
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
        pending.deliver(look_up(&name));
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
    fn new(look_up: fn(&Name) -> Found, servers: Arc<dyn Fn() -> Servers + Send + Sync>) -> Self {
        Self { known: RefCell::default(), jobs: RefCell::default(), ttls: TtlThread::new(servers), look_up }
    }

    /// Addresses of `name`. Waits only for the first look-up of a name; later ones happen behind the last answer.
    pub(crate) async fn resolve(&self, name: &Name, now_ns: u64) -> Answer {
        loop {
            let pending = {
                let mut known = self.known.borrow_mut();
                let entry = known.entry(name.clone()).or_default();
                self.collect(name, entry, now_ns);
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

    /// Takes what the threads have found out.
    fn collect(&self, name: &Name, entry: &mut Known, now_ns: u64) {
        if let Some(ttl) = entry.ttl.as_ref().and_then(|asked| asked.take()) {
            entry.ttl = None;
            if let Some(seconds) = ttl.filter(|&ttl| ttl > 0) {
                let seconds = seconds.clamp(*TTL_S.start(), *TTL_S.end());
                entry.expires_ns = entry.answered_ns + u64::from(seconds) * 1_000_000_000;
            }
        }
        match entry.pending.as_ref().and_then(|pending| pending.take()) {
            None => return,
            Some(Ok(addresses)) => {
                entry.answered_ns = now_ns;
                entry.expires_ns = now_ns + FRESH_NS;
                // A question about the addresses before these ends by losing whoever waits for it.
                entry.ttl = (name.respect_ttl && name.host.parse::<IpAddr>().is_err())
                    .then(|| self.ttls.ask(&name.host, addresses.iter().map(SocketAddr::ip).collect()));
                entry.answer = Some(Ok(addresses.into()));
            }
            Some(Err(message)) => {
                // A name that resolved before keeps its addresses through an outage of the name server.
                if !matches!(entry.answer, Some(Ok(_))) {
                    entry.answer = Some(Err(message));
                }
                entry.expires_ns = now_ns + FAILED_NS;
                entry.ttl = None;
            }
        }
        entry.pending = None;
    }

    fn ask(&self, name: &Name) -> Arc<Pending<Found>> {
        let pending = Arc::new(Pending::default());
        let mut jobs = self.jobs.borrow_mut();
        let sender = jobs.get_or_insert_with(|| start_threads(self.look_up));
        let job = Job { name: name.clone(), pending: Arc::clone(&pending) };
        if sender.send(job).is_err() {
            pending.deliver(Err("the resolver threads are gone".to_owned()));
        }
        pending
    }

    /// Forgets failed and expired names that nobody asked for again.
    pub(crate) fn sweep(&self, now_ns: u64) {
        self.known.borrow_mut().retain(|_, entry| entry.pending.is_some() || entry.expires_ns + 60 * FRESH_NS > now_ns);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::task::{Context, Poll};

    use simple_dns::rdata::{A, RData};
    use simple_dns::{CLASS, Name as DnsName, Packet, ResourceRecord};

    use super::*;

    fn name(host: &str) -> Name {
        Name { host: host.into(), port: 81, ipv4: true, ipv6: false, logical: false, respect_ttl: true }
    }

    #[test]
    fn numeric_names_resolve_to_themselves() {
        assert_eq!(addresses(&name("127.0.0.1")).unwrap(), ["127.0.0.1:81".parse().unwrap()]);
    }

    #[test]
    fn a_disabled_family_is_left_out() {
        assert!(addresses(&Name { ipv4: false, ipv6: true, ..name("127.0.0.1") }).is_err());
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

    const FOUND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const SECOND: u64 = 1_000_000_000;

    /// The port of the address counts the questions.
    fn counted(name: &Name) -> Found {
        static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());
        if name.host == "missing" {
            return Err("no such name".to_owned());
        }
        let mut asked = ASKED.lock().unwrap();
        asked.push(name.host.clone());
        let count = asked.iter().filter(|&host| *host == name.host).count();
        Ok(vec![SocketAddr::new(FOUND.into(), count as u16)])
    }

    fn asking(server: SocketAddr) -> Resolver {
        Resolver::new(counted, Arc::new(move || Servers { servers: vec![server], search: vec![] }))
    }

    /// A name server that knows three names for some time, and not for how long to use a fourth.
    fn server() -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            loop {
                let (count, from) = socket.recv_from(&mut buffer).unwrap();
                let query = Packet::parse(&buffer[..count]).unwrap();
                let ttl = match query.questions[0].qname.to_string().as_str() {
                    "long" => Some(60),
                    "short" => Some(2),
                    "zero" => Some(0),
                    _ => None,
                };
                let mut answer = Packet::new_reply(query.id());
                answer.answers.extend(ttl.map(|ttl| {
                    let rdata = RData::A(A { address: u32::from(FOUND) });
                    ResourceRecord::new(DnsName::new("x").unwrap(), CLASS::IN, ttl, rdata)
                }));
                socket.send_to(&answer.build_bytes_vec().unwrap(), from).unwrap();
            }
        });
        address
    }

    /// The ports of the answers before and after everything that was asked at this time has been answered.
    fn ports(resolver: &Resolver, host: &str, at: u64) -> (u16, u16) {
        let port = || done(resolver.resolve(&name(host), at)).unwrap()[0].port();
        let first = port();
        loop {
            let asked =
                resolver.known.borrow().get(&name(host)).map(|known| (known.pending.clone(), known.ttl.clone()));
            match asked {
                Some((Some(pending), _)) => done(Answered(pending)),
                Some((None, Some(ttl))) => done(Answered(ttl)),
                _ => return (first, port()),
            }
            port();
        }
    }

    #[test]
    fn an_answer_is_used_for_as_long_as_it_may_be() {
        let resolver = asking(server());
        assert_eq!(done(resolver.resolve(&name("missing"), 0)).unwrap_err(), "no such name");
        for (host, fresh) in [("long", 60), ("short", 2), ("zero", 5), ("none", 5)] {
            assert_eq!(ports(&resolver, host, 0), (1, 1), "{host}");
            assert_eq!(ports(&resolver, host, fresh * SECOND - 1), (1, 1), "{host}");
            assert_eq!(
                ports(&resolver, host, fresh * SECOND),
                (1, 2),
                "{host}: the old one serves while the new one is asked for"
            );
        }
    }

    #[test]
    fn addresses_are_there_before_anyone_says_how_long_they_hold() {
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let holding = move || {
            held.lock().unwrap().recv().ok();
            Servers::default()
        };
        let resolver = Resolver::new(counted, Arc::new(holding));
        // More names than threads.
        let names: Vec<_> = (0..8).map(|index| name(&format!("held-{index}"))).collect();
        for name in &names {
            assert_eq!(done(resolver.resolve(name, 0)).unwrap()[0].port(), 1);
            assert_eq!(resolver.known.borrow()[name].ttl.as_ref().unwrap().take(), None);
        }
        for name in &names {
            assert_eq!(done(resolver.resolve(name, 5 * SECOND)).unwrap()[0].port(), 1, "{name:?}");
            let pending = resolver.known.borrow()[name].pending.clone().unwrap();
            done(Answered(pending));
            assert_eq!(done(resolver.resolve(name, 5 * SECOND)).unwrap()[0].port(), 2, "{name:?}");
        }
        drop(release);
        for name in &names {
            assert_eq!(ports(&resolver, &name.host, 5 * SECOND), (2, 2));
        }
    }

    #[test]
    fn a_silent_name_server_is_asked_once() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let resolver = asking(silent.local_addr().unwrap());
        for index in 0..8 {
            assert_eq!(ports(&resolver, &format!("silent-{index}"), 0), (1, 1));
        }
        silent.set_nonblocking(true).unwrap();
        let mut buffer = [0; 512];
        let questions = std::iter::from_fn(|| silent.recv(&mut buffer).ok()).count();
        assert_eq!(questions, 1, "its silence is remembered");
        assert_eq!(ports(&resolver, "silent-0", 5 * SECOND), (1, 2), "asked for again as without a time");
    }
}
