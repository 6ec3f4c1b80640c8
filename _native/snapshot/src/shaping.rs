//! What is done to the traffic of a route on purpose: failures and slowness.

use crate::model;

/// Failures that are injected (Envoy: "Fault injection"). Shares are percent and drawn apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Nanoseconds that a request waits, and the share that does.
    pub delay: Option<(u64, f64)>,
    /// Status that a request is answered with, and the share that is.
    pub abort: Option<(u16, f64)>,
}

/// The rate of the body of an answer (nginx: `limit_rate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandwidthLimit {
    /// The rate, above zero.
    pub bytes_per_second: u64,
    /// Bytes before it begins.
    pub after_bytes: u64,
}

fn share(field: &'static str, percent: f64) -> Result<f64, (&'static str, String)> {
    let known = (0.0..=100.0).contains(&percent);
    if known { Ok(percent) } else { Err((field, format!("{percent} is not between 0 and 100"))) }
}

impl Fault {
    pub(crate) fn compile(fault: &model::Fault) -> Result<Self, (&'static str, String)> {
        let delay_share = share("delay_percent", fault.delay_percent)?;
        let abort_share = share("abort_percent", fault.abort_percent)?;
        if let Some(status) = fault.abort_status.filter(|status| !(200..=599).contains(status)) {
            return Err(("abort_status", format!("{status} is not the status of an answer")));
        }
        let delay_ns = fault.delay_ms.saturating_mul(1_000_000);
        Ok(Self {
            delay: (delay_ns > 0).then_some((delay_ns, delay_share)),
            abort: fault.abort_status.map(|status| (status, abort_share)),
        })
    }
}

impl BandwidthLimit {
    pub(crate) fn compile(limit: &model::BandwidthLimit) -> Result<Self, (&'static str, String)> {
        if limit.bytes_per_second == 0 {
            return Err(("bytes_per_second", "must be above zero: nothing would ever arrive".to_owned()));
        }
        Ok(Self { bytes_per_second: limit.bytes_per_second, after_bytes: limit.after_bytes })
    }
}
