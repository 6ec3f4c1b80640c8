//! Bodies of error answers from templates.

use sluice_policy::format::{Piece, parse};

use crate::error::Findings;
use crate::format;
use crate::model::{self, BodyFormat};

/// `%LOCAL_REPLY_BODY%`: the body that is replaced. The parser of templates does not know it.
pub const ORIGINAL_BODY: &str = "%LOCAL_REPLY_BODY%";

/// A body as it is to be written.
#[derive(Clone, Debug)]
pub enum ErrorBody {
    /// Pieces one after the other.
    Text(Vec<Piece>),
    /// An object of such members, in this order.
    Json(Vec<(Box<str>, Vec<Piece>)>),
}

/// Replaces the body of answers with one status.
#[derive(Clone, Debug)]
pub struct ErrorOverride {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Box<[u8]>,
    /// The new body.
    pub body: ErrorBody,
}

/// Overrides by status.
#[derive(Clone, Debug, Default)]
pub struct ErrorOverrides(Box<[ErrorOverride]>);

impl ErrorOverrides {
    /// The override for a status.
    pub fn get(&self, status: u16) -> Option<&ErrorOverride> {
        let at = self.0.binary_search_by_key(&status, |item| item.status).ok()?;
        self.0.get(at)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compiles; an override that cannot be used is reported under `at` and left out. The first of a status counts.
    pub(crate) fn compile(overrides: &[model::ErrorOverride], at: &str, findings: &mut Findings) -> Self {
        let mut built: Vec<ErrorOverride> = Vec::with_capacity(overrides.len());
        for (n, item) in overrides.iter().enumerate() {
            let at = format!("{at}[{n}]");
            if built.iter().any(|other| other.status == item.status) {
                findings.add(format!("{at}.status"), "is overridden by an earlier entry, which counts");
                continue;
            }
            match ErrorOverride::compile(item) {
                Ok(item) => {
                    for operator in item.unknown() {
                        findings.add(format!("{at}.body"), format!("{operator} is not known and always writes -"));
                    }
                    built.push(item);
                }
                Err((field, message)) => findings.add(format!("{at}.{field}"), message),
            }
        }
        built.sort_unstable_by_key(|item| item.status);
        Self(built.into_boxed_slice())
    }
}

impl ErrorOverride {
    fn compile(item: &model::ErrorOverride) -> Result<Self, (&'static str, String)> {
        if !(400..=599).contains(&item.status) {
            return Err(("status", format!("{} is not the status of an error", item.status)));
        }
        let body = match item.format {
            BodyFormat::Text => ErrorBody::Text(parse(&item.body)),
            BodyFormat::Json => {
                let members = format::members(&item.body)
                    .map_err(|error| ("body", format!("not a JSON object of templates: {error}")))?;
                ErrorBody::Json(members.into_iter().map(|(name, text)| (Box::from(name), parse(&text))).collect())
            }
        };
        let content_type = match (item.content_type.as_str(), item.format) {
            ("", BodyFormat::Text) => "text/plain",
            ("", BodyFormat::Json) => "application/json",
            (given, _) => given,
        };
        let content_type = format::field_value(content_type).map_err(|message| ("content_type", message))?;
        Ok(Self { status: item.status, content_type, body })
    }

    /// Operators that are not known.
    fn unknown(&self) -> impl Iterator<Item = &str> {
        let lists: Vec<&[Piece]> = match &self.body {
            ErrorBody::Text(pieces) => vec![pieces],
            ErrorBody::Json(members) => members.iter().map(|(_, pieces)| pieces.as_slice()).collect(),
        };
        lists.into_iter().flatten().filter_map(|piece| match piece {
            Piece::Unknown(written) if written.as_ref() != ORIGINAL_BODY => Some(written.as_ref()),
            _ => None,
        })
    }
}
