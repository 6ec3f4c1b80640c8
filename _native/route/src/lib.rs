//! Compiled route tables: which route of a virtual host takes a request, and which virtual host takes a name.
//!
//! The crate knows nothing of IO or of a configuration format. A [`RouteTable`] is compiled once from a list of
//! [`RouteMatcher`]s in rank order; [`RouteTable::find`] gives the lowest index whose predicates all hold, at a cost that
//! depends on the length of the path and not on the number of routes. [`linear`] holds the plain scan that defines
//! the meaning; property tests keep both equal.

#![forbid(unsafe_code)]

mod domain;
mod error;
pub mod linear;
mod literal;
mod matcher;
mod pattern;
mod predicate;
mod query;
mod radix;
mod re2;
mod request;
mod table;

pub use domain::{DomainError, DomainMap};
pub use error::{PatternError, RouteError};
pub use matcher::{NamedMatcher, PathMatcher, PathMatcherKind, RouteMatcher, StringMatcher, StringMatcherKind};
pub use pattern::Pattern;
pub use predicate::StringPredicate;
pub use request::{Headers, NoHeaders, Request};
pub use table::RouteTable;
