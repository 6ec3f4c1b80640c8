//! Which endpoint of a cluster gets a request, and what happens when endpoints fail.
//!
//! The model is Envoy, whose documents are named where a rule comes from. A [`Balancer`] is compiled and immutable; what
//! a worker learns about endpoints lives in a [`State`] beside it. Limits that hold across workers are words of shared
//! memory ([`Breakers`]). Everything else is a small state machine that is told the time.

pub mod backoff;
pub mod balance;
pub mod breaker;
mod breaker_limits;
mod breaker_words;
pub mod budget;
mod choices;
pub mod endpoint;
mod ewma;
pub mod hash;
pub mod health;
mod maglev;
pub mod outlier;
mod panic;
pub mod retry;
mod ring;
mod slow_start;
mod smooth;
pub mod state;
mod success_rate;
mod tiers;
mod turn;
pub mod zone;

pub use backoff::Backoff;
pub use balance::{Balancer, Policy, Settings};
pub use breaker::{BreakerLayout, BreakerLimits, BreakerWorker, Breakers, Priority, Resource};
pub use budget::RetryBudget;
pub use endpoint::{Endpoint, Live};
pub use health::{CheckOutcome, Checker, Due, Health, HealthConfig};
pub use outlier::{Cause, Observation, OutlierConfig, Outliers, Sweep};
pub use retry::{Attempt, Outcome, RetryDecision, RetryOn, RetryPolicy, RetryReason, StopReason};
pub use state::State;
pub use success_rate::SuccessRate;
pub use zone::Locality;
