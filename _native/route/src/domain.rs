//! Which virtual host takes a name: exact, `*.suffix`, `prefix.*`, `*`, the longest first (as Envoy).

use ahash::AHashMap;
use smallvec::SmallVec;

use crate::radix::{Entry, Radix};

/// A domain that cannot be filed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// The domain is there already; the first one stays.
    #[error("domain {0:?} is taken already")]
    Duplicate(String),
    /// Neither `*`, a name, `*suffix` nor `prefix*`.
    #[error("domain {0:?} is neither a name, `*`, `*.suffix` nor `prefix.*`")]
    Malformed(String),
}

/// Maps host names (lower case, no port) to values; thousands of domains cost no more than a few.
#[derive(Clone, Debug)]
pub struct DomainMap<T> {
    exact: AHashMap<Box<[u8]>, u32>,
    /// Keys are reversed, so that the longest suffix is the deepest node.
    suffixes: Radix,
    prefixes: Radix,
    any: Option<u32>,
    values: Vec<T>,
}

impl<T> Default for DomainMap<T> {
    fn default() -> Self {
        Self {
            exact: AHashMap::new(),
            suffixes: Radix::default(),
            prefixes: Radix::default(),
            any: None,
            values: Vec::new(),
        }
    }
}

impl<T> DomainMap<T> {
    /// Compiles pairs of a domain and its value. Of equal domains the first counts; errors carry the index of the pair.
    pub fn compile<D: AsRef<str>>(pairs: impl IntoIterator<Item = (D, T)>) -> (Self, Vec<(usize, DomainError)>) {
        let mut map = Self::default();
        let mut errors = Vec::new();
        let mut wild: [AHashMap<Vec<u8>, u32>; 2] = Default::default();
        for (index, (domain, value)) in pairs.into_iter().enumerate() {
            let lower = domain.as_ref().to_ascii_lowercase();
            let rank = map.values.len() as u32;
            let place = match split(&lower) {
                Some(Shape::Any) => map.any.get_or_insert(rank),
                Some(Shape::Exact(name)) => map.exact.entry(Box::from(name.as_bytes())).or_insert(rank),
                Some(Shape::Suffix(tail)) => wild[0].entry(tail.bytes().rev().collect()).or_insert(rank),
                Some(Shape::Prefix(head)) => wild[1].entry(head.as_bytes().to_vec()).or_insert(rank),
                None => {
                    errors.push((index, DomainError::Malformed(lower)));
                    continue;
                }
            };
            if *place != rank {
                errors.push((index, DomainError::Duplicate(lower)));
                continue;
            }
            map.values.push(value);
        }
        let tree = |keys: AHashMap<Vec<u8>, u32>| {
            Radix::build(keys.into_iter().map(|(key, rank)| Entry { key, segment: false, rank }).collect())
        };
        let [suffixes, prefixes] = wild;
        (map.suffixes, map.prefixes) = (tree(suffixes), tree(prefixes));
        (map, errors)
    }

    /// The value for `host`. A wildcard stands for at least one character.
    pub fn get(&self, host: &[u8]) -> Option<&T> {
        let rank =
            self.exact.get(host).copied().or_else(|| self.suffix(host)).or_else(|| longest(&self.prefixes, host));
        self.values.get(rank.or(self.any)? as usize)
    }

    /// The value of `*`.
    pub fn fallback(&self) -> Option<&T> {
        self.values.get(self.any? as usize)
    }

    fn suffix(&self, host: &[u8]) -> Option<u32> {
        if self.suffixes.is_empty() {
            return None;
        }
        let reversed: SmallVec<[u8; 256]> = host.iter().rev().copied().collect();
        longest(&self.suffixes, &reversed)
    }
}

fn longest(tree: &Radix, text: &[u8]) -> Option<u32> {
    let mut best = None;
    tree.walk(text, |ranks, depth| {
        if depth < text.len() {
            best = ranks.first().copied();
        }
    });
    best
}

enum Shape<'d> {
    Any,
    Exact(&'d str),
    Suffix(&'d str),
    Prefix(&'d str),
}

fn split(domain: &str) -> Option<Shape<'_>> {
    let shape = match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
        (Some(""), _) => Shape::Any,
        (Some(tail), None) => Shape::Suffix(tail),
        (None, Some(head)) => Shape::Prefix(head),
        (None, None) => Shape::Exact(domain),
        (Some(_), Some(_)) => return None,
    };
    match shape {
        Shape::Exact(text) | Shape::Suffix(text) | Shape::Prefix(text) if text.is_empty() || text.contains('*') => None,
        shape => Some(shape),
    }
}
