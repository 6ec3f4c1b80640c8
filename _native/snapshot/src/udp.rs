//! Datagrams that are forwarded.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Findings;
use crate::model::{self, ListenerProtocol};
use crate::tcp::{TcpChoice, choose, members};

/// Silence that Envoy's UDP proxy allows.
const IDLE: Duration = Duration::from_secs(60);
/// Each session has a socket of its own, and a made-up sender address costs one: what a worker may give for that.
const SESSIONS: u32 = 4096;

/// Where the datagrams of a listener go.
#[derive(Debug)]
pub struct UdpRoute {
    /// Name in logs.
    pub name: Arc<str>,
    /// Silence in both directions that ends a session.
    pub idle_timeout: Duration,
    /// Sessions of one worker.
    pub max_sessions: usize,
    choices: Box<[TcpChoice]>,
}

impl UdpRoute {
    /// The member that takes a session, as for TCP.
    pub fn choose(&self, roll: f64) -> Option<&TcpChoice> {
        choose(&self.choices, roll)
    }

    /// Whether sessions may go to a cluster.
    pub fn leads_to(&self, cluster: &str) -> bool {
        self.choices.iter().any(|choice| &*choice.cluster == cluster)
    }

    /// Compiles; a route that cannot work is reported, and its datagrams are dropped.
    pub(crate) fn compile(listener: &model::Listener, findings: &mut Findings) -> Option<Self> {
        let route = listener.udp_route.as_ref()?;
        if listener.protocol != ListenerProtocol::Udp || listener.http3 {
            findings.add("udp_route", "datagrams are forwarded by a UDP listener without HTTP/3 only");
            return None;
        }
        let positive = |field: &str, value: Option<u64>, findings: &mut Findings| {
            if value == Some(0) {
                findings.add(format!("udp_route.{field}"), "must be above zero: the default is used");
            }
            value.filter(|&value| value > 0)
        };
        let idle = positive("idle_timeout_ms", route.idle_timeout_ms, findings);
        let sessions = positive("max_sessions", route.max_sessions.map(u64::from), findings);
        match members(&route.choices) {
            Ok(choices) => Some(Self {
                name: Arc::from(route.name.as_str()),
                idle_timeout: idle.map_or(IDLE, Duration::from_millis),
                max_sessions: sessions.unwrap_or(SESSIONS.into()) as usize,
                choices,
            }),
            Err(message) => {
                findings.add("udp_route.choices", message);
                None
            }
        }
    }
}
