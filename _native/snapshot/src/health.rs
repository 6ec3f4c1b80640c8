//! Active and passive health checks, ready to run.

use std::ops::RangeInclusive;

use sluice_policy::HeaderEdits;
use sluice_policy::upstream::{HealthConfig, OutlierConfig, SuccessRate};

use crate::error::Findings;
use crate::{action, format, model};

/// An active check.
#[derive(Debug)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// When, and what makes an endpoint healthy or not; times and thresholds are above zero.
    pub config: HealthConfig,
}

/// What a check asks.
#[derive(Debug)]
pub enum Probe {
    /// A GET; `HealthConfig::judge` knows the good answers.
    Http {
        /// Path and query, as sent.
        target: Box<[u8]>,
        /// `Host`; `None` for the name of the cluster.
        host: Option<Box<[u8]>>,
        /// Edits of the request.
        edits: HeaderEdits,
    },
    /// A call of `grpc.health.v1.Health/Check`.
    Grpc {
        /// Service asked about.
        service: Box<str>,
        /// Authority; `None` for the name of the cluster.
        authority: Option<Box<[u8]>>,
    },
}

impl HealthCheck {
    /// Compiles all checks of a cluster; one that cannot be made is reported and left out.
    pub(crate) fn all(checks: &[model::HealthCheck], findings: &mut Findings) -> Box<[Self]> {
        let mut built = Vec::with_capacity(checks.len());
        for (n, check) in checks.iter().enumerate() {
            match Self::compile(check) {
                Ok(check) => built.push(check),
                Err((field, message)) => findings.add(format!("health_checks[{n}]{field}"), message),
            }
        }
        built.into_boxed_slice()
    }

    fn compile(check: &model::HealthCheck) -> Result<Self, (String, String)> {
        let at = |field: &'static str| move |message: String| (format!(".{field}"), message);
        let probe = match (&check.http, &check.grpc) {
            (Some(http), None) => Probe::Http {
                target: target(&http.path).map_err(at("http.path"))?,
                host: authority(&http.host).map_err(at("http.host"))?,
                edits: action::edits(&http.request_headers).map_err(at("http.request_headers"))?,
            },
            (None, Some(grpc)) => Probe::Grpc {
                service: Box::from(grpc.service.as_str()),
                authority: authority(&grpc.authority).map_err(at("grpc.authority"))?,
            },
            _ => return Err((String::new(), "exactly one of http and grpc must be set".to_owned())),
        };
        let ranges = check.http.as_ref().map_or(&[][..], |http| &http.expected);
        let expected_statuses = expected(ranges).map_err(at("http.expected"))?;
        if check.healthy_threshold == 0 || check.unhealthy_threshold == 0 {
            return Err((".healthy_threshold".to_owned(), "thresholds must be above zero".to_owned()));
        }
        if check.interval_ms == 0 || check.timeout_ms == 0 {
            return Err((".interval_ms".to_owned(), "interval and timeout must be above zero".to_owned()));
        }
        let config = HealthConfig {
            interval_ns: nanoseconds(check.interval_ms),
            timeout_ns: nanoseconds(check.timeout_ms),
            healthy_threshold: check.healthy_threshold,
            unhealthy_threshold: check.unhealthy_threshold,
            expected_statuses,
            ..HealthConfig::default()
        };
        Ok(Self { probe, config })
    }
}

fn nanoseconds(milliseconds: u64) -> u64 {
    milliseconds.saturating_mul(1_000_000)
}

fn target(path: &str) -> Result<Box<[u8]>, String> {
    if !path.starts_with('/') || path.bytes().any(|b| b <= 0x20 || b >= 0x7f || b == b'#') {
        return Err(format!("{path:?} is not a path with an optional query"));
    }
    Ok(Box::from(path.as_bytes()))
}

fn authority(host: &str) -> Result<Option<Box<[u8]>>, String> {
    (!host.is_empty()).then(|| format::authority(host)).transpose()
}

fn expected(ranges: &[model::StatusRange]) -> Result<Box<[RangeInclusive<u16>]>, String> {
    let range = |range: &model::StatusRange| {
        if range.low < 100 || range.low > range.high || range.high > 599 {
            return Err(format!("{} to {} is not a range of status codes", range.low, range.high));
        }
        Ok(range.low..=range.high)
    };
    ranges.iter().map(range).collect()
}

/// Compiles passive checks; values out of range are reported and replaced by the nearest possible.
pub(crate) fn outlier(model: &model::OutlierDetection, findings: &mut Findings) -> OutlierConfig {
    let mut enforced = |field: &str, percent: u32| {
        if !matches!(percent, 0 | 100) {
            findings.add(format!("outlier.{field}"), format!("{percent} is neither 0 nor 100: 100 is used"));
        }
        percent > 0
    };
    let xx = enforced("enforcing_consecutive_5xx", model.enforcing_consecutive_5xx);
    let gateway = enforced("enforcing_consecutive_gateway_failure", model.enforcing_consecutive_gateway_failure);
    let local =
        enforced("enforcing_consecutive_local_origin_failure", model.enforcing_consecutive_local_origin_failure);
    let rate = enforced("enforcing_success_rate", model.enforcing_success_rate);
    if model.max_ejection_percent > 100 {
        let percent = model.max_ejection_percent;
        findings.add("outlier.max_ejection_percent", format!("{percent} is above 100: 100 is used"));
    }
    let mut time = |field: &str, value: u64| {
        if value == 0 {
            findings.add(format!("outlier.{field}"), "must be above zero: one millisecond is used");
        }
        nanoseconds(value.max(1))
    };
    OutlierConfig {
        consecutive_5xx: if xx { model.consecutive_5xx } else { 0 },
        consecutive_gateway_failure: if gateway { model.consecutive_gateway_failure } else { 0 },
        consecutive_local_origin_failure: if local { model.consecutive_local_origin_failure } else { 0 },
        split_local_origin: model.split_external_local_origin_errors,
        success_rate: rate.then(|| SuccessRate {
            min_endpoints: model.success_rate_minimum_hosts as usize,
            request_volume: model.success_rate_request_volume.into(),
            stdev_factor: model.success_rate_stdev_factor,
        }),
        interval_ns: time("interval_ms", model.interval_ms),
        base_ejection_ns: time("base_ejection_time_ms", model.base_ejection_time_ms),
        max_ejection_ns: nanoseconds(model.max_ejection_time_ms),
        max_ejection_percent: model.max_ejection_percent.min(100) as u8,
        always_eject_one: model.always_eject_one_host,
    }
}
