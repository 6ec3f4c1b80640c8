//! Which virtual host, route and choice take a request: the one decision that traffic and `sluice explain` share.

use std::sync::Arc;

use sluice_route::Request;

use crate::host::VirtualHost;
use crate::listener::Listener;
use crate::model::InsecureAction;
use crate::route::{Choice, Route};

/// Shares are sums of floats; this much missing from 100 is not a remainder.
const EPSILON: f64 = 1e-6;

/// What is to be done with a request.
#[derive(Clone, Copy, Debug)]
pub enum Selection<'c> {
    /// No virtual host takes the name: 404.
    NoHost,
    /// No route matches: 404.
    NoRoute,
    /// Cleartext goes to `https`: 301.
    InsecureRedirect(&'c Arc<VirtualHost>),
    /// Cleartext is refused.
    InsecureReject,
    /// The route takes the request. If it is broken, the answer is 500.
    Matched {
        /// The virtual host of the route.
        host: &'c Arc<VirtualHost>,
        /// The route.
        route: &'c Route,
        /// What of the route is to be done.
        choice: &'c Choice,
    },
}

/// Decides. `roll` gives a fresh number from 0 (included) to 100 (excluded); it is asked at most once per route, and not
/// at all where there is nothing to choose.
pub fn select<'c>(
    listener: &'c Listener,
    request: &Request<'_>,
    secure: bool,
    roll: &mut dyn FnMut() -> f64,
) -> Selection<'c> {
    let Some(virtual_host) = listener.virtual_host(request.host) else { return Selection::NoHost };
    let refused = match virtual_host.insecure_action {
        _ if secure => None,
        InsecureAction::Route => None,
        // Without a name there is nothing to redirect to.
        InsecureAction::Redirect if !request.host.is_empty() => Some(Selection::InsecureRedirect(virtual_host)),
        InsecureAction::Redirect | InsecureAction::Reject => Some(Selection::InsecureReject),
    };
    if let Some(refused) = refused
        && !virtual_host.has_exempt
    {
        return refused;
    }
    let mut from = 0;
    while let Some(route_index) = virtual_host.table.find(request, from) {
        let Some(route) = virtual_host.routes.get(route_index) else { break };
        if let Some(refused) = refused
            && !route.insecure_exempt
        {
            return refused;
        }
        if let Some(choice) = choose(route, roll) {
            return Selection::Matched { host: virtual_host, route, choice };
        }
        from = route_index + 1;
    }
    refused.unwrap_or(Selection::NoRoute)
}

/// The choice of a roll; `None` if the roll falls into the remainder.
fn choose<'c>(route: &'c Route, roll: &mut dyn FnMut() -> f64) -> Option<&'c Choice> {
    let (last, others) = route.choices.split_last()?;
    let whole = last.cumulative >= 100.0 - EPSILON;
    if whole && others.is_empty() {
        return Some(last);
    }
    let rolled = roll();
    let found = route.choices.get(route.choices.partition_point(|choice| choice.cumulative <= rolled));
    // A roll in the rounding error at the very end belongs to the last choice.
    found.or(whole.then_some(last))
}
