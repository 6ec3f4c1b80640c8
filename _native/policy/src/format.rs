//! Envoy's command operators (`%REQ(X-A?:PATH):10%`), parsed once into pieces.
//!
//! Source: Envoy, "Access logging: command operators". An operator that is not known here is kept as [`Piece::Unknown`],
//! so that its user decides: headers keep the text, logs write `-`.

/// Header fields of a message. Names are lower case; of several fields with one name the first counts.
pub trait Headers {
    /// Value of the field `name`.
    fn get(&self, name: &[u8]) -> Option<&[u8]>;
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Headers for [(N, V)] {
    fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(key, _)| key.as_ref().eq_ignore_ascii_case(name)).map(|(_, value)| value.as_ref())
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>, const LEN: usize> Headers for [(N, V); LEN] {
    fn get(&self, name: &[u8]) -> Option<&[u8]> {
        Headers::get(self.as_slice(), name)
    }
}

impl<H: Headers + ?Sized> Headers for &H {
    fn get(&self, name: &[u8]) -> Option<&[u8]> {
        (**self).get(name)
    }
}

/// No headers at all.
impl Headers for () {
    fn get(&self, _: &[u8]) -> Option<&[u8]> {
        None
    }
}

/// What `%REQ(…)%` reads. Fields that the gateway itself decides are not looked up among what the client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestField {
    /// `:METHOD`
    Method,
    /// `:PATH`: path and query as they go upstream.
    Path,
    /// `:AUTHORITY` or `HOST`
    Authority,
    /// `:SCHEME` or `X-FORWARDED-PROTO`
    Scheme,
    /// `X-ENVOY-ORIGINAL-PATH`: the path before a rewrite.
    OriginalPath,
    /// `X-REQUEST-ID`
    RequestId,
    /// `X-FORWARDED-FOR` as it goes upstream.
    ForwardedFor,
    /// Any other field, in lower case.
    Header(Box<[u8]>),
}

/// One operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// `%REQ(X?Y)%`: the first of the fields that the request has.
    Request(RequestField, Option<RequestField>),
    /// `%RESP(X?Y)%`, in lower case.
    Response(Box<[u8]>, Option<Box<[u8]>>),
    /// `%START_TIME%`, with its format.
    StartTime(Option<Box<str>>),
    /// `%PROTOCOL%`
    Protocol,
    /// `%RESPONSE_CODE%`
    ResponseCode,
    /// `%RESPONSE_FLAGS%`
    ResponseFlags,
    /// `%BYTES_RECEIVED%`
    BytesReceived,
    /// `%BYTES_SENT%`
    BytesSent,
    /// `%DURATION%` in milliseconds.
    Duration,
    /// `%UPSTREAM_HOST%` with its port.
    UpstreamHost,
    /// `%UPSTREAM_CLUSTER%`
    UpstreamCluster,
    /// `%ROUTE_NAME%`
    RouteName,
    /// `%DOWNSTREAM_REMOTE_ADDRESS%` with its port.
    RemoteAddress,
    /// `%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%`
    RemoteAddressWithoutPort,
    /// `%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%`: the peer of the connection.
    DirectAddressWithoutPort,
    /// `%CONFIG_VERSION%`: not Envoy's; the version of the configuration that served the request.
    ConfigVersion,
}

/// A part of a parsed format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it stands.
    Literal(Box<str>),
    /// An operator, its greatest length in bytes, and how it was written.
    Operator(Operator, Option<usize>, Box<str>),
    /// Something in the form of an operator that is not known.
    Unknown(Box<str>),
}

/// Take a format apart. `%%` is a percent sign; a percent sign that starts no operator stands for itself.
#[must_use]
pub fn parse(format: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = format;
    while let Some(start) = rest.find('%') {
        literal.push_str(&rest[..start]);
        let command = &rest[start..];
        if let Some(after) = command.strip_prefix("%%") {
            literal.push('%');
            rest = after;
        } else if let Some((piece, length)) = operator(command) {
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
            }
            pieces.push(piece);
            rest = &command[length..];
        } else {
            literal.push('%');
            rest = &command[1..];
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    pieces
}

/// Read `%NAME(ARGUMENTS):LENGTH%` at the start of `text`: the piece and its length in the text.
fn operator(text: &str) -> Option<(Piece, usize)> {
    let body = &text[1..];
    let name_end = body.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))?;
    let (name, mut rest) = body.split_at(name_end);
    if name.is_empty() {
        return None;
    }
    let mut arguments = None;
    if let Some(inside) = rest.strip_prefix('(') {
        let (inside, after) = inside.split_once(')')?;
        arguments = Some(inside);
        rest = after;
    }
    let mut length = None;
    if let Some(after) = rest.strip_prefix(':') {
        let end = after.find('%')?;
        length = Some(after[..end].parse::<usize>().ok()?);
        rest = &after[end..];
    }
    let rest = rest.strip_prefix('%')?;
    let used = text.len() - rest.len();
    let written: Box<str> = text[..used].into();
    let piece = match known(name, arguments) {
        Some(operator) => Piece::Operator(operator, length, written),
        None => Piece::Unknown(written),
    };
    Some((piece, used))
}

fn known(name: &str, arguments: Option<&str>) -> Option<Operator> {
    let operator = match (name, arguments) {
        ("REQ", Some(fields)) => {
            let (first, second) = alternatives(fields)?;
            let second = match second {
                Some(name) => Some(request_field(name)?),
                None => None,
            };
            return Some(Operator::Request(request_field(first)?, second));
        }
        ("RESP", Some(fields)) => {
            let (first, second) = alternatives(fields)?;
            let second = match second {
                Some(name) => Some(header(name)?),
                None => None,
            };
            return Some(Operator::Response(header(first)?, second));
        }
        ("START_TIME", format) => return Some(Operator::StartTime(format.filter(|f| !f.is_empty()).map(Box::from))),
        ("PROTOCOL", None) => Operator::Protocol,
        ("RESPONSE_CODE", None) => Operator::ResponseCode,
        ("RESPONSE_FLAGS", None) => Operator::ResponseFlags,
        ("BYTES_RECEIVED", None) => Operator::BytesReceived,
        ("BYTES_SENT", None) => Operator::BytesSent,
        ("DURATION", None) => Operator::Duration,
        ("UPSTREAM_HOST", None) => Operator::UpstreamHost,
        ("UPSTREAM_CLUSTER", None) => Operator::UpstreamCluster,
        ("ROUTE_NAME", None) => Operator::RouteName,
        ("DOWNSTREAM_REMOTE_ADDRESS", None) => Operator::RemoteAddress,
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", None) => Operator::RemoteAddressWithoutPort,
        ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", None) => Operator::DirectAddressWithoutPort,
        ("CONFIG_VERSION", None) => Operator::ConfigVersion,
        _ => return None,
    };
    Some(operator)
}

/// `X?Y`; Envoy allows one alternative.
fn alternatives(fields: &str) -> Option<(&str, Option<&str>)> {
    match fields.split_once('?') {
        None => Some((fields, None)),
        Some((first, second)) if !second.contains('?') => Some((first, Some(second))),
        Some(_) => None,
    }
}

fn header(name: &str) -> Option<Box<[u8]>> {
    crate::token::is_token(name.as_bytes()).then(|| name.to_ascii_lowercase().into_bytes().into())
}

fn request_field(name: &str) -> Option<RequestField> {
    Some(match name.to_ascii_lowercase().as_str() {
        ":method" => RequestField::Method,
        ":path" => RequestField::Path,
        ":authority" | "host" => RequestField::Authority,
        ":scheme" | "x-forwarded-proto" => RequestField::Scheme,
        "x-envoy-original-path" => RequestField::OriginalPath,
        "x-request-id" => RequestField::RequestId,
        "x-forwarded-for" => RequestField::ForwardedFor,
        other => RequestField::Header(header(other)?),
    })
}
