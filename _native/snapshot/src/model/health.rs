//! How the gateway learns that an endpoint is not to be used.

use serde::Deserialize;

use super::action::HeaderEdits;

/// Status codes, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusRange {
    /// First.
    pub low: u16,
    /// Last.
    pub high: u16,
}

/// A GET.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    /// Path and query.
    pub path: String,
    /// Host; empty for the name of the cluster.
    #[serde(default)]
    pub host: String,
    /// Edits of the request.
    #[serde(default)]
    pub request_headers: HeaderEdits,
    /// Good answers; empty for 200.
    #[serde(default)]
    pub expected: Vec<StatusRange>,
}

/// A call of `grpc.health.v1.Health/Check`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcCheck {
    /// Service asked about.
    pub service: String,
    /// Authority; empty for the name of the cluster.
    #[serde(default)]
    pub authority: String,
}

/// An active check; exactly one of `http` and `grpc` is set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheck {
    /// By HTTP.
    pub http: Option<HttpCheck>,
    /// By gRPC.
    pub grpc: Option<GrpcCheck>,
    /// Good answers in a row that make an endpoint healthy.
    pub healthy_threshold: u32,
    /// Bad answers in a row that make it unhealthy.
    pub unhealthy_threshold: u32,
    /// Time between checks.
    pub interval_ms: u64,
    /// Time for one.
    pub timeout_ms: u64,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            http: None,
            grpc: None,
            healthy_threshold: 1,
            unhealthy_threshold: 2,
            interval_ms: 5_000,
            timeout_ms: 3_000,
        }
    }
}

/// Passive checks, by Envoy's names; percentages but for the factor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutlierDetection {
    /// Answers of 500 and above in a row; 0 is off.
    pub consecutive_5xx: u32,
    /// Answers of 502, 503, 504 in a row; 0 is off.
    pub consecutive_gateway_failure: u32,
    /// Attempts without an answer in a row; 0 is off.
    pub consecutive_local_origin_failure: u32,
    /// Time between looks at success rates and ejected endpoints.
    pub interval_ms: u64,
    /// Time of the first ejection.
    pub base_ejection_time_ms: u64,
    /// Longest time of an ejection.
    pub max_ejection_time_ms: u64,
    /// Share of the endpoints that may be ejected.
    pub max_ejection_percent: u32,
    /// One endpoint may be ejected whatever that share gives.
    pub always_eject_one_host: bool,
    /// Attempts without an answer are counted apart.
    pub split_external_local_origin_errors: bool,
    /// Share of trips that eject.
    pub enforcing_consecutive_5xx: u32,
    /// Share of trips that eject.
    pub enforcing_consecutive_gateway_failure: u32,
    /// Share of trips that eject.
    pub enforcing_consecutive_local_origin_failure: u32,
    /// Share of trips that eject.
    pub enforcing_success_rate: u32,
    /// Endpoints with enough requests without which rates are not compared.
    pub success_rate_minimum_hosts: u32,
    /// Requests in an interval that are enough.
    pub success_rate_request_volume: u32,
    /// Thousandths of a standard deviation.
    pub success_rate_stdev_factor: u32,
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 5,
            consecutive_local_origin_failure: 5,
            interval_ms: 10_000,
            base_ejection_time_ms: 30_000,
            max_ejection_time_ms: 300_000,
            max_ejection_percent: 10,
            always_eject_one_host: false,
            split_external_local_origin_errors: false,
            enforcing_consecutive_5xx: 100,
            enforcing_consecutive_gateway_failure: 0,
            enforcing_consecutive_local_origin_failure: 100,
            enforcing_success_rate: 100,
            success_rate_minimum_hosts: 5,
            success_rate_request_volume: 100,
            success_rate_stdev_factor: 1900,
        }
    }
}
