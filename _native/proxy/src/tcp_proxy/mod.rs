//! TCP routes: connections that are forwarded byte by byte, as they are or after TLS was ended.
//!
//! Source of the rules: Envoy's `tls_inspector` and `tcp_proxy`, as Emissary configures them for a `TCPMapping`.

mod pass;
mod reach;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use sluice_host::{TcpIo, Timer};
use sluice_policy::client_hello::{FirstBytes, MAX_PEEK, look};
use sluice_policy::stats::Global;
use sluice_snapshot::{TcpRoute, TcpRoutes};

use crate::accept::{Fresh, HANDSHAKE_NS, Http, handshake};
use crate::ledger::{Kind, Ledger};
use crate::shared::Shared;
use crate::stream::Stream;

/// Where a connection belongs.
enum Way<'r> {
    Route(&'r TcpRoute),
    /// The listener serves HTTP, or its TLS says no.
    Http,
    /// Nowhere, for this reason (Envoy's flag).
    Nowhere(&'static str),
}

/// Forwards the connection to its end if a TCP route takes it; otherwise gives it back, with every byte still to read.
pub(crate) async fn divert(fresh: Fresh, tcp: TcpIo, routes: Arc<TcpRoutes>, http: &Http) -> Option<(Fresh, TcpIo)> {
    let shared = &Rc::clone(&fresh.shared);
    // Without a name to compare nothing is read: the server may be the one who speaks first.
    let asks = routes.has_names() || matches!(http, Http::Tls(_));
    let first = if asks { Some(first_bytes(shared, &tcp).await?) } else { None };
    let name = match &first {
        Some(FirstBytes::Hello(Some(name))) => &**name,
        _ => "",
    };
    let route = match choose(&routes, first.as_ref(), http) {
        Way::Http => return Some((fresh, tcp)),
        Way::Route(route) => route,
        Way::Nowhere(flag) => {
            let ledger = Ledger::new(fresh.open, Kind::Tcp, (fresh.peer, fresh.slot), None, name);
            ledger.flag(flag);
            tcp.reset_on_close();
            return None;
        }
    };
    let ledger = Ledger::new(fresh.open, Kind::Tcp, (fresh.peer, fresh.slot), Some(&route.name), name);
    let destination = fresh.destination.or_else(|| tcp.local_addr().ok());
    let client = if route.terminate {
        let ended = match &routes.tls {
            Some(tls) => Box::pin(handshake(shared, tls, tcp)).await,
            None => None,
        };
        match ended {
            Some((stream, _)) => stream,
            None => {
                shared.count(Global::TlsFailures, 1);
                ledger.flag("DPE");
                return None;
            }
        }
    } else {
        Stream::Plain(tcp)
    };
    let idle_timeout = route.idle_timeout;
    let reached = Box::pin(reach::reach(&ledger, route, &client, destination)).await;
    // A connection may outlive many configurations: it keeps none of them.
    drop(routes);
    match reached {
        Ok(link) => pass::pass(&ledger, &client, &link, idle_timeout).await,
        Err(flag) => {
            ledger.flag(flag);
            client.with_tcp(TcpIo::reset_on_close);
        }
    }
    None
}

/// Names go first, then the listener's own TLS or cleartext HTTP, then the route for everything else. With such a route
/// nothing in cleartext is served: the translation took all Hosts off the listener.
fn choose<'r>(routes: &'r TcpRoutes, first: Option<&FirstBytes>, http: &Http) -> Way<'r> {
    let name = match first {
        Some(FirstBytes::Incomplete | FirstBytes::Malformed) => return Way::Nowhere("DPE"),
        Some(FirstBytes::Hello(name)) => {
            let name = name.as_deref();
            if let Some(route) = name.and_then(|name| routes.named(name)) {
                return Way::Route(route);
            }
            Some(name)
        }
        Some(FirstBytes::Cleartext) | None => None,
    };
    let covered = match (http, name) {
        // A name whose certificate is broken is covered: it must not fall to a route.
        (Http::Tls(Some(tls)), Some(name)) => tls.termination(name).is_some(),
        (Http::Tls(None), Some(_)) => true,
        _ => false,
    };
    match (routes.other(), http) {
        _ if covered => Way::Http,
        (Some(route), _) => Way::Route(route),
        (None, Http::No) => Way::Nowhere("NR"),
        (None, _) => Way::Http,
    }
}

/// Looks at a connection until it is clear what it speaks; [`FirstBytes::Incomplete`] if that never becomes clear. `None`
/// for a client that came and went without a word, as the probes of load balancers do.
async fn first_bytes(shared: &Rc<Shared>, tcp: &TcpIo) -> Option<FirstBytes> {
    let timer = Timer::new(&shared.host);
    timer.set(shared.host.now_ns() + HANDSHAKE_NS);
    let seen = Cell::new(0);
    poll_fn(|context| {
        loop {
            if tcp.poll_readable(context).is_pending() {
                return timer.poll_expired(context).map(|()| Some(FirstBytes::Incomplete));
            }
            // A connection that waits holds no buffer.
            let mut buffer = shared.buffers.large();
            let peeked = tcp.poll_peek(context, &mut buffer[..MAX_PEEK], seen.get());
            let told = match &peeked {
                Poll::Ready(Ok(count)) => look(&buffer[..*count]),
                _ => FirstBytes::Incomplete,
            };
            shared.buffers.put(buffer);
            let count = match peeked {
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(_)) => return Poll::Ready(None),
                Poll::Pending => return timer.poll_expired(context).map(|()| Some(FirstBytes::Incomplete)),
            };
            if count == 0 {
                return Poll::Ready(None);
            }
            if told != FirstBytes::Incomplete || count <= seen.get() {
                return Poll::Ready(Some(told));
            }
            seen.set(count);
        }
    })
    .await
}
