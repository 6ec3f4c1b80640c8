//! The decisions through their public face: tables for the rules, properties and oracles for the arithmetic.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod access_log;
mod bandwidth;
mod client_hello;
mod content_coding;
mod cors;
mod facts;
mod forwarded;
mod gcra;
mod headers;
mod redirect;
mod rewrite;
mod stats;
mod table;
mod upstream;
