//! Endpoints that fail real requests are left out for a while.
//!
//! Source: Envoy, "Outlier detection" and `config.cluster.v3.OutlierDetection`. Each worker judges by what it sees.

use crate::upstream::success_rate::SuccessRate;

/// The rules of a cluster. Times are in nanoseconds; a number of failures of 0 turns that detector off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierConfig {
    /// 5xx answers in a row, local failures included unless they are split off.
    pub consecutive_5xx: u32,
    /// Answers 502, 503 or 504 in a row, local failures included unless they are split off.
    pub consecutive_gateway_failure: u32,
    /// Failures in a row to get any answer. Looked at only if `split_local_origin`.
    pub consecutive_local_origin_failure: u32,
    /// Judge failures to get an answer apart from answers.
    pub split_local_origin: bool,
    /// Compare the endpoints with each other at every sweep.
    pub success_rate: Option<SuccessRate>,
    /// Time between sweeps, at which endpoints return and are compared.
    pub interval_ns: u64,
    /// Time of the first ejection; the n-th in a row lasts n times as long.
    pub base_ejection_ns: u64,
    /// Longest ejection, unless the base is longer.
    pub max_ejection_ns: u64,
    /// Most endpoints that may be out at once, in percent.
    pub max_ejection_percent: u8,
    /// One endpoint may be out whatever that percentage gives.
    pub always_eject_one: bool,
}

impl Default for OutlierConfig {
    /// Envoy's defaults; gateway failures are counted there but not acted on.
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 0,
            consecutive_local_origin_failure: 5,
            split_local_origin: false,
            success_rate: Some(SuccessRate::default()),
            interval_ns: 10_000_000_000,
            base_ejection_ns: 30_000_000_000,
            max_ejection_ns: 300_000_000_000,
            max_ejection_percent: 10,
            always_eject_one: false,
        }
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// An answer.
    Status(u16),
    /// No connection, a reset, or no answer in time.
    LocalFailure,
}

/// Why an endpoint is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// 5xx answers in a row.
    Consecutive5xx,
    /// Gateway failures in a row.
    ConsecutiveGatewayFailure,
    /// Local failures in a row.
    ConsecutiveLocalFailure,
    /// Fewer successes than the others.
    SuccessRate,
}

/// What a sweep changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sweep {
    /// Endpoints that are back.
    pub returned: Vec<usize>,
    /// Endpoints ejected for [`Cause::SuccessRate`].
    pub ejected: Vec<usize>,
}

#[derive(Debug, Clone, Default)]
struct Host {
    in_a_row_5xx: u32,
    in_a_row_gateway: u32,
    in_a_row_local: u32,
    good: u64,
    all: u64,
    ejected_at: Option<u64>,
    /// Ejections in a row; one is forgiven by each sweep that finds the endpoint in service.
    ejections: u32,
}

/// The endpoints of a cluster as one worker sees them.
#[derive(Debug, Clone)]
pub struct Outliers {
    config: OutlierConfig,
    hosts: Vec<Host>,
    ejected: usize,
    next_sweep_ns: u64,
}

impl Outliers {
    /// Start with `endpoints` endpoints, all in service.
    #[must_use]
    pub fn new(config: OutlierConfig, endpoints: usize, now_ns: u64) -> Self {
        let next_sweep_ns = now_ns.saturating_add(config.interval_ns);
        Self { config, hosts: vec![Host::default(); endpoints], ejected: 0, next_sweep_ns }
    }

    /// Go on with a new configuration, as [`crate::upstream::State::following`]: ejected endpoints stay ejected.
    #[must_use]
    pub fn following(&self, config: OutlierConfig, moved: &[Option<usize>]) -> Self {
        let old = |from: &Option<usize>| from.and_then(|index| self.hosts.get(index)).cloned().unwrap_or_default();
        let hosts: Vec<Host> = moved.iter().map(old).collect();
        let ejected = hosts.iter().filter(|host| host.ejected_at.is_some()).count();
        Self { config, hosts, ejected, next_sweep_ns: self.next_sweep_ns }
    }

    /// Whether an endpoint is out.
    #[must_use]
    pub fn is_ejected(&self, index: usize) -> bool {
        self.hosts.get(index).is_some_and(|host| host.ejected_at.is_some())
    }

    /// When the next sweep is due.
    #[must_use]
    pub fn next_sweep_ns(&self) -> u64 {
        self.next_sweep_ns
    }

    /// Count what became of a request; tells why, if the endpoint is ejected for it.
    pub fn record(&mut self, index: usize, observed: Observation, now_ns: u64) -> Option<Cause> {
        let host = self.hosts.get_mut(index)?;
        let split = self.config.split_local_origin;
        let counted = match observed {
            Observation::LocalFailure if split => {
                let limit = self.config.consecutive_local_origin_failure;
                reached(&mut host.in_a_row_local, true, limit).then_some(Cause::ConsecutiveLocalFailure)
            }
            _ => {
                let status = if let Observation::Status(status) = observed { status } else { 503 };
                let bad = status >= 500;
                host.in_a_row_local = 0;
                host.all += 1;
                host.good += u64::from(!bad);
                let gateway = matches!(status, 502..=504);
                let gateway = reached(&mut host.in_a_row_gateway, gateway, self.config.consecutive_gateway_failure);
                let server = reached(&mut host.in_a_row_5xx, bad, self.config.consecutive_5xx);
                if server { Some(Cause::Consecutive5xx) } else { gateway.then_some(Cause::ConsecutiveGatewayFailure) }
            }
        };
        counted.filter(|_| self.eject(index, now_ns))
    }

    /// Bring back those whose time is over and compare the rest, if a sweep is due.
    pub fn sweep(&mut self, now_ns: u64) -> Sweep {
        let mut sweep = Sweep::default();
        if now_ns < self.next_sweep_ns {
            return sweep;
        }
        self.next_sweep_ns = now_ns.saturating_add(self.config.interval_ns);
        let longest = self.config.max_ejection_ns.max(self.config.base_ejection_ns);
        for (index, host) in self.hosts.iter_mut().enumerate() {
            let Some(since) = host.ejected_at else {
                host.ejections = host.ejections.saturating_sub(1);
                continue;
            };
            let time = self.config.base_ejection_ns.saturating_mul(u64::from(host.ejections)).min(longest);
            if now_ns.saturating_sub(since) >= time {
                *host = Host { ejections: host.ejections, ..Host::default() };
                self.ejected -= 1;
                sweep.returned.push(index);
            }
        }
        if let Some(rule) = self.config.success_rate {
            let threshold = rule.threshold(self.hosts.iter().map(|host| (host.good, host.all)));
            for index in 0..self.hosts.len() {
                let Host { good, all, .. } = self.hosts[index];
                let outlier = threshold.is_some_and(|least| rule.is_enough(all) && (good as f64) < least * all as f64);
                if outlier && self.eject(index, now_ns) {
                    sweep.ejected.push(index);
                }
            }
        }
        for host in &mut self.hosts {
            (host.good, host.all) = (0, 0);
        }
        sweep
    }

    /// Eject an endpoint that is in service, if so many may be out.
    fn eject(&mut self, index: usize, now_ns: u64) -> bool {
        let within = (self.ejected + 1) * 100 <= self.hosts.len() * usize::from(self.config.max_ejection_percent);
        let host = &mut self.hosts[index];
        if host.ejected_at.is_some() || !(within || (self.config.always_eject_one && self.ejected == 0)) {
            return false;
        }
        host.ejected_at = Some(now_ns);
        host.ejections = host.ejections.saturating_add(1);
        self.ejected += 1;
        true
    }
}

/// Count one more failure in a row, or none; true and back to none if there are `limit`.
fn reached(in_a_row: &mut u32, failed: bool, limit: u32) -> bool {
    *in_a_row = if failed { in_a_row.saturating_add(1) } else { 0 };
    let reached = limit > 0 && *in_a_row >= limit;
    if reached {
        *in_a_row = 0;
    }
    reached
}
