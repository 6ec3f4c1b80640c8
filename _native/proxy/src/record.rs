//! What became of a request: counters and the access log.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;

use sluice_policy::facts::RequestFacts;
use sluice_policy::forwarded::Scheme;
use sluice_policy::stats::{Field, Global};
use sluice_policy::{Headers, LogRecord};
use sluice_snapshot::Compiled;

use crate::downstream::Downstream;
use crate::shared::Shared;

/// Facts collected while a request is served.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) start_ns: u64,
    pub(crate) start_wall_ns: u64,
    pub(crate) status: Cell<u16>,
    pub(crate) flags: Cell<&'static str>,
    pub(crate) received: Cell<u64>,
    pub(crate) sent: Cell<u64>,
    pub(crate) service_ms: Cell<Option<u64>>,
    pub(crate) upstream: Cell<Option<SocketAddr>>,
    pub(crate) cluster: RefCell<Option<Arc<str>>>,
    pub(crate) cluster_slot: Cell<Option<usize>>,
    pub(crate) upstream_status: Cell<u16>,
    pub(crate) upstream_start_ns: Cell<u64>,
    /// When the head of the upstream's answer was there.
    pub(crate) upstream_head_ns: Cell<u64>,
}

impl Record {
    /// Counts a finished request.
    pub(crate) fn count(&self, shared: &Shared, listener_slot: usize) {
        let now = shared.host.now_ns();
        shared.count(Global::Requests, 1);
        if let Some(row) = shared.listener_row(listener_slot) {
            row.response(self.status.get(), now.saturating_sub(self.start_ns) / 1000);
            row.add(Field::BytesIn, self.received.get());
            row.add(Field::BytesOut, self.sent.get());
        }
        if let Some(row) = self.cluster_slot.get().and_then(|slot| shared.cluster_row(slot)) {
            row.response(self.upstream_status.get(), now.saturating_sub(self.upstream_start_ns.get()) / 1000);
            row.add(Field::BytesOut, self.received.get());
            row.add(Field::BytesIn, self.sent.get());
        }
    }

    /// Writes the access-log line, if there is a log.
    pub(crate) fn log(&self, shared: &Shared, compiled: &Compiled, route: Option<&str>, request: RequestFacts<'_>) {
        let (Some(writer), Some(format)) = (&shared.log, &compiled.options.access_log) else { return };
        let now = shared.host.now_ns();
        self.known(now, compiled, route, request, &(), |record| {
            writer.line(now, |out| format.write(record, out));
        });
        shared.count(Global::AccessLogLines, 1);
    }

    /// Gives `write` what is known of the request at `now`, for templates.
    pub(crate) fn known<R>(
        &self,
        now: u64,
        compiled: &Compiled,
        route: Option<&str>,
        request: RequestFacts<'_>,
        response: &dyn Headers,
        write: impl FnOnce(&LogRecord<'_>) -> R,
    ) -> R {
        let cluster = self.cluster.borrow();
        write(&LogRecord {
            request,
            status: self.status.get(),
            flags: self.flags.get(),
            bytes_received: self.received.get(),
            bytes_sent: self.sent.get(),
            duration_us: now.saturating_sub(self.start_ns) / 1000,
            upstream_service_ms: self.service_ms.get(),
            upstream_host: self.upstream.get(),
            upstream_cluster: cluster.as_deref(),
            route,
            config_version: compiled.version,
            response,
        })
    }
}

/// Logs what was no request: nothing of it can be trusted, so only the peer and the reason are told.
pub(crate) fn refused(connection: &Downstream, compiled: &Compiled, status: u16, reason: &'static str) {
    let shared = &connection.shared;
    let record = Record { start_ns: shared.host.now_ns(), start_wall_ns: shared.host.wall_ns(), ..Record::default() };
    record.status.set(status);
    record.flags.set(if status == 408 { "DT" } else { "DPE" });
    let facts = RequestFacts {
        method: b"-",
        path: b"-",
        original_path: None,
        authority: b"-",
        scheme: if connection.client.is_tls() { Scheme::Https } else { Scheme::Http },
        protocol: connection.client.protocol("HTTP/1.1"),
        start_unix_ns: record.start_wall_ns,
        client: connection.peer.ip(),
        client_port: connection.peer.port(),
        peer: connection.peer.ip(),
        request_id: b"",
        forwarded_for: None,
        headers: &(),
    };
    record.log(shared, compiled, Some(reason), facts);
}
