//! Connections that are forwarded byte by byte.

use std::sync::Arc;
use std::time::Duration;

use sluice_route::DomainMap;

use crate::error::Findings;
use crate::model::{self, Origin, ProxyVersion};
use crate::store::Certificates;
use crate::tls::ListenerTls;

/// Silence that Envoy's TCP proxy allows.
const IDLE: Duration = Duration::from_secs(3600);

/// One member of a TCP route.
#[derive(Debug)]
pub struct TcpChoice {
    /// Own share in percent.
    pub weight: f64,
    /// For `Compiled::cluster_named`.
    pub cluster: Arc<str>,
    /// Where it was declared.
    pub origin: Origin,
}

/// Where some connections of a listener go.
#[derive(Debug)]
pub struct TcpRoute {
    /// Unique in its listener.
    pub name: Arc<str>,
    /// Where it was declared.
    pub origin: Origin,
    /// Empty for a route that cannot work: it keeps its server names from everybody else, and its connections are
    /// closed. Otherwise the weights of all are above zero together.
    pub choices: Box<[TcpChoice]>,
    /// Longest silence in both directions; `None` is off.
    pub idle_timeout: Option<Duration>,
    /// TLS ends here, with [`TcpRoutes::tls`]; otherwise its bytes are forwarded as they are.
    pub terminate: bool,
    /// Header in front of each connection to an endpoint.
    pub proxy_protocol: Option<ProxyVersion>,
}

impl TcpRoute {
    /// The member that takes a connection; `None` if none does. `roll` is a fresh number from 0 (included) to 1 (excluded); shares that do
    /// not sum up to 100 count in proportion.
    pub fn choose(&self, roll: f64) -> Option<&TcpChoice> {
        choose(&self.choices, roll)
    }
}

/// See [`TcpRoute::choose`].
pub(crate) fn choose(choices: &[TcpChoice], roll: f64) -> Option<&TcpChoice> {
    let mut left = roll * choices.iter().map(|choice| choice.weight).sum::<f64>();
    let found = choices.iter().find(|choice| {
        left -= choice.weight;
        left < 0.0
    });
    // Rounding may leave a rest of the last share.
    found.or_else(|| choices.iter().rev().find(|choice| choice.weight > 0.0))
}

/// The TCP routes of a listener.
#[derive(Debug, Default)]
pub struct TcpRoutes {
    /// TLS of the routes that end it.
    pub tls: Option<Arc<ListenerTls>>,
    routes: Box<[TcpRoute]>,
    names: DomainMap<usize>,
    other: Option<usize>,
    findings: Findings,
}

impl TcpRoutes {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Whether some route asks for a server name, so that the hello has to be read first.
    pub fn has_names(&self) -> bool {
        self.routes.iter().enumerate().any(|(at, _)| self.other != Some(at))
    }

    /// The route for the server name of a TLS hello, in any case. It goes before the listener's own TLS.
    pub fn named(&self, server_name: &str) -> Option<&TcpRoute> {
        self.routes.get(*self.names.get(server_name.to_ascii_lowercase().as_bytes())?)
    }

    /// The route for everything that neither [`TcpRoutes::named`] nor the TLS of the listener takes.
    pub fn other(&self) -> Option<&TcpRoute> {
        self.routes.get(self.other?)
    }

    /// All routes.
    pub fn iter(&self) -> impl Iterator<Item = &TcpRoute> {
        self.routes.iter()
    }

    pub(crate) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Compiles. A route that cannot work is reported and keeps its names: whoever else would take its connections was
    /// not meant to see them.
    pub(crate) fn compile(model: &model::Listener, certificates: &Certificates) -> Self {
        let mut findings = Findings::default();
        let mut routes = Vec::with_capacity(model.tcp_routes.len());
        let mut names: Vec<(&str, usize, usize)> = Vec::new();
        let mut other = None;
        for (n, route) in model.tcp_routes.iter().enumerate() {
            let choices = usable(route).unwrap_or_else(|(field, message)| {
                findings.add(format!("tcp_routes[{n}].{field}"), message);
                Box::default()
            });
            names.extend(route.server_names.iter().map(|name| (name.as_str(), n, routes.len())));
            if route.server_names.is_empty() {
                // As with names, the first one has it.
                if other.is_some() {
                    findings.add(format!("tcp_routes[{n}].server_names"), "another route takes every name, too");
                }
                other = other.or(Some(routes.len()));
            }
            routes.push(compile(route, choices));
        }
        let (map, errors) = DomainMap::compile(names.iter().map(|(name, _, at)| (*name, *at)));
        for (index, error) in errors {
            let n = names.get(index).map_or(0, |(_, n, _)| *n);
            findings.add(format!("tcp_routes[{n}].server_names"), error.to_string());
        }
        let ending = |name: &String| {
            let mut ends = model.tcp_routes.iter().filter(|route| route.terminate);
            ends.any(|route| route.server_names.contains(name))
        };
        let used = model.terminations.iter().filter(|item| item.server_names.iter().any(ending));
        let used: Vec<_> = used.cloned().collect();
        let mut tls_findings = Findings::default();
        let tls = (!used.is_empty()).then(|| ListenerTls::compile(&used, certificates, &mut tls_findings)).flatten();
        // A listener that ends TLS itself reports the same terminations.
        if !model.tls {
            findings.0.extend(tls_findings.0);
        }
        Self { tls: tls.map(Arc::new), routes: routes.into_boxed_slice(), names: map, other, findings }
    }
}

/// Members of a route, or what is wrong with them.
pub(crate) fn members(choices: &[model::TcpChoice]) -> Result<Box<[TcpChoice]>, String> {
    if let Some(choice) = choices.iter().find(|choice| !(0.0..=100.0).contains(&choice.weight)) {
        return Err(format!("weight {} is not between 0 and 100", choice.weight));
    }
    if !choices.iter().any(|choice| choice.weight > 0.0) {
        return Err("a route needs a choice with a weight above zero".to_owned());
    }
    let choice = |choice: &model::TcpChoice| TcpChoice {
        weight: choice.weight,
        cluster: Arc::from(choice.cluster.as_str()),
        origin: choice.origin.clone(),
    };
    Ok(choices.iter().map(choice).collect())
}

/// Members of a TCP route, or the field that is wrong and why. None is what the translation says of a route that it has
/// reported itself.
fn usable(route: &model::TcpRoute) -> Result<Box<[TcpChoice]>, (&'static str, String)> {
    if route.terminate && route.server_names.is_empty() {
        return Err(("terminate", "TLS can only be ended for server names".to_owned()));
    }
    if route.choices.is_empty() { Ok(Box::default()) } else { members(&route.choices).map_err(|it| ("choices", it)) }
}

fn compile(route: &model::TcpRoute, choices: Box<[TcpChoice]>) -> TcpRoute {
    TcpRoute {
        name: Arc::from(route.name.as_str()),
        origin: route.origin.clone(),
        // For a connection that goes nowhere there is nothing to decrypt.
        terminate: route.terminate && !choices.is_empty(),
        choices,
        idle_timeout: match route.idle_timeout_ms {
            None => Some(IDLE),
            Some(0) => None,
            Some(ms) => Some(Duration::from_millis(ms)),
        },
        proxy_protocol: route.proxy_protocol,
    }
}
