//! What a request or connection holds of a circuit breaker.

use std::rc::Rc;

use sluice_policy::upstream::{BreakerLimits, Priority, Resource};

use crate::shared::Shared;

/// One unit of a limited resource, given back when dropped.
pub(crate) struct Permit {
    shared: Rc<Shared>,
    slot: usize,
    priority: Priority,
    resource: Resource,
}

/// The limits of a cluster for one priority.
#[derive(Clone, Copy)]
pub(crate) struct Limited {
    pub(crate) slot: usize,
    pub(crate) priority: Priority,
    pub(crate) limits: BreakerLimits,
}

impl Limited {
    /// Takes one unit; `None` if the limit is reached by all workers together, which is counted.
    pub(crate) fn take(&self, shared: &Rc<Shared>, resource: Resource) -> Option<Permit> {
        let permit = self.retake(shared, resource);
        if permit.is_none() {
            shared.count_overflow(self.slot, resource);
        }
        permit
    }

    /// As [`Limited::take`] for somebody who waits and was counted before.
    pub(crate) fn retake(&self, shared: &Rc<Shared>, resource: Resource) -> Option<Permit> {
        let breakers = shared.breakers()?;
        let taken = breakers.take(self.slot, self.priority, resource, self.limits.of(resource));
        taken.then(|| Permit { shared: Rc::clone(shared), slot: self.slot, priority: self.priority, resource })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(breakers) = self.shared.breakers() {
            breakers.release(self.slot, self.priority, self.resource);
        }
    }
}
