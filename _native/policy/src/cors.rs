//! Cross-origin resource sharing at the gateway (WHATWG Fetch section 3.3; behaviour of Envoy's `cors` filter).
//!
//! A preflight is an OPTIONS request with Origin and Access-Control-Request-Method. It is answered here when its origin
//! is allowed and passed on otherwise. Two deviations from Envoy keep a policy of `*` harmless: an origin that only `*`
//! allows is answered with `*` and never with credentials, and the opaque origin `null` must be listed by name.

pub use crate::origin::OriginRule;
use thiserror::Error;

/// Response headers that the gateway owns on a route with a policy: values of the upstream are replaced.
pub const RESPONSE_HEADERS: [&str; 6] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
    "access-control-expose-headers",
];

/// Why a policy cannot be compiled.
#[derive(Debug, Error)]
pub enum CorsError {
    /// A pattern is wrong or too large.
    #[error("the origin pattern cannot be used: {0}")]
    Regex(#[from] Box<regex::Error>),
    /// More than one `*`.
    #[error("the origin {0:?} has more than one *")]
    Glob(String),
    /// A list member or the age cannot be sent as a header.
    #[error("{0:?} cannot be part of a CORS header")]
    Value(String),
}

/// A compiled policy.
#[derive(Debug, Clone)]
pub struct Cors {
    origins: Vec<OriginRule>,
    methods: Box<str>,
    headers: Box<str>,
    exposed: Box<str>,
    credentials: bool,
    max_age: Box<str>,
    /// The answer depends on the origin, so caches must know.
    varies: bool,
}

/// What to do with a request on a route with a policy.
#[derive(Debug, Clone, Copy)]
pub enum CorsDecision<'a> {
    /// Not a cross-origin request, or its origin is not allowed: forward it and leave the answer alone.
    Pass,
    /// Answer 200 without a body, with [`Grant::preflight`].
    Preflight(Grant<'a>),
    /// Forward the request, replace [`RESPONSE_HEADERS`] of the answer by [`Grant::actual`].
    Actual(Grant<'a>),
}

/// What an allowed origin gets.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    cors: &'a Cors,
    origin: &'a str,
    credentials: bool,
    request_method: &'a [u8],
    request_headers: &'a [u8],
}

impl Cors {
    /// Compile a policy. Lists of methods, headers and exposed headers may be `*`; `max_age` is in seconds.
    pub fn new<'e>(
        origins: Vec<OriginRule>,
        methods: impl IntoIterator<Item = &'e str>,
        headers: impl IntoIterator<Item = &'e str>,
        exposed: impl IntoIterator<Item = &'e str>,
        credentials: bool,
        max_age: Option<&str>,
    ) -> Result<Self, CorsError> {
        let max_age = max_age.unwrap_or_default().trim();
        if !max_age.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            return Err(CorsError::Value(max_age.to_owned()));
        }
        let varies = origins.iter().any(|rule| !matches!(rule, OriginRule::Any));
        Ok(Self {
            origins,
            methods: list(methods)?,
            headers: list(headers)?,
            exposed: list(exposed)?,
            credentials,
            max_age: max_age.into(),
            varies,
        })
    }

    /// Judge a request by its method and the values of Origin, Access-Control-Request-Method and
    /// Access-Control-Request-Headers.
    #[must_use]
    pub fn decide<'a>(
        &'a self,
        method: &[u8],
        origin: Option<&'a [u8]>,
        request_method: Option<&'a [u8]>,
        request_headers: Option<&'a [u8]>,
    ) -> CorsDecision<'a> {
        let Some(origin) = origin.and_then(|origin| std::str::from_utf8(origin).ok()).filter(|text| !text.is_empty())
        else {
            return CorsDecision::Pass;
        };
        let mut wildcard = false;
        let named = self.origins.iter().any(|rule| match rule {
            OriginRule::Any => {
                wildcard |= rule.allows(origin);
                false
            }
            _ => rule.allows(origin),
        });
        if !named && !wildcard {
            return CorsDecision::Pass;
        }
        let request_method = request_method.unwrap_or_default();
        let grant = Grant {
            cors: self,
            origin: if named { origin } else { "*" },
            credentials: named && self.credentials,
            request_method,
            request_headers: request_headers.unwrap_or_default(),
        };
        if method == b"OPTIONS" && !request_method.is_empty() {
            CorsDecision::Preflight(grant)
        } else {
            CorsDecision::Actual(grant)
        }
    }

    /// Whether `Vary: Origin` belongs on every answer of the route, granted or not.
    #[must_use]
    pub fn varies(&self) -> bool {
        self.varies
    }
}

impl Grant<'_> {
    /// Give the headers of the answer to a preflight to `write`. A list of `*` names what was asked for, as Envoy does.
    pub fn preflight(&self, mut write: impl FnMut(&'static str, &[u8])) {
        self.common(&mut write);
        let lists = [
            ("access-control-allow-methods", &self.cors.methods, self.request_method),
            ("access-control-allow-headers", &self.cors.headers, self.request_headers),
        ];
        for (name, list, asked) in lists {
            let value = if **list == *"*" { asked } else { list.as_bytes() };
            if !value.is_empty() && crate::token::is_field_value(value) {
                write(name, value);
            }
        }
        if !self.cors.max_age.is_empty() {
            write("access-control-max-age", self.cors.max_age.as_bytes());
        }
    }

    /// Give the headers to set on the answer of the upstream to `write`; `vary` is to be added, not replaced.
    pub fn actual(&self, mut write: impl FnMut(&'static str, &[u8])) {
        self.common(&mut write);
        if !self.cors.exposed.is_empty() {
            write("access-control-expose-headers", self.cors.exposed.as_bytes());
        }
    }

    fn common(&self, write: &mut impl FnMut(&'static str, &[u8])) {
        write("access-control-allow-origin", self.origin.as_bytes());
        if self.credentials {
            write("access-control-allow-credentials", b"true");
        }
        if self.cors.varies {
            write("vary", b"Origin");
        }
    }
}

/// Join a list as Emissary does; every member must be a token.
fn list<'e>(members: impl IntoIterator<Item = &'e str>) -> Result<Box<str>, CorsError> {
    let mut joined = String::new();
    // Emissary users write lists as one string too: "GET, POST".
    let members = members.into_iter().flat_map(|entry| entry.split(',')).map(str::trim).filter(|name| !name.is_empty());
    for member in members {
        if !crate::token::is_token(member.as_bytes()) {
            return Err(CorsError::Value(member.to_owned()));
        }
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(member);
    }
    Ok(joined.into())
}
