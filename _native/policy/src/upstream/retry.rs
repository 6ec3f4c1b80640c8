//! Whether a failed attempt is made again.
//!
//! Source: Envoy, router filter, `x-envoy-retry-on`, for what counts as which failure; RFC 9110 section 9.2.2 for what
//! may be repeated. Stricter than Envoy: where no answer came, a request that is not idempotent is sent again only if
//! the upstream certainly did not process it. An answer is different: the upstream has spoken, and the operator who asks
//! for retries on its status means that nothing was done, so the method does not matter (as in Envoy).

use std::str::FromStr;
use thiserror::Error;

/// A word that is no condition.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is not a retry condition")]
pub struct RetryOnError(pub String);

/// Conditions under which an operator wants retries, see [`FromStr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryOn {
    /// `5xx`: such a status, or no answer at all.
    pub server_error: bool,
    /// `gateway-error`: 502, 503 or 504, or no answer at all.
    pub gateway_error: bool,
    /// `connect-failure`: no connection could be made.
    pub connect_failure: bool,
    /// `retriable-4xx`: 409.
    pub retriable_4xx: bool,
    /// `refused-stream`: the upstream refused the stream (HTTP/2 or later).
    pub refused_stream: bool,
    /// `retriable-status-codes`: one of the statuses listed in the policy.
    pub retriable_status_codes: bool,
    /// `reset`: no answer at all.
    pub reset: bool,
}

impl FromStr for RetryOn {
    type Err = RetryOnError;

    /// Envoy's words, separated by commas. Blanks around a word do not matter, nor do empty words.
    fn from_str(text: &str) -> Result<Self, RetryOnError> {
        let mut on = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let flag = match word {
                "5xx" => &mut on.server_error,
                "gateway-error" => &mut on.gateway_error,
                "connect-failure" => &mut on.connect_failure,
                "retriable-4xx" => &mut on.retriable_4xx,
                "refused-stream" => &mut on.refused_stream,
                "retriable-status-codes" => &mut on.retriable_status_codes,
                "reset" => &mut on.reset,
                unknown => return Err(RetryOnError(unknown.to_owned())),
            };
            *flag = true;
        }
        Ok(on)
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The head of an answer with this status.
    Status(u16),
    /// No connection could be made, its TLS handshake included.
    ConnectFailure,
    /// The connection or stream ended before the head of an answer.
    Reset,
    /// The stream was refused before any processing (RFC 9113 section 8.7).
    RefusedStream,
    /// No head of an answer within the time for one attempt.
    PerTryTimeout,
}

/// An attempt that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// How.
    pub outcome: Outcome,
    /// Whether any byte of the request was given to the connection.
    pub sent: bool,
    /// Whether the method is idempotent, see [`is_idempotent`].
    pub idempotent: bool,
    /// Whether the whole request can be sent again: no part of its body was passed on and forgotten.
    pub replayable: bool,
    /// Retries made before, 0 after the first attempt.
    pub retries: u32,
}

/// Why an attempt is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// The status is one that the operator asked for.
    Status(u16),
    /// No connection could be made.
    ConnectFailure,
    /// No answer.
    Reset,
    /// The stream was refused.
    RefusedStream,
    /// No answer in time.
    PerTryTimeout,
}

/// Why an attempt was the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// No condition holds: the answer, or the failure, goes to the client.
    NotAsked,
    /// All retries were made.
    Exhausted,
    /// The upstream may have processed the request, which is not idempotent.
    NotIdempotent,
    /// Parts of the request are gone.
    NotReplayable,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// Make another one, if the retry budget and the circuit breaker allow it.
    Retry(RetryReason),
    /// That was the last.
    Stop(StopReason),
}

/// The retry policy of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Under which conditions.
    pub on: RetryOn,
    /// Attempts after the first; Envoy's default is 1.
    pub num_retries: u32,
    /// Statuses for `retriable-status-codes`.
    pub status_codes: Box<[u16]>,
}

impl RetryPolicy {
    /// Whether to try again.
    #[must_use]
    pub fn decide(&self, attempt: &Attempt) -> RetryDecision {
        let Some(reason) = self.asked(attempt.outcome) else { return RetryDecision::Stop(StopReason::NotAsked) };
        let unprocessed = match attempt.outcome {
            Outcome::ConnectFailure | Outcome::RefusedStream | Outcome::Status(_) => true,
            Outcome::Reset | Outcome::PerTryTimeout => !attempt.sent,
        };
        RetryDecision::Stop(if attempt.retries >= self.num_retries {
            StopReason::Exhausted
        } else if !unprocessed && !attempt.idempotent {
            StopReason::NotIdempotent
        } else if !attempt.replayable {
            StopReason::NotReplayable
        } else {
            return RetryDecision::Retry(reason);
        })
    }

    /// Whether a condition holds. As in Envoy, each of `5xx`, `gateway-error` and `reset` covers every way to get no
    /// answer, since the client would get a 503 or 504 for it.
    fn asked(&self, outcome: Outcome) -> Option<RetryReason> {
        let on = self.on;
        let any = on.server_error || on.gateway_error || on.reset;
        let (asked, reason) = match outcome {
            Outcome::Status(status) => {
                let asked = (on.server_error && matches!(status, 500..=599))
                    || (on.gateway_error && matches!(status, 502..=504))
                    || (on.retriable_4xx && status == 409)
                    || (on.retriable_status_codes && self.status_codes.contains(&status));
                (asked, RetryReason::Status(status))
            }
            Outcome::ConnectFailure => (any || on.connect_failure, RetryReason::ConnectFailure),
            Outcome::RefusedStream => (any || on.refused_stream, RetryReason::RefusedStream),
            Outcome::Reset => (any, RetryReason::Reset),
            Outcome::PerTryTimeout => (any, RetryReason::PerTryTimeout),
        };
        asked.then_some(reason)
    }
}

/// Whether a method is idempotent: the safe ones, PUT and DELETE (RFC 9110 section 9.2.2). Unknown methods are not.
#[must_use]
pub fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
}
