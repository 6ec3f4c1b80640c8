//! Policies of a cluster: balancing, limits, keep-alive.

use std::time::Duration;

pub use sluice_policy::upstream::{BreakerLimits, Priority};
use sluice_policy::upstream::{Policy, Settings};

use crate::error::Findings;
pub use crate::model::Protocol;
use crate::model::{self, BalancerPolicy};

/// Time constant of the moving latency, that of Finagle's "Peak EWMA".
const EWMA_DECAY_NS: u64 = 10_000_000_000;

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balancing {
    /// Everything but `locality`, which the process knows.
    pub settings: Settings,
    /// Endpoints of the own zone go first.
    pub zone_aware: bool,
}

impl Balancing {
    /// Whether requests are hashed: see `Forward::hash`.
    pub fn hashes(&self) -> bool {
        matches!(self.settings.policy, Policy::RingHash | Policy::Maglev)
    }

    pub(crate) fn compile(balancer: &model::Balancer, findings: &mut Findings) -> Self {
        let percent = balancer.panic_threshold_percent;
        if percent > 100 {
            findings.add("balancer.panic_threshold_percent", format!("{percent} is above 100: 100 is used"));
        }
        let policy = match balancer.policy {
            BalancerPolicy::RoundRobin => Policy::RoundRobin,
            BalancerPolicy::LeastRequest => Policy::LeastRequest,
            BalancerPolicy::RingHash => Policy::RingHash,
            BalancerPolicy::Maglev => Policy::Maglev,
            BalancerPolicy::Ewma => Policy::PeakEwma { decay_ns: EWMA_DECAY_NS },
        };
        let settings = Settings {
            policy,
            panic_percent: percent.min(100) as u8,
            slow_start_ns: balancer.slow_start_ms.saturating_mul(1_000_000),
            locality: None,
        };
        Self { settings, zone_aware: balancer.zone_aware }
    }
}

/// Circuit breakers of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CircuitBreakers {
    default: Option<BreakerLimits>,
    high: Option<BreakerLimits>,
}

impl CircuitBreakers {
    /// The limits for requests of a priority; `None` where nothing was declared. Envoy then applies those of
    /// `BreakerLimits::default`.
    pub fn of(&self, priority: Priority) -> Option<&BreakerLimits> {
        match priority {
            Priority::Default => self.default.as_ref(),
            Priority::High => self.high.as_ref(),
        }
    }

    pub(crate) fn compile(breakers: &[model::CircuitBreaker], findings: &mut Findings) -> Self {
        let mut built = Self::default();
        for (n, breaker) in breakers.iter().enumerate() {
            let place = match breaker.priority {
                model::Priority::Default => &mut built.default,
                model::Priority::High => &mut built.high,
            };
            if place.is_some() {
                findings.add(format!("breakers[{n}].priority"), "is set by an earlier entry, which counts");
            }
            place.get_or_insert(BreakerLimits {
                connections: breaker.max_connections,
                pending: breaker.max_pending_requests,
                requests: breaker.max_requests,
                retries: breaker.max_retries,
            });
        }
        built
    }
}

/// Keep-alive probes; `None` is the system's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Silence before the first probe, in whole seconds.
    pub idle: Option<Duration>,
    /// Time between probes, in whole seconds.
    pub interval: Option<Duration>,
    /// Probes that may stay unanswered.
    pub probes: Option<u32>,
}

/// Linux refuses more (`MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL`).
const MAX_SECONDS: u32 = 32_767;
/// `MAX_TCP_KEEPCNT`.
const MAX_PROBES: u32 = 127;

impl TcpKeepalive {
    pub(crate) fn compile(keepalive: &model::TcpKeepalive, findings: &mut Findings) -> Self {
        let mut number = |field: &str, value: Option<u32>, highest: u32| {
            let value = value?;
            if (1..=highest).contains(&value) {
                return Some(value);
            }
            findings.add(format!("tcp_keepalive.{field}"), format!("{value} is not between 1 and {highest}"));
            None
        };
        let idle = number("idle_s", keepalive.idle_s, MAX_SECONDS);
        let interval = number("interval_s", keepalive.interval_s, MAX_SECONDS);
        let probes = number("probes", keepalive.probes, MAX_PROBES);
        let seconds = |value: Option<u32>| value.map(|value| Duration::from_secs(value.into()));
        Self { idle: seconds(idle), interval: seconds(interval), probes }
    }
}
