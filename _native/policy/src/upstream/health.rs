//! Whether an endpoint passes its active checks, and when it is checked next.
//!
//! Source: Envoy, "Health checking" and `config.core.v3.HealthCheck`.

use std::ops::RangeInclusive;

/// The check of a cluster. Times are in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthConfig {
    /// Time from the end of a check to the next one.
    pub interval_ns: u64,
    /// Up to so much is added to the interval at random, so that checks do not go in step.
    pub jitter_ns: u64,
    /// Longest time of a check.
    pub timeout_ns: u64,
    /// Checks in a row that an unhealthy endpoint must pass.
    pub healthy_threshold: u32,
    /// Checks in a row in which a healthy endpoint gives no answer. A bad answer needs no second one.
    pub unhealthy_threshold: u32,
    /// Statuses that pass; if there are none, 200 does.
    pub expected_statuses: Box<[RangeInclusive<u16>]>,
}

impl Default for HealthConfig {
    /// The defaults of Emissary's Mapping `health_checks`.
    fn default() -> Self {
        Self {
            interval_ns: 5_000_000_000,
            jitter_ns: 0,
            timeout_ns: 3_000_000_000,
            healthy_threshold: 1,
            unhealthy_threshold: 2,
            expected_statuses: Box::default(),
        }
    }
}

impl HealthConfig {
    /// What an answer with this status says.
    #[must_use]
    pub fn judge(&self, status: u16) -> CheckOutcome {
        let expected = &self.expected_statuses;
        let passes = if expected.is_empty() { status == 200 } else { expected.iter().any(|all| all.contains(&status)) };
        if passes { CheckOutcome::Passed } else { CheckOutcome::Refused }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The answer was good.
    Passed,
    /// The endpoint answered that it is not well: a status that is not expected, `NOT_SERVING`.
    Refused,
    /// No connection, no answer, or none in time.
    Failed,
}

/// What the checks say about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// No check has ended yet; Envoy sends no requests to such an endpoint.
    Unknown,
    /// It gets requests.
    Healthy,
    /// It gets none.
    Unhealthy,
}

/// What is to be done about an endpoint now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Call [`Checker::begin`] and check.
    Check,
    /// The check took too long: stop it and call [`Checker::finish`] with [`CheckOutcome::Failed`].
    Timeout,
}

/// The checks of one endpoint.
#[derive(Debug, Clone)]
pub struct Checker {
    health: Health,
    /// Outcomes in a row that speak against `health`.
    against: u32,
    running: bool,
    wake_ns: u64,
}

impl Checker {
    /// The first check is due after a random part of the jitter.
    #[must_use]
    pub fn new(config: &HealthConfig, now_ns: u64, random: u64) -> Self {
        let wake_ns = now_ns.saturating_add(part(config.jitter_ns, random));
        Self { health: Health::Unknown, against: 0, running: false, wake_ns }
    }

    /// What the checks say so far.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// When [`Checker::due`] has something to say.
    #[must_use]
    pub fn wake_ns(&self) -> u64 {
        self.wake_ns
    }

    /// What is to be done at `now_ns`.
    #[must_use]
    pub fn due(&self, now_ns: u64) -> Option<Due> {
        (now_ns >= self.wake_ns).then_some(if self.running { Due::Timeout } else { Due::Check })
    }

    /// A check begins.
    pub fn begin(&mut self, config: &HealthConfig, now_ns: u64) {
        self.running = true;
        self.wake_ns = now_ns.saturating_add(config.timeout_ns);
    }

    /// A check has ended; tells the health if that has changed. The first one decides at once.
    pub fn finish(&mut self, config: &HealthConfig, outcome: CheckOutcome, now_ns: u64, random: u64) -> Option<Health> {
        self.running = false;
        self.wake_ns = now_ns.saturating_add(config.interval_ns).saturating_add(part(config.jitter_ns, random));
        let (next, needed) = match (self.health, outcome) {
            (Health::Unknown, CheckOutcome::Passed) => (Health::Healthy, 1),
            (Health::Unknown, _) => (Health::Unhealthy, 1),
            (Health::Healthy, CheckOutcome::Refused) => (Health::Unhealthy, 1),
            (Health::Healthy, CheckOutcome::Failed) => (Health::Unhealthy, config.unhealthy_threshold),
            (Health::Unhealthy, CheckOutcome::Passed) => (Health::Healthy, config.healthy_threshold),
            (Health::Healthy, CheckOutcome::Passed) | (Health::Unhealthy, _) => {
                self.against = 0;
                return None;
            }
        };
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return None;
        }
        (self.health, self.against) = (next, 0);
        Some(next)
    }
}

/// A random time of at most `bound`.
fn part(bound: u64, random: u64) -> u64 {
    ((u128::from(random) * (u128::from(bound) + 1)) >> 64) as u64
}
