//! The compiled route table.

use ahash::AHashMap;
use smallvec::SmallVec;

use crate::error::RouteError;
use crate::matcher::{PathMatcherKind, RouteMatcher};
use crate::pattern::Pattern;
use crate::predicate::Predicates;
use crate::radix::{Entry, Radix};
use crate::request::Request;

/// Candidate lists of one request; more than this many nested prefixes spill to the heap.
type Lists<'t> = SmallVec<[&'t [u32]; 16]>;

/// Where the paths of one kind of case sensitivity are filed.
#[derive(Debug, Default)]
struct Paths {
    exact: AHashMap<Box<[u8]>, Box<[u32]>>,
    prefixes: Radix,
}

/// An immutable table: which route takes a request.
#[derive(Debug, Default)]
pub struct RouteTable {
    cased: Paths,
    /// Keys in lower case, for routes that ignore case.
    folded: Paths,
    /// What is left to check, per route; `None` when the path decides.
    predicates: Box<[Option<Box<Predicates>>]>,
}

#[derive(Default)]
struct Builder {
    exact: AHashMap<Vec<u8>, Vec<u32>>,
    prefixes: Vec<Entry>,
}

impl RouteTable {
    /// Compiles routes in rank order. A route with a part that cannot be compiled never matches and is reported; the
    /// others keep their index.
    pub fn compile(routes: &[RouteMatcher]) -> (Self, Vec<RouteError>) {
        let (mut cased, mut folded) = (Builder::default(), Builder::default());
        let mut errors = Vec::new();
        let predicates =
            routes.iter().enumerate().map(|(index, route)| match file(index, route, &mut cased, &mut folded) {
                Ok(predicates) => (!predicates.is_plain()).then(|| Box::new(predicates)),
                Err(error) => {
                    errors.push(error);
                    None
                }
            });
        let predicates = predicates.collect();
        (Self { cased: cased.build(), folded: folded.build(), predicates }, errors)
    }

    /// Number of routes, those that were left out included.
    pub fn len(&self) -> usize {
        self.predicates.len()
    }

    /// True for a table without routes.
    pub fn is_empty(&self) -> bool {
        self.predicates.is_empty()
    }

    /// Index of the first route, at or after `from`, that matches.
    pub fn find(&self, request: &Request<'_>, from: usize) -> Option<usize> {
        let mut lists = Lists::new();
        self.cased.collect(request.path, &mut lists);
        if !self.folded.is_empty() {
            let mut path: SmallVec<[u8; 256]> = SmallVec::from_slice(request.path);
            path.make_ascii_lowercase();
            self.folded.collect(&path, &mut lists);
        }
        if from > 0 {
            for list in &mut lists {
                *list = &list[list.partition_point(|&rank| (rank as usize) < from)..];
            }
        }
        self.first(request, &mut lists)
    }

    /// Merges the lists by rank; a predicate is evaluated only when all routes of lower rank have failed.
    fn first(&self, request: &Request<'_>, lists: &mut Lists<'_>) -> Option<usize> {
        loop {
            let (mut best, mut lowest, mut second) = (0, u32::MAX, u32::MAX);
            for (at, list) in lists.iter().enumerate() {
                let Some(&head) = list.first() else { continue };
                if head < lowest {
                    (best, second, lowest) = (at, lowest, head);
                } else if head < second {
                    second = head;
                }
            }
            if lowest == u32::MAX {
                return None;
            }
            let list = lists.get_mut(best)?;
            while let Some((&rank, rest)) = list.split_first() {
                if rank > second {
                    break;
                }
                let holds = match self.predicates.get(rank as usize)? {
                    None => true,
                    Some(predicates) => predicates.hold(request),
                };
                if holds {
                    return Some(rank as usize);
                }
                *list = rest;
            }
        }
    }
}

/// Files a route by its path and compiles the rest of it.
fn file(
    index: usize,
    route: &RouteMatcher,
    cased: &mut Builder,
    folded: &mut Builder,
) -> Result<Predicates, RouteError> {
    let mut predicates = Predicates::compile(index, route)?;
    let rank = u32::try_from(index).ok().filter(|&rank| rank < u32::MAX).ok_or_else(|| RouteError {
        index,
        field: "path".to_owned(),
        message: "too many routes".to_owned(),
    })?;
    let path = &route.path;
    let mut key = path.key().as_bytes().to_vec();
    // An expression checks the path itself, so it is filed under what it says literally, whatever its case rule.
    let target = if path.ignore_case && path.kind != PathMatcherKind::Regex {
        key.make_ascii_lowercase();
        folded
    } else {
        cased
    };
    match path.kind {
        PathMatcherKind::Exact => target.exact.entry(key).or_default().push(rank),
        PathMatcherKind::Prefix => target.prefixes.push(Entry { key, segment: false, rank }),
        PathMatcherKind::SegmentPrefix => target.prefixes.push(Entry { key, segment: true, rank }),
        PathMatcherKind::Regex => {
            let pattern = Pattern::full(&path.value, path.ignore_case).map_err(|error| RouteError {
                index,
                field: "path".to_owned(),
                message: error.to_string(),
            })?;
            target.prefixes.push(Entry { key: pattern.literal().to_vec(), segment: false, rank });
            predicates.path = Some(pattern);
        }
    }
    Ok(predicates)
}

impl Builder {
    fn build(self) -> Paths {
        let exact = self.exact.into_iter().map(|(key, ranks)| (key.into_boxed_slice(), ranks.into_boxed_slice()));
        Paths { exact: exact.collect(), prefixes: Radix::build(self.prefixes) }
    }
}

impl Paths {
    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    #[inline]
    fn collect<'t>(&'t self, path: &[u8], lists: &mut Lists<'t>) {
        if let Some(ranks) = (!self.exact.is_empty()).then(|| self.exact.get(path)).flatten() {
            lists.push(ranks);
        }
        self.prefixes.walk(path, |ranks, _| lists.push(ranks));
    }
}
