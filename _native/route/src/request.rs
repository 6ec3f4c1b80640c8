//! The request as matching sees it.

/// Access to header fields without knowing how they are stored.
pub trait Headers {
    /// Calls `f` for each value of the field `name` (lower case) until it returns true; tells whether it did.
    fn any(&self, name: &[u8], f: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// A normalised request, borrowed.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method as sent.
    pub method: &'a [u8],
    /// Host without port, lower case.
    pub host: &'a [u8],
    /// Normalised path, without query.
    pub path: &'a [u8],
    /// Query without its question mark, raw.
    pub query: Option<&'a [u8]>,
    /// Header fields.
    pub headers: &'a dyn Headers,
}

/// A request without header fields.
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn any(&self, _name: &[u8], _f: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

/// Pairs of (name, value); names compare without case.
impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Headers for [(N, V)] {
    fn any(&self, name: &[u8], f: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.iter().filter(|(n, _)| n.as_ref().eq_ignore_ascii_case(name)).any(|(_, v)| f(v.as_ref()))
    }
}

/// Pairs of (name, value); names compare without case.
impl<N: AsRef<[u8]>, V: AsRef<[u8]>> Headers for Vec<(N, V)> {
    fn any(&self, name: &[u8], f: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.as_slice().any(name, f)
    }
}
