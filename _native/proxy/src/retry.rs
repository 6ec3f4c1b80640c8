//! The attempts of one request: which failures are followed by another one.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use sluice_policy::upstream::{Attempt, Backoff, Outcome, Resource, RetryBudget, RetryDecision, RetryPolicy};
use sluice_snapshot::{Cluster, Forward};

use crate::error::{ProxyError, Retry};
use crate::permit::{Limited, Permit};
use crate::rules;
use crate::shared::Shared;

/// Attempts that a request gets beside its retry policy, where nothing was sent or a kept connection was stale.
const TRANSPARENT: u32 = 1;

/// What has been tried for a request.
pub(crate) struct Attempts {
    shared: Rc<Shared>,
    policy: Option<RetryPolicy>,
    /// Time for one attempt in nanoseconds; 0 for no limit.
    pub(crate) per_try_ns: u64,
    pub(crate) limited: Option<Limited>,
    idempotent: bool,
    /// The whole request is at hand.
    complete: bool,
    transparent: Cell<u32>,
    /// Retries that the policy asked for.
    made: Cell<u32>,
    running: RefCell<Option<Running>>,
    failed: RefCell<Vec<SocketAddr>>,
}

/// A retry under way.
struct Running {
    shared: Rc<Shared>,
    _permit: Option<Permit>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.retries.set(self.shared.retries.get().saturating_sub(1));
    }
}

/// What the retry rules call a failure; `None` for one that no rule is about.
fn outcome(error: &ProxyError) -> Option<(Outcome, bool)> {
    match error {
        ProxyError::Connect(_) | ProxyError::ConnectTimeout | ProxyError::UpstreamTls(_) => {
            Some((Outcome::ConnectFailure, false))
        }
        ProxyError::UpstreamRefused => Some((Outcome::RefusedStream, true)),
        ProxyError::UpstreamClosed { .. } | ProxyError::UpstreamReset(_) | ProxyError::UpstreamProtocol(_) => {
            Some((Outcome::Reset, true))
        }
        ProxyError::PerTryTimeout => Some((Outcome::PerTryTimeout, true)),
        _ => None,
    }
}

impl Attempts {
    pub(crate) fn new(
        shared: &Rc<Shared>,
        forward: &Forward,
        cluster: Option<&Cluster>,
        idempotent: bool,
        complete: bool,
    ) -> Self {
        let rules = forward.retry.as_deref();
        let limits = cluster.and_then(|cluster| Some((cluster.slot, rules::limits(cluster, forward.priority)?)));
        Self {
            shared: Rc::clone(shared),
            policy: rules.map(|rules| rules.policy.clone()),
            per_try_ns: rules.and_then(|rules| rules.per_try_timeout).map_or(0, rules::nanos),
            limited: limits.map(|(slot, limits)| Limited { slot: slot as usize, priority: forward.priority, limits }),
            idempotent,
            complete,
            transparent: Cell::new(0),
            made: Cell::new(0),
            running: RefCell::default(),
            failed: RefCell::default(),
        }
    }

    /// Attempts so far.
    pub(crate) fn failed(&self) -> usize {
        (self.transparent.get() + self.made.get()) as usize
    }

    /// Endpoints that failed.
    pub(crate) fn avoided(&self) -> std::cell::Ref<'_, Vec<SocketAddr>> {
        self.failed.borrow()
    }

    /// Whether the answer with this status is dropped for another attempt. What it takes is then taken.
    pub(crate) fn drops(&self, status: u16) -> bool {
        self.policy.is_some() && self.grants(Outcome::Status(status), true)
    }

    /// Whether a failed attempt is followed by another one, after so many nanoseconds.
    pub(crate) fn next(&self, error: &ProxyError, at: Option<SocketAddr>) -> Option<u64> {
        self.failed.borrow_mut().extend(at);
        let safe = match error.retry() {
            Retry::Unsent => true,
            Retry::ReusedConnection => self.complete && self.idempotent,
            Retry::No => false,
        };
        if safe && self.transparent.get() < TRANSPARENT {
            self.transparent.set(self.transparent.get() + 1);
            return Some(0);
        }
        let granted = match (error, outcome(error)) {
            (ProxyError::RetriedStatus(_), _) => true,
            (_, Some((outcome, sent))) => self.grants(outcome, sent),
            (_, None) => false,
        };
        granted.then(|| Backoff::default().delay_ns(self.made.get(), self.shared.random()))
    }

    fn grants(&self, outcome: Outcome, sent: bool) -> bool {
        let Some(policy) = &self.policy else { return false };
        let attempt = Attempt {
            outcome,
            sent,
            idempotent: self.idempotent,
            replayable: self.complete || !sent,
            retries: self.made.get(),
        };
        if !matches!(policy.decide(&attempt), RetryDecision::Retry(_)) {
            return false;
        }
        // The attempt that failed is over: what it held is free for the next one.
        self.running.take();
        let permit = match &self.limited {
            Some(limited) => match limited.take(&self.shared, Resource::Retries) {
                Some(permit) => Some(permit),
                None => return false,
            },
            None => {
                let active = self.shared.in_flight.get() as u64;
                if !RetryBudget::default().allows(active, self.shared.retries.get()) {
                    return false;
                }
                None
            }
        };
        self.shared.retries.set(self.shared.retries.get() + 1);
        self.running.replace(Some(Running { shared: Rc::clone(&self.shared), _permit: permit }));
        self.made.set(self.made.get() + 1);
        true
    }
}
