//! HTTP/2 on both sides (RFC 9113), framed by the `h2` crate on the hosted runtime.
//!
//! A head that arrives is written down as an HTTP/1.1 head and read by `http1`, and a head that leaves is made from the
//! text that HTTP/1.1 would have sent. So there is one normal form, one set of rules about paths, hosts and fields, and
//! one place that decides which fields pass, whatever the protocols of the two sides are.

pub(crate) mod body;
pub(crate) mod server;
pub(crate) mod stream;
pub(crate) mod upstream;

/// Why a peer broke off, as the socket error that HTTP/1 would have shown.
pub(crate) fn io_error(error: h2::Error) -> std::io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| std::io::ErrorKind::ConnectionReset.into());
    }
    std::io::Error::other(error)
}
