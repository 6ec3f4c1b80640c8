mod balance;
mod breaker;
mod hashing;
mod health;
mod outlier;
mod retry;
mod swap;
mod zone;

use sluice_policy::upstream::{Balancer, Endpoint, Policy, Settings};
use std::net::SocketAddr;

pub(crate) const SECOND: u64 = 1_000_000_000;

/// The address of the endpoint that is called by this number.
pub(crate) fn address(number: u32) -> SocketAddr {
    let [_, b, c, d] = number.to_be_bytes();
    SocketAddr::from(([10, b, c, d], 8080))
}

pub(crate) fn endpoint(number: u32, weight: u32) -> Endpoint {
    Endpoint { address: address(number), weight, zone: None }
}

/// Endpoints 0, 1, … with these weights.
pub(crate) fn endpoints(weights: &[u32]) -> Vec<Endpoint> {
    (0..).zip(weights).map(|(number, &weight)| endpoint(number, weight)).collect()
}

pub(crate) fn balancer(policy: Policy, weights: &[u32]) -> Balancer {
    Balancer::new(endpoints(weights), Settings { policy, ..Settings::default() })
}

pub(crate) fn nobody(_: usize) -> bool {
    false
}
