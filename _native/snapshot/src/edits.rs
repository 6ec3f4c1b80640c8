//! Header edits, checked and ready to copy.

use crate::model;

/// A header to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderAdd {
    /// Lower-case field name (RFC 9110 token).
    pub name: Box<[u8]>,
    /// Field value without CR, LF and NUL, without surrounding blanks.
    pub value: Box<[u8]>,
    /// Keep existing values of the name.
    pub append: bool,
}

/// Removals first, then additions in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Lower-case names to remove.
    pub remove: Box<[Box<[u8]>]>,
    /// Headers to add.
    pub add: Box<[HeaderAdd]>,
}

impl HeaderEdits {
    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }

    /// Checks and lowers the names; the error is (path below the edits, message).
    pub(crate) fn compile(edits: model::HeaderEdits) -> Result<Self, (String, String)> {
        let remove = |(n, name): (usize, String)| lower(&name).map_err(|message| (format!("remove[{n}]"), message));
        Ok(Self {
            remove: edits.remove.into_iter().enumerate().map(remove).collect::<Result<_, _>>()?,
            add: adds(edits.add).map_err(|(n, message)| (format!("add[{n}]"), message))?,
        })
    }
}

/// Checks headers to add; the error is (position, message).
pub(crate) fn adds(headers: Vec<model::HeaderValue>) -> Result<Box<[HeaderAdd]>, (usize, String)> {
    let one = |(n, header): (usize, model::HeaderValue)| {
        let name = lower(&header.name).map_err(|message| (n, message))?;
        let value = field_value(&header.value).map_err(|message| (n, message))?;
        Ok(HeaderAdd { name, value, append: header.append })
    };
    headers.into_iter().enumerate().map(one).collect()
}

/// A field name in lower case (RFC 9110, section 5.6.2).
pub(crate) fn lower(name: &str) -> Result<Box<[u8]>, String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("{name:?} is not a field name"));
    }
    Ok(name.to_ascii_lowercase().into_bytes().into_boxed_slice())
}

/// A field value (RFC 9110, section 5.5): control characters other than tab would end or split the field.
pub(crate) fn field_value(value: &str) -> Result<Box<[u8]>, String> {
    let value = value.trim_matches([' ', '\t']);
    if let Some(bad) = value.bytes().find(|&b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        return Err(format!("a field value cannot contain the byte 0x{bad:02x}"));
    }
    Ok(Box::from(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{field_value, lower};

    #[test]
    fn names_and_values() {
        assert_eq!(lower("X-Foo").unwrap().as_ref(), b"x-foo");
        assert!(lower("").is_err() && lower("a b").is_err() && lower("a:").is_err() && lower("é").is_err());
        assert_eq!(field_value(" a\tb ").unwrap().as_ref(), b"a\tb");
        assert!(field_value("a\r\nb: c").is_err() && field_value("a\0").is_err());
        assert!(field_value("é").is_ok());
    }
}
