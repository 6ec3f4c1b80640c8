//! What circuit breakers count, and how far.

/// What is counted. Source: Envoy, `CircuitBreakers.Thresholds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Resource {
    /// Connections to the endpoints of the cluster.
    Connections,
    /// Requests that wait for a connection.
    Pending,
    /// Requests under way.
    Requests,
    /// Requests under way that are not the first attempt.
    Retries,
}

/// The priority of a route. Each has limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(usize)]
pub enum Priority {
    /// Nothing else is said.
    #[default]
    Default,
    /// The route says `high`.
    High,
}

/// The limits of a cluster in one priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerLimits {
    /// Limit of [`Resource::Connections`].
    pub connections: u32,
    /// Limit of [`Resource::Pending`].
    pub pending: u32,
    /// Limit of [`Resource::Requests`].
    pub requests: u32,
    /// Limit of [`Resource::Retries`].
    pub retries: u32,
}

impl Default for BreakerLimits {
    /// Envoy's defaults.
    fn default() -> Self {
        Self { connections: 1024, pending: 1024, requests: 1024, retries: 3 }
    }
}

impl BreakerLimits {
    /// The limit of a resource.
    #[must_use]
    pub fn of(&self, resource: Resource) -> u32 {
        match resource {
            Resource::Connections => self.connections,
            Resource::Pending => self.pending,
            Resource::Requests => self.requests,
            Resource::Retries => self.retries,
        }
    }
}
