//! A compiled virtual host.

use std::mem;
use std::sync::Arc;

use sluice_route::RouteTable;

use crate::error::Findings;
use crate::ids::{ClusterId, Ids};
use crate::matching;
use crate::model::{self, InsecureAction, Origin};
use crate::reaper;
use crate::route::Route;

/// Routes from which on a virtual host is large; see [`reaper`].
const LARGE: usize = 256;

/// Routes for a set of domains.
#[derive(Debug)]
pub struct VirtualHost {
    /// Unique.
    pub name: Arc<str>,
    /// Where it was declared.
    pub origin: Origin,
    /// As declared: `*`, `name`, `*.suffix`, `prefix.*`.
    pub domains: Box<[String]>,
    /// What is done with cleartext.
    pub insecure_action: InsecureAction,
    /// Port of the `https` redirect; `None` for the default port.
    pub redirect_port: Option<u16>,
    /// Gives indices into `routes`.
    pub table: RouteTable,
    /// In rank order.
    pub routes: Box<[Route]>,
    /// Some route is served over cleartext in any case; otherwise the table need not be asked for an insecure request.
    pub has_exempt: bool,
    /// Row in shared memory.
    pub slot: u32,
}

impl VirtualHost {
    /// Compiles a virtual host on its own, for matching without a gateway around it.
    ///
    /// # Errors
    /// What is wrong with it, all findings in one text.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        let model: model::VirtualHost = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut findings = Findings::default();
        let host = Self::compile(model, 0, &mut Ids::default(), &mut findings);
        if findings.0.is_empty() {
            return Ok(host);
        }
        let texts: Vec<_> = findings.0.iter().map(|(path, message)| format!("{path}: {message}")).collect();
        Err(texts.join("; "))
    }

    pub(crate) fn compile(mut host: model::VirtualHost, slot: u32, ids: &mut Ids, findings: &mut Findings) -> Self {
        if host.routes.len() >= LARGE {
            reaper::start();
        }
        let mut matchers = Vec::with_capacity(host.routes.len());
        let mut routes = Vec::with_capacity(host.routes.len());
        for (index, route) in host.routes.drain(..).enumerate() {
            matchers.push(matching::route(route.matcher.clone()));
            routes.push(Route::compile(index, route, ids, findings));
        }
        let (table, errors) = RouteTable::compile(&matchers);
        for error in errors {
            findings.add(format!("routes[{}].match.{}", error.index, error.field), error.message);
        }
        Self {
            name: Arc::from(host.name),
            origin: host.origin,
            domains: host.domains.into_boxed_slice(),
            insecure_action: host.insecure_action,
            redirect_port: host.redirect_port,
            table,
            has_exempt: routes.iter().any(|route| route.insecure_exempt),
            routes: routes.into_boxed_slice(),
            slot,
        }
    }

    /// Numbers of all clusters the routes refer to.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = ClusterId> {
        self.routes.iter().flat_map(Route::clusters)
    }
}

impl Drop for VirtualHost {
    fn drop(&mut self) {
        if self.routes.len() >= LARGE {
            reaper::free((mem::take(&mut self.routes), mem::take(&mut self.table)));
        }
    }
}
