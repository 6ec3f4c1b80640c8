//! What can go wrong with a request, on which side, and what the client is told: one table.

use std::io;

/// Who caused a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Downstream,
    /// The service behind us.
    Upstream,
    /// The gateway itself.
    Internal,
}

/// Whether the same request may be sent again after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Never.
    No,
    /// Nothing was sent: always safe.
    Unsent,
    /// A reused connection died before the first byte of an answer: safe for idempotent requests.
    ReusedConnection,
}

/// A failed exchange.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The cluster has no usable endpoint.
    #[error("no endpoint of cluster is usable")]
    NoEndpoint,
    /// A circuit breaker of the cluster is open.
    #[error("a circuit breaker of the cluster is open")]
    Overflow,
    /// No answer within the time for one attempt.
    #[error("the attempt timed out")]
    PerTryTimeout,
    /// The answer's status asks for another attempt, which will be made.
    #[error("the upstream answered {0}, to be asked again")]
    RetriedStatus(u16),
    /// The cluster's name does not resolve.
    #[error("the upstream's name does not resolve: {0}")]
    Resolve(String),
    /// No connection to the endpoint.
    #[error("cannot connect to the upstream: {0}")]
    Connect(io::Error),
    /// No connection within the connect timeout.
    #[error("connecting to the upstream timed out")]
    ConnectTimeout,
    /// The upstream's TLS handshake or certificate check failed.
    #[error("TLS to the upstream failed: {0}")]
    UpstreamTls(io::Error),
    /// The upstream closed or reset the connection before its answer was complete.
    #[error("the upstream closed the connection: {error}")]
    UpstreamClosed {
        /// What the socket said.
        error: io::Error,
        /// The connection had served a request before, and no byte of an answer had come.
        reused: bool,
    },
    /// The upstream says that it did not process the request.
    #[error("the upstream refused the request before it processed it")]
    UpstreamRefused,
    /// The upstream broke the request off.
    #[error("the upstream reset the request: {0}")]
    UpstreamReset(h2::Reason),
    /// The request cannot be said in the protocol of the upstream.
    #[error("the request cannot be sent over HTTP/2")]
    Untranslatable,
    /// The upstream's answer is not HTTP as we accept it.
    #[error("the upstream's answer is malformed: {0}")]
    UpstreamProtocol(&'static str),
    /// The route's timeout passed.
    #[error("the request timed out")]
    Timeout,
    /// No byte moved in either direction for the idle timeout.
    #[error("the request was idle for too long")]
    IdleTimeout,
    /// The client stopped sending its body.
    #[error("the client stopped sending its body")]
    BodyTimeout,
    /// The client's body is larger than what is read before a request is forwarded.
    #[error("the client's body is larger than {0} bytes")]
    BodyTooLarge(u64),
    /// The upstream's answer is larger than what is kept of one.
    #[error("the upstream's answer is too large to be kept")]
    AnswerTooLarge,
    /// The client's body is not framed as announced.
    #[error("the client's body is malformed: {0}")]
    BodyProtocol(&'static str),
    /// The client is gone.
    #[error("the client closed the connection")]
    ClientGone,
}

impl ProxyError {
    /// Who caused it.
    pub fn side(&self) -> Side {
        match self {
            Self::BodyTimeout
            | Self::BodyTooLarge(_)
            | Self::BodyProtocol(_)
            | Self::Untranslatable
            | Self::ClientGone => Side::Downstream,
            _ => Side::Upstream,
        }
    }

    /// Whether the request may be sent again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Connect(_) | Self::ConnectTimeout | Self::UpstreamTls(_) | Self::UpstreamRefused => Retry::Unsent,
            Self::UpstreamClosed { reused: true, .. } => Retry::ReusedConnection,
            _ => Retry::No,
        }
    }

    /// The answer when none was sent yet, and Envoy's response flag for the log.
    pub fn answer(&self) -> (u16, &'static str) {
        match self {
            Self::NoEndpoint | Self::Resolve(_) => (503, "UH"),
            Self::Overflow => (503, "UO"),
            Self::RetriedStatus(status) => (*status, "URX"),
            Self::Connect(_) | Self::ConnectTimeout | Self::UpstreamTls(_) => (503, "UF"),
            Self::UpstreamClosed { .. } => (503, "UC"),
            Self::UpstreamRefused | Self::UpstreamReset(_) => (503, "UR"),
            Self::UpstreamProtocol(_) => (502, "UPE"),
            Self::Timeout | Self::PerTryTimeout => (504, "UT"),
            Self::IdleTimeout => (504, "SI"),
            Self::BodyTimeout => (408, "SI"),
            // Envoy has no flags for these two.
            Self::BodyTooLarge(_) => (413, "DTL"),
            Self::AnswerTooLarge => (500, "UTL"),
            Self::BodyProtocol(_) | Self::Untranslatable => (400, "DPE"),
            Self::ClientGone => (499, "DC"),
        }
    }

    /// A sentence for the client. It names no address: those are for the log.
    pub fn public_message(&self) -> &'static str {
        match self {
            Self::NoEndpoint | Self::Resolve(_) => "no healthy upstream\n",
            Self::Overflow => "too many requests to the upstream\n",
            Self::RetriedStatus(_) => "the upstream failed\n",
            Self::Connect(_) | Self::ConnectTimeout => "the upstream could not be reached\n",
            Self::UpstreamTls(_) => "TLS to the upstream failed\n",
            Self::UpstreamClosed { .. } => "the upstream closed the connection before it answered\n",
            Self::UpstreamRefused | Self::UpstreamReset(_) => "the upstream reset the request\n",
            Self::UpstreamProtocol(_) => "the upstream sent an invalid answer\n",
            Self::Timeout | Self::PerTryTimeout => "upstream request timeout\n",
            Self::IdleTimeout => "stream timeout\n",
            Self::BodyTimeout => "the request body did not arrive in time\n",
            Self::BodyTooLarge(_) => "the request body is too large\n",
            Self::AnswerTooLarge => "the upstream's answer is too large\n",
            Self::Untranslatable => "the request cannot be forwarded\n",
            Self::BodyProtocol(_) => "the request body is malformed\n",
            Self::ClientGone => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_final_status() {
        let closed = |reused| ProxyError::UpstreamClosed { error: io::Error::other("x"), reused };
        let table = [
            (ProxyError::NoEndpoint, 503, Retry::No, Side::Upstream),
            (ProxyError::Connect(io::Error::other("x")), 503, Retry::Unsent, Side::Upstream),
            (ProxyError::ConnectTimeout, 503, Retry::Unsent, Side::Upstream),
            (closed(true), 503, Retry::ReusedConnection, Side::Upstream),
            (closed(false), 503, Retry::No, Side::Upstream),
            (ProxyError::UpstreamRefused, 503, Retry::Unsent, Side::Upstream),
            (ProxyError::UpstreamReset(h2::Reason::CANCEL), 503, Retry::No, Side::Upstream),
            (ProxyError::UpstreamProtocol("x"), 502, Retry::No, Side::Upstream),
            (ProxyError::Timeout, 504, Retry::No, Side::Upstream),
            (ProxyError::BodyTimeout, 408, Retry::No, Side::Downstream),
            (ProxyError::BodyProtocol("x"), 400, Retry::No, Side::Downstream),
            (ProxyError::BodyTooLarge(1), 413, Retry::No, Side::Downstream),
            (ProxyError::AnswerTooLarge, 500, Retry::No, Side::Upstream),
        ];
        for (error, status, retry, side) in table {
            assert_eq!((error.answer().0, error.retry(), error.side()), (status, retry, side), "{error}");
        }
    }
}
