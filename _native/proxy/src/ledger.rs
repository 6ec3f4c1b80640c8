//! What becomes of a connection or session that is forwarded unread: counters and the access log, however it ends.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use sluice_policy::LogRecord;
use sluice_policy::facts::RequestFacts;
use sluice_policy::forwarded::Scheme;
use sluice_policy::stats::{Field, Global};

use crate::downstream::Open;
use crate::shared::Shared;

/// What is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
}

/// Dropping it counts and logs the connection.
pub(crate) struct Ledger {
    pub(crate) shared: Rc<Shared>,
    pub(crate) peer: SocketAddr,
    /// Name of the cluster and its row in shared memory.
    pub(crate) cluster: RefCell<Option<(Arc<str>, usize)>>,
    pub(crate) upstream: Cell<Option<SocketAddr>>,
    /// Version of the configuration that chose the cluster.
    pub(crate) version: Cell<u64>,
    kind: Kind,
    slot: usize,
    route: Option<Arc<str>>,
    server_name: Box<str>,
    start_ns: u64,
    start_wall_ns: u64,
    received: Cell<u64>,
    sent: Cell<u64>,
    flags: Cell<&'static str>,
    _open: Open,
}

impl Ledger {
    /// Of a client of the listener in row `slot`; without a route it is refused. `server_name` is empty if the client
    /// sent none.
    pub(crate) fn new(
        open: Open,
        kind: Kind,
        (peer, slot): (SocketAddr, usize),
        route: Option<&Arc<str>>,
        server_name: &str,
    ) -> Self {
        let shared = Rc::clone(&open.admitted.shared);
        let taken = match kind {
            Kind::Tcp => Global::TcpConnections,
            Kind::Udp => Global::UdpSessions,
        };
        if route.is_some() {
            shared.count(taken, 1);
        }
        Self {
            peer,
            cluster: RefCell::default(),
            upstream: Cell::new(None),
            version: Cell::new(shared.compiled().version),
            kind,
            slot,
            route: route.cloned(),
            server_name: server_name.into(),
            start_ns: shared.host.now_ns(),
            start_wall_ns: shared.host.wall_ns(),
            received: Cell::new(0),
            sent: Cell::new(0),
            // The gateway ends before the connection does.
            flags: Cell::new("LR"),
            shared,
            _open: open,
        }
    }

    /// How it ended: Envoy's response flags, `-` for a good end.
    pub(crate) fn flag(&self, flags: &'static str) {
        self.flags.set(flags);
    }

    /// `count` bytes went from the client to the upstream (`up`) or back.
    pub(crate) fn moved(&self, up: bool, count: u64) {
        let (total, of_client, of_endpoint) = if up {
            (&self.received, Field::BytesIn, Field::BytesOut)
        } else {
            (&self.sent, Field::BytesOut, Field::BytesIn)
        };
        total.set(total.get() + count);
        if let Some(row) = self.shared.listener_row(self.slot) {
            row.add(of_client, count);
        }
        let cluster = self.cluster.borrow().as_ref().map(|(_, slot)| *slot);
        if let Some(row) = cluster.and_then(|slot| self.shared.cluster_row(slot)) {
            row.add(of_endpoint, count);
        }
    }

    fn log(&self) {
        let shared = &self.shared;
        let compiled = shared.compiled();
        let (Some(writer), Some(format)) = (&shared.log, &compiled.options.access_log) else { return };
        let now = shared.host.now_ns();
        let cluster = self.cluster.borrow();
        let request = RequestFacts {
            method: b"",
            path: b"",
            original_path: None,
            authority: self.server_name.as_bytes(),
            scheme: Scheme::Http,
            protocol: match self.kind {
                Kind::Tcp => "TCP",
                Kind::Udp => "UDP",
            },
            start_unix_ns: self.start_wall_ns,
            client: self.peer.ip(),
            client_port: self.peer.port(),
            peer: self.peer.ip(),
            request_id: b"",
            forwarded_for: None,
            headers: &(),
        };
        writer.line(now, |out| {
            format.write(
                &LogRecord {
                    request,
                    status: 0,
                    flags: self.flags.get(),
                    bytes_received: self.received.get(),
                    bytes_sent: self.sent.get(),
                    duration_us: now.saturating_sub(self.start_ns) / 1000,
                    upstream_service_ms: None,
                    upstream_host: self.upstream.get(),
                    upstream_cluster: cluster.as_ref().map(|(name, _)| &**name),
                    route: self.route.as_deref(),
                    config_version: self.version.get(),
                    response: &(),
                },
                out,
            );
        });
        shared.count(Global::AccessLogLines, 1);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let number = match (self.kind, self.flags.get()) {
            (Kind::Tcp, "NR") => Some(Global::TcpNoRoute),
            (Kind::Tcp, "NC" | "UH") => Some(Global::TcpNoEndpoint),
            (Kind::Tcp, "UO") => Some(Global::TcpOverflow),
            (Kind::Tcp, "UF" | "UF,URX") => Some(Global::TcpUnreachable),
            (Kind::Tcp, "UC") => Some(Global::TcpUpstreamReset),
            (Kind::Tcp, "DC") => Some(Global::TcpClientReset),
            (Kind::Tcp, "SI") => Some(Global::TcpIdle),
            (Kind::Tcp, "DPE") => Some(Global::TcpBadHello),
            (Kind::Udp, "NR" | "NC" | "UH") => Some(Global::UdpNoEndpoint),
            (Kind::Udp, "UO") => Some(Global::UdpOverflow),
            (Kind::Udp, "UF") => Some(Global::UdpUnreachable),
            _ => None,
        };
        if let Some(number) = number {
            self.shared.count(number, 1);
        }
        self.log();
    }
}
