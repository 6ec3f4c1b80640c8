//! Which answers are compressed, and how.

use sluice_policy::content_coding::Coding;

use crate::error::Findings;
use crate::model;

/// Compression of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compression {
    /// Codings, the preferred one first; never empty. For `sluice_policy::content_coding::negotiate`.
    pub codings: Box<[Coding]>,
    /// Bytes below which answers stay as they are.
    pub min_content_length: u64,
    /// 1 is fast, 9 is small.
    pub level: u8,
    /// zlib's window, 9 to 15.
    pub window_bits: u8,
    /// zlib's memory, 1 to 9.
    pub memory_level: u8,
    /// Answers with an `ETag` stay as they are; otherwise a strong tag does not pass.
    pub disable_on_etag_header: bool,
    /// `Accept-Encoding` does not go upstream.
    pub remove_accept_encoding_header: bool,
    /// Lower case, without parameters, ordered.
    content_types: Box<[Box<[u8]>]>,
}

impl Compression {
    /// Whether answers with this `Content-Type` are compressed; parameters do not matter.
    pub fn takes(&self, content_type: &[u8]) -> bool {
        let name = content_type.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
        let order = |known: &[u8]| known.iter().copied().cmp(name.iter().map(u8::to_ascii_lowercase));
        self.content_types.binary_search_by(|known| order(known)).is_ok()
    }

    /// Compiles; values out of range are reported and replaced by the defaults.
    pub(crate) fn compile(model: &model::Compression, findings: &mut Findings) -> Option<Self> {
        let default = model::Compression::default();
        let mut codings = Vec::new();
        for (n, name) in model.algorithms.iter().enumerate() {
            match Coding::PREFERENCE.into_iter().find(|coding| coding.name() == name) {
                Some(coding) if codings.contains(&coding) => {}
                Some(coding) => codings.push(coding),
                None => findings.add(format!("gzip.algorithms[{n}]"), format!("{name:?} is not br, zstd or gzip")),
            }
        }
        if codings.is_empty() {
            findings.add("gzip.algorithms", "none is left: nothing is compressed");
            return None;
        }
        let mut number = |field: &str, value: u32, range: std::ops::RangeInclusive<u32>, default: u32| {
            let fits = range.contains(&value);
            if !fits {
                let (low, high) = (range.start(), range.end());
                findings.add(format!("gzip.{field}"), format!("{value} is not between {low} and {high}"));
            }
            if fits { value as u8 } else { default as u8 }
        };
        let level = number("level", model.level, 1..=9, default.level);
        let window_bits = number("window_bits", model.window_bits, 9..=15, default.window_bits);
        let memory_level = number("memory_level", model.memory_level, 1..=9, default.memory_level);
        let lower = |name: &String| name.trim().to_ascii_lowercase().into_bytes().into_boxed_slice();
        let mut content_types: Vec<_> = model.content_types.iter().map(lower).collect();
        content_types.sort_unstable();
        Some(Self {
            codings: codings.into_boxed_slice(),
            min_content_length: model.min_content_length,
            level,
            window_bits,
            memory_level,
            disable_on_etag_header: model.disable_on_etag_header,
            remove_accept_encoding_header: model.remove_accept_encoding_header,
            content_types: content_types.into_boxed_slice(),
        })
    }
}
