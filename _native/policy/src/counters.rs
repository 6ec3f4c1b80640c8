//! The names of the counters that a worker keeps.

/// Numbers of a worker as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Global {
    /// Requests whose head was read.
    Requests,
    /// Connections accepted.
    Accepted,
    /// Gauge: downstream connections that are open.
    Active,
    /// Gauge: requests being served.
    InFlight,
    /// Requests refused by a limit.
    RateLimited,
    /// Requests that a limit in dry-run mode would have refused.
    RateLimitedDryRun,
    /// Token buckets in use that made room for another key.
    LimitEvictions,
    /// Requests handed to Python.
    Upcalls,
    /// Tasks that panicked.
    Panics,
    /// Value: version of the configuration in force.
    ConfigVersion,
    /// Value: longest delay of a turn in microseconds.
    LoopLagMaxUs,
    /// Sum of the delays of all turns in microseconds.
    LoopLagSumUs,
    /// Turns of the engine.
    LoopTurns,
    /// Access-log lines written.
    AccessLogLines,
    /// Access-log lines that found no room.
    AccessLogDropped,
    /// TLS handshakes that failed.
    TlsFailures,
    /// Connections refused because their listener has all that it may have.
    RefusedByListener,
    /// Connections refused because their address has all that it may have.
    RefusedByAddress,
    /// Connections that could not be accepted: out of descriptors or memory.
    AcceptFailures,
    /// Requests refused for want of memory.
    Shed,
    /// Requests refused for the address of the client.
    AddressDenied,
    /// Requests that were delayed on purpose.
    FaultDelays,
    /// Requests that were failed on purpose.
    FaultAborts,
    /// Gauge: tasks of the engine that have not ended: connections, streams, checks, and a few of its own.
    Tasks,
    /// Connections that TCP routes took.
    TcpConnections,
    /// Connections to a TCP listener that no route takes.
    TcpNoRoute,
    /// Connections of TCP routes without a usable endpoint.
    TcpNoEndpoint,
    /// Connections of TCP routes that a circuit breaker refused.
    TcpOverflow,
    /// Connections of TCP routes whose endpoints could not be connected to.
    TcpUnreachable,
    /// Connections of TCP routes that the upstream reset.
    TcpUpstreamReset,
    /// Connections of TCP routes that the client reset.
    TcpClientReset,
    /// Connections of TCP routes that were silent for too long.
    TcpIdle,
    /// Connections whose first bytes did not come, or are TLS that is broken or not ours to end.
    TcpBadHello,
    /// Sessions that UDP routes took.
    UdpSessions,
    /// Datagrams of new clients when there were too many sessions.
    UdpRefused,
    /// Sessions of UDP routes without a usable endpoint.
    UdpNoEndpoint,
    /// Sessions of UDP routes that a circuit breaker refused.
    UdpOverflow,
    /// Sessions of UDP routes whose endpoint could not be reached.
    UdpUnreachable,
    /// Datagrams that found a full socket or queue.
    UdpDropped,
    /// Filters that raised, or answered what cannot be sent.
    FilterFailed,
    /// Requests for a filter that is not loaded.
    FilterMissing,
    /// Filters that took longer than they may.
    FilterTimeouts,
    /// Filters that kept the loop from turning.
    FilterStalls,
    /// Requests that found no thread for their filter.
    FilterRefused,
}

/// Number of [`Global`] words.
pub const GLOBALS: usize = Global::FilterRefused as usize + 1;

/// Numbers of one listener or cluster, beside statuses and latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Field {
    /// Body and head bytes received from the peer.
    BytesIn,
    /// Body and head bytes sent to the peer.
    BytesOut,
    /// Connections made (cluster) or accepted (listener).
    Connections,
    /// Gauge: connections that are open.
    ConnectionsActive,
    /// Connections that could not be made.
    ConnectionsFailed,
    /// Requests that ran out of time.
    Timeouts,
    /// Further attempts.
    Retries,
    /// Gauge: requests being served.
    InFlight,
    /// Connections that a circuit breaker did not allow at once.
    OverflowConnections,
    /// Requests that a circuit breaker did not let wait for a connection.
    OverflowPending,
    /// Requests that a circuit breaker refused.
    OverflowRequests,
    /// Retries that a circuit breaker did not allow.
    OverflowRetries,
    /// Value of clusters: endpoints that this worker knows.
    Endpoints,
    /// Value of clusters: those of them that may get requests.
    EndpointsHealthy,
    /// Value of clusters: those of them that outlier detection has put out.
    EndpointsEjected,
}

/// Number of [`Field`] words.
pub const FIELDS: usize = Field::EndpointsEjected as usize + 1;
