//! How long the addresses of a name may be used, asked of the name servers. `getaddrinfo` gives the addresses, from
//! whatever the system takes them from, and does not tell; so its answer is looked for in theirs (RFC 1035 section 3.2.1).
//!
//! A question blocks for at most [`QUESTION`], on a thread that does nothing else (`ttl_thread.rs`).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, TYPE};

/// Time for an answer of one server.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Time for the whole question: all servers, all names that a name may stand for, both families.
const QUESTION: Duration = Duration::from_secs(1);
/// How long a server that did not answer is left alone.
const SILENT: Duration = Duration::from_secs(60);
/// Name servers that are asked, one after the other (resolv.conf(5): `MAXNS` is 3).
const SERVERS: usize = 3;
/// Names that a name may stand for.
const CANDIDATES: usize = 8;
/// Datagrams that are looked at before a server counts as silent.
const DATAGRAMS: usize = 4;
/// Without EDNS a name server sends no more; a cut answer tells the time as well as a whole one.
const DATAGRAM_BYTES: usize = 512;

/// What resolv.conf(5) says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Servers {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) search: Vec<String>,
}

impl Servers {
    /// Those of the system; none if the file cannot be read.
    pub(crate) fn of_system() -> Self {
        std::fs::read_to_string("/etc/resolv.conf").map(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    found.servers.extend(address.map(|address| SocketAddr::new(address, 53)));
                }
                // The last of these lines counts.
                Some("search" | "domain") => found.search = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        found.servers.truncate(SERVERS);
        found
    }

    /// Seconds that `addresses` of `host` may be used; `None` if no server gives one of them in time. `now` is when the
    /// question begins.
    pub(crate) fn ttl(
        &self,
        host: &str,
        addresses: &[IpAddr],
        id: u16,
        silence: &mut Silence,
        now: Instant,
    ) -> Option<u32> {
        let until = now + QUESTION;
        let families =
            [(TYPE::A, addresses.iter().any(IpAddr::is_ipv4)), (TYPE::AAAA, addresses.iter().any(IpAddr::is_ipv6))];
        let mut lowest: Option<u32> = None;
        for (kind, wanted) in families {
            let found = if wanted { self.ttl_of((host, kind, addresses, id), silence, until) } else { None };
            lowest = lowest.into_iter().chain(found).min();
        }
        lowest
    }

    fn ttl_of(
        &self,
        (host, kind, addresses, id): (&str, TYPE, &[IpAddr], u16),
        silence: &mut Silence,
        until: Instant,
    ) -> Option<u32> {
        for &server in &self.servers {
            let mut answered = false;
            for candidate in self.candidates(host) {
                let now = clock();
                if now >= until {
                    return None;
                }
                if silence.holds(server, now) {
                    break;
                }
                match ask(server, &candidate, kind, addresses, id, until.min(now + TIMEOUT)) {
                    Reply::Ttl(ttl) => return Some(ttl),
                    Reply::Other => answered = true,
                    Reply::Silence => {
                        // Less than its time says nothing about a server.
                        if until.saturating_duration_since(now) >= TIMEOUT {
                            silence.begin(server, now);
                        }
                        break;
                    }
                }
            }
            if answered {
                break;
            }
        }
        None
    }

    /// Names that `host` may stand for. Which of them it is shows in the answer.
    fn candidates(&self, host: &str) -> Vec<String> {
        let Some(plain) = host.strip_suffix('.') else {
            let searched = self.search.iter().map(|domain| format!("{host}.{}", domain.trim_end_matches('.')));
            let alone = std::iter::once(host.to_owned());
            let mut all: Vec<String> =
                if host.contains('.') { alone.chain(searched).collect() } else { searched.chain(alone).collect() };
            all.truncate(CANDIDATES);
            return all;
        };
        vec![plain.to_owned()]
    }
}

/// The time on the thread that asks, which blocks and so cannot be given one.
#[allow(clippy::disallowed_methods, reason = "no loop turns on this thread")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

/// Name servers that did not answer, and when they were asked in vain.
#[derive(Debug, Default)]
pub(crate) struct Silence(HashMap<SocketAddr, Instant>);

impl Silence {
    fn begin(&mut self, server: SocketAddr, now: Instant) {
        // Servers that resolv.conf(5) no longer names are not remembered for ever.
        self.0.retain(|_, since| now.saturating_duration_since(*since) < SILENT);
        self.0.insert(server, now);
    }

    fn holds(&self, server: SocketAddr, now: Instant) -> bool {
        self.0.get(&server).is_some_and(|&since| now.saturating_duration_since(since) < SILENT)
    }
}

enum Reply {
    /// It gives one of the addresses, for so many seconds.
    Ttl(u32),
    /// It gives none of them.
    Other,
    /// Nothing came in time.
    Silence,
}

fn ask(server: SocketAddr, name: &str, kind: TYPE, addresses: &[IpAddr], id: u16, until: Instant) -> Reply {
    let Ok(qname) = Name::new(name) else { return Reply::Other };
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(qname, kind.into(), CLASS::IN.into(), false));
    let Ok(query) = packet.build_bytes_vec() else { return Reply::Other };
    let own: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let exchanged = || -> std::io::Result<Reply> {
        // A port of its own for each question, and only the server is heard: what an answer can do is tell a time.
        let socket = UdpSocket::bind(own)?;
        socket.connect(server)?;
        socket.send(&query)?;
        let mut buffer = [0; DATAGRAM_BYTES];
        for _ in 0..DATAGRAMS {
            let left = until.saturating_duration_since(clock());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left))?;
            let count = socket.recv(&mut buffer)?;
            let Ok(answer) = Packet::parse(&buffer[..count]) else { continue };
            if answer.id() == id && answer.has_flags(PacketFlag::RESPONSE) {
                return Ok(read(&answer, addresses));
            }
        }
        Ok(Reply::Silence)
    };
    exchanged().unwrap_or(Reply::Silence)
}

/// The shortest time in the answer, if it gives one of the addresses.
fn read(answer: &Packet<'_>, addresses: &[IpAddr]) -> Reply {
    let given = answer.answers.iter().any(|record| match &record.rdata {
        RData::A(a) => addresses.contains(&IpAddr::V4(Ipv4Addr::from(a.address))),
        RData::AAAA(a) => addresses.contains(&IpAddr::V6(Ipv6Addr::from(a.address))),
        _ => false,
    });
    let ttl = answer.answers.iter().map(|record| record.ttl).min();
    ttl.filter(|_| given).map_or(Reply::Other, Reply::Ttl)
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, CNAME};

    /// A name server on loopback that knows one name, with an alias of another time in front; it sees `questions`.
    fn server(known: &'static str, questions: usize) -> (SocketAddr, std::thread::JoinHandle<Vec<String>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let served = std::thread::spawn(move || {
            let mut seen = Vec::new();
            let mut buffer = [0; 512];
            for _ in 0..questions {
                let (count, from) = socket.recv_from(&mut buffer).unwrap();
                let query = Packet::parse(&buffer[..count]).unwrap();
                let name = query.questions[0].qname.to_string();
                let mut answer = Packet::new_reply(query.id());
                let record = |ttl, rdata| ResourceRecord::new(Name::new("x.test").unwrap(), CLASS::IN, ttl, rdata);
                if name == known {
                    answer.answers.push(record(60, RData::CNAME(CNAME(Name::new("x.test").unwrap()))));
                    answer.answers.push(record(7, RData::A(A { address: u32::from(Ipv4Addr::new(192, 0, 2, 1)) })));
                }
                // Not the answer: junk, and one to another question.
                socket.send_to(b"junk", from).unwrap();
                let other = Packet::new_reply(query.id().wrapping_add(1)).build_bytes_vec().unwrap();
                socket.send_to(&other, from).unwrap();
                socket.send_to(&answer.build_bytes_vec().unwrap(), from).unwrap();
                seen.push(name);
            }
            seen
        });
        (address, served)
    }

    fn servers(address: SocketAddr, search: &[&str]) -> Servers {
        Servers { servers: vec![address], search: search.iter().map(|&domain| domain.to_owned()).collect() }
    }

    #[test]
    fn the_shortest_time_of_the_answer_that_has_the_address() {
        let found: [IpAddr; 1] = ["192.0.2.1".parse().unwrap()];
        let (address, served) = server("quote.shop.svc.test", 2);
        assert_eq!(
            servers(address, &["other.test", "shop.svc.test."]).ttl(
                "quote",
                &found,
                9,
                &mut Silence::default(),
                clock()
            ),
            Some(7)
        );
        assert_eq!(served.join().unwrap(), ["quote.other.test", "quote.shop.svc.test"]);
    }

    #[test]
    fn an_answer_with_other_addresses_tells_nothing() {
        let other: [IpAddr; 1] = ["192.0.2.9".parse().unwrap()];
        let (address, served) = server("a.test", 1);
        assert_eq!(
            servers(address, &["search.test"]).ttl("a.test.", &other, 9, &mut Silence::default(), clock()),
            None
        );
        assert_eq!(served.join().unwrap(), ["a.test"], "a dot at the end is the whole name");
    }

    #[test]
    fn nobody_to_ask() {
        let found: [IpAddr; 1] = ["192.0.2.1".parse().unwrap()];
        assert_eq!(Servers::default().ttl("a.test", &found, 1, &mut Silence::default(), clock()), None);
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(servers(closed, &[]).ttl("a.test", &found, 1, &mut Silence::default(), clock()), None);
        assert_eq!(
            servers(closed, &[]).ttl(&"a".repeat(300), &found, 1, &mut Silence::default(), clock()),
            None,
            "no name at all"
        );
    }

    #[test]
    fn a_silent_server_is_left_alone_for_a_minute() {
        let address: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
        let quiet = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (speaking, served) = server("a.test", 2);
        let both = Servers { servers: vec![quiet.local_addr().unwrap(), speaking], search: vec![] };
        let mut silence = Silence::default();
        for _ in 0..2 {
            assert_eq!(both.ttl("a.test", &[address], 9, &mut silence, clock()), Some(7));
        }
        assert_eq!(served.join().unwrap().len(), 2);
        quiet.set_nonblocking(true).unwrap();
        let mut buffer = [0; 512];
        assert_eq!((quiet.recv(&mut buffer).is_ok(), quiet.recv(&mut buffer).is_ok()), (true, false), "asked once");
        let since = silence.0[&both.servers[0]];
        assert!(silence.holds(both.servers[0], since + SILENT.checked_sub(Duration::from_nanos(1)).unwrap()));
        assert!(!silence.holds(both.servers[0], since + SILENT));
        assert!(!silence.holds(both.servers[1], since));
    }

    #[test]
    fn a_question_has_one_time_for_all_servers() {
        let address: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
        let quiet = UdpSocket::bind("127.0.0.1:0").unwrap();
        let servers = servers(quiet.local_addr().unwrap(), &["a.test", "b.test"]);
        let mut silence = Silence::default();
        let begun = clock().checked_sub(QUESTION).unwrap();
        assert_eq!(servers.ttl("x", &[address], 9, &mut silence, begun), None);
        quiet.set_nonblocking(true).unwrap();
        assert!(quiet.recv(&mut [0; 512]).is_err(), "its time was over");
        assert!(silence.0.is_empty(), "and it was not silent");
    }

    #[test]
    fn resolv_conf() {
        let text = "# x\nnameserver 10.96.0.10\nnameserver fd00::a\nnameserver nonsense\nsearch a.test\n\
                    search ns.svc.test svc.test\noptions ndots:5\n";
        let servers = ["10.96.0.10:53", "[fd00::a]:53"].map(|text| text.parse().unwrap()).to_vec();
        let search = ["ns.svc.test", "svc.test"].map(str::to_owned).to_vec();
        assert_eq!(Servers::parse(text), Servers { servers, search });
    }
}
