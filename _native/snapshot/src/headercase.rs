//! The case in which header names are written in HTTP/1.1.

use crate::error::Findings;
use crate::{format, model};

/// A name in lower case and as it is to be written.
pub type Spelling = (Box<[u8]>, Box<[u8]>);

/// How names are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HeaderCase {
    /// As they came, or in lower case where the gateway adds them.
    #[default]
    Keep,
    /// As in `Content-Type`: a letter at the start and after anything that is no letter or digit is large.
    Proper,
    /// As listed, others as with `Keep`: lower case and what is written, ordered.
    Listed(Box<[Spelling]>),
}

impl HeaderCase {
    /// Writes the names of an HTTP/1.1 head, which stays as long as it is. What follows its empty line is not touched.
    pub fn apply(&self, head: &mut [u8]) {
        if *self == Self::Keep {
            return;
        }
        let mut rest = head;
        let mut first = true;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, behind) = rest.split_at_mut(end + 1);
            match line.iter().position(|&byte| byte == b':') {
                _ if first => first = false,
                Some(colon) => self.rename(&mut line[..colon]),
                None => return,
            }
            rest = behind;
        }
    }

    /// Writes one name.
    fn rename(&self, name: &mut [u8]) {
        match self {
            Self::Keep => {}
            Self::Proper => {
                let mut start = true;
                for byte in name {
                    *byte = if start { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
                    start = !byte.is_ascii_alphanumeric();
                }
            }
            Self::Listed(names) => {
                let order = |(lower, _): &Spelling| lower.iter().copied().cmp(name.iter().map(u8::to_ascii_lowercase));
                let found = names.binary_search_by(order).ok().and_then(|at| names.get(at));
                if let Some((_, written)) = found {
                    name.copy_from_slice(written);
                }
            }
        }
    }

    /// Compiles; of both settings `proper_case` counts.
    pub(crate) fn compile(options: &model::Options, findings: &mut Findings) -> Self {
        if options.proper_case {
            if !options.header_case_overrides.is_empty() {
                findings.add("header_case_overrides", "proper_case is set, which counts");
            }
            return Self::Proper;
        }
        let mut names = Vec::with_capacity(options.header_case_overrides.len());
        for (n, name) in options.header_case_overrides.iter().enumerate() {
            match format::lower(name) {
                Ok(lower) => names.push((lower, Box::from(name.as_bytes()))),
                Err(message) => findings.add(format!("header_case_overrides[{n}]"), message),
            }
        }
        if names.is_empty() {
            return Self::Keep;
        }
        names.sort_by(|(a, _): &Spelling, (b, _)| a.cmp(b));
        names.dedup_by(|(later, _), (earlier, _)| later == earlier);
        Self::Listed(names.into_boxed_slice())
    }
}
