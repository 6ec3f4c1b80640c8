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
    NoRoute(&'c Arc<VirtualHost>),
    /// Cleartext goes to `https`: 301.
    InsecureRedirect(&'c Arc<VirtualHost>),
    /// Cleartext is refused.
    InsecureReject(&'c Arc<VirtualHost>),
    /// The route matches but cannot be obeyed: 500.
    Broken {
        /// The virtual host of the route.
        virtual_host: &'c Arc<VirtualHost>,
        /// The route.
        route: &'c Arc<Route>,
        /// What is wrong with it; for logs, not for clients.
        reason: &'c str,
    },
    /// The route takes the request.
    Matched(Matched<'c>),
}

/// A route that takes a request.
#[derive(Clone, Copy, Debug)]
pub struct Matched<'c> {
    /// The virtual host of the route.
    pub virtual_host: &'c Arc<VirtualHost>,
    /// The route.
    pub route: &'c Arc<Route>,
    /// Its position in the virtual host.
    pub route_index: usize,
    /// The choice.
    pub choice: &'c Choice,
    /// Its position in the route.
    pub choice_index: usize,
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
        InsecureAction::Redirect | InsecureAction::Reject => Some(Selection::InsecureReject(virtual_host)),
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
        match choose(route, roll) {
            Pick::Choice(choice_index, choice) => {
                return Selection::Matched(Matched { virtual_host, route, route_index, choice, choice_index });
            }
            Pick::Broken(reason) => return Selection::Broken { virtual_host, route, reason },
            Pick::Remainder => from = route_index + 1,
        }
    }
    refused.unwrap_or(Selection::NoRoute(virtual_host))
}

enum Pick<'c> {
    Choice(usize, &'c Choice),
    Broken(&'c str),
    Remainder,
}

fn choose<'c>(route: &'c Route, roll: &mut dyn FnMut() -> f64) -> Pick<'c> {
    let whole = route.share >= 100.0 - EPSILON;
    let rolled = if whole && (route.choices.len() <= 1 || route.broken.is_some()) { 0.0 } else { roll() };
    if !whole && rolled >= route.share {
        return Pick::Remainder;
    }
    if let Some(reason) = &route.broken {
        return Pick::Broken(reason);
    }
    let index = route.choices.partition_point(|choice| choice.cumulative <= rolled);
    // A roll in the rounding error at the very end belongs to the last choice.
    let index = index.min(route.choices.len().saturating_sub(1));
    route.choices.get(index).map_or(Pick::Remainder, |choice| Pick::Choice(index, choice))
}
