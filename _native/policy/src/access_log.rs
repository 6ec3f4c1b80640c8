//! Access-log lines from Envoy's format strings, as text or JSON: one record, one line, whatever the client sent.

use crate::escape::{self, Style};
use crate::facts::{RequestFacts, Value};
use crate::format::{self, Headers, Operator, Piece};
use std::net::SocketAddr;

/// Emissary's format when `envoy_log_format` is not set (`v3listener`).
pub const DEFAULT_TEXT: &str = "ACCESS [%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \
    \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";

/// Fields of the JSON form when no format is set.
pub const DEFAULT_JSON: [(&str, &str); 17] = [
    ("start_time", "%START_TIME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("host", "%REQ(:AUTHORITY)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration_ms", "%DURATION%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER%"),
    ("route", "%ROUTE_NAME%"),
    ("client", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("config_version", "%CONFIG_VERSION%"),
];

/// One finished request.
#[derive(Clone, Copy)]
pub struct LogRecord<'a> {
    /// The request.
    pub request: RequestFacts<'a>,
    /// Status that was sent, 0 if none was.
    pub status: u16,
    /// Envoy's response flags (`NR`, `UF,URX` …), empty if there are none.
    pub flags: &'a str,
    /// Body bytes from the client.
    pub bytes_received: u64,
    /// Body bytes to the client.
    pub bytes_sent: u64,
    /// From the first byte of the request to the last byte of the answer, in microseconds.
    pub duration_us: u64,
    /// Time until the upstream's head, in milliseconds: `x-envoy-upstream-service-time`.
    pub upstream_service_ms: Option<u64>,
    /// The endpoint that was used.
    pub upstream_host: Option<SocketAddr>,
    /// The cluster that was used.
    pub upstream_cluster: Option<&'a str>,
    /// Name of the route.
    pub route: Option<&'a str>,
    /// Version of the configuration that served the request.
    pub config_version: u64,
    /// Headers of the answer.
    pub response: &'a dyn Headers,
}

/// A compiled format.
#[derive(Debug, Clone)]
pub struct AccessLog {
    form: Form,
    unknown: Vec<Box<str>>,
}

#[derive(Debug, Clone)]
enum Form {
    Text(Vec<Piece>),
    Json(Vec<Member>),
}

/// A member of the JSON object.
#[derive(Debug, Clone)]
struct Member {
    /// `{"name":` or `,"name":`
    opening: Box<[u8]>,
    template: Vec<Piece>,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self::json(DEFAULT_JSON)
    }
}

impl AccessLog {
    /// A text format; empty means [`DEFAULT_TEXT`]. Line breaks inside it become spaces, one at its end is dropped.
    #[must_use]
    pub fn text(format: &str) -> Self {
        let format = if format.is_empty() { DEFAULT_TEXT } else { format.trim_end_matches(['\r', '\n']) };
        let pieces = format::parse(&format.replace(['\r', '\n'], " "));
        Self { unknown: unknown(&pieces).collect(), form: Form::Text(pieces) }
    }

    /// A JSON object whose members are templates, in this order. A member that is one operator keeps its type: numbers
    /// are written as numbers and absent values as `null` (Envoy's `typed_json`). No flags are `-` in both forms, as
    /// in Envoy, because a response always has its flags.
    #[must_use]
    pub fn json<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> Self {
        let mut members = Vec::new();
        for (name, template) in fields {
            let mut opening = vec![if members.is_empty() { b'{' } else { b',' }, b'"'];
            escape::json(&mut opening, name.as_bytes());
            opening.extend_from_slice(b"\":");
            members.push(Member { opening: opening.into(), template: format::parse(template) });
        }
        let unknown = members.iter().flat_map(|member| unknown(&member.template)).collect();
        Self { unknown, form: Form::Json(members) }
    }

    /// Operators of the format that are not known and always write `-`, for a diagnostic.
    #[must_use]
    pub fn unknown(&self) -> &[Box<str>] {
        &self.unknown
    }

    /// Append the line of a record, with its line break.
    pub fn write(&self, record: &LogRecord<'_>, out: &mut Vec<u8>) {
        match &self.form {
            Form::Text(pieces) => record.template(pieces, out, Style::Text),
            Form::Json(members) => {
                if members.is_empty() {
                    out.push(b'{');
                }
                for member in members {
                    out.extend_from_slice(&member.opening);
                    record.member(&member.template, out);
                }
                out.push(b'}');
            }
        }
        out.push(b'\n');
    }
}

fn unknown(pieces: &[Piece]) -> impl Iterator<Item = Box<str>> + '_ {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Unknown(written) => Some(written.clone()),
        _ => None,
    })
}

impl<'a> LogRecord<'a> {
    fn value(&self, operator: &'a Operator) -> Value<'a> {
        if let Some(value) = self.request.value(operator) {
            return value;
        }
        let text = |text: Option<&'a str>| Value::bytes(text.filter(|text| !text.is_empty()).map(str::as_bytes));
        match operator {
            Operator::Response(first, second) => match self.response_field(first) {
                Value::Missing => second.as_ref().map_or(Value::Missing, |name| self.response_field(name)),
                found => found,
            },
            Operator::ResponseCode => Value::Number(self.status.into()),
            Operator::ResponseFlags => text(Some(if self.flags.is_empty() { "-" } else { self.flags })),
            Operator::BytesReceived => Value::Number(self.bytes_received),
            Operator::BytesSent => Value::Number(self.bytes_sent),
            Operator::Duration => Value::Number(self.duration_us / 1000),
            Operator::UpstreamHost => self.upstream_host.map_or(Value::Missing, Value::Socket),
            Operator::UpstreamCluster => text(self.upstream_cluster),
            Operator::RouteName => text(self.route),
            Operator::ConfigVersion => Value::Number(self.config_version),
            _ => Value::Missing,
        }
    }

    fn response_field(&self, name: &'a [u8]) -> Value<'a> {
        // The gateway measures this itself, so it is known even when the header is suppressed.
        match self.upstream_service_ms {
            Some(ms) if name == b"x-envoy-upstream-service-time" => Value::Number(ms),
            _ => Value::bytes(self.response.get(name)),
        }
    }

    fn template(&self, pieces: &'a [Piece], out: &mut Vec<u8>, style: Style) {
        for piece in pieces {
            self.piece(piece, out, style);
        }
    }

    /// Append what a piece of a template stands for, `-` if that is nothing.
    pub fn piece(&self, piece: &'a Piece, out: &mut Vec<u8>, style: Style) {
        let written = match piece {
            Piece::Literal(text) => {
                style.literal(out, text);
                true
            }
            Piece::Operator(operator, max, _) => self.value(operator).write(out, bound(*max), style),
            Piece::Unknown(_) => false,
        };
        if !written {
            out.push(b'-');
        }
    }

    /// Append the JSON value that a template stands for: a lone operator keeps its type, everything else is a string.
    pub fn member(&self, template: &'a [Piece], out: &mut Vec<u8>) {
        let value = match template {
            [Piece::Operator(operator, ..)] => Some(self.value(operator)),
            [Piece::Unknown(_)] => Some(Value::Missing),
            _ => None,
        };
        match (value, template) {
            (Some(Value::Missing), _) => out.extend_from_slice(b"null"),
            (Some(value @ Value::Number(_)), _) => drop(value.write(out, 0, Style::Json)),
            (Some(value), [Piece::Operator(_, max, _)]) => {
                out.push(b'"');
                value.write(out, bound(*max), Style::Json);
                out.push(b'"');
            }
            _ => {
                out.push(b'"');
                self.template(template, out, Style::Json);
                out.push(b'"');
            }
        }
    }
}

fn bound(max: Option<usize>) -> usize {
    max.map_or(escape::MAX_VALUE, |max| max.min(escape::MAX_VALUE))
}
