//! Field sections without a dynamic table (RFC 9204 section 4.5).

use crate::prefixed::{take_integer, take_string, write_integer, write_string};
use crate::static_table::{self, Place};

/// A field section that cannot be decoded: an error of the connection (RFC 9204 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends in the middle.
    #[error("the field section is cut or malformed")]
    Malformed,
    /// It refers to a dynamic table, which has a capacity of 0.
    #[error("the field section refers to the dynamic table")]
    Dynamic,
    /// It refers to a field that the static table does not have.
    #[error("the static table has no field {0}")]
    Unknown(u64),
}

/// A name and a value.
pub type Field<'f> = (&'f [u8], &'f [u8]);

/// Reads the field lines of a section, one after the other.
#[derive(Debug)]
pub struct FieldReader<'s> {
    rest: &'s [u8],
    name: Vec<u8>,
    value: Vec<u8>,
}

impl<'s> FieldReader<'s> {
    /// Reads the prefix of an encoded section (RFC 9204 section 4.5.1).
    pub fn new(section: &'s [u8]) -> Result<Self, DecodeError> {
        let mut rest = section;
        let required = take_integer(8, &mut rest).ok_or(DecodeError::Malformed)?;
        take_integer(7, &mut rest).ok_or(DecodeError::Malformed)?;
        if required != 0 {
            return Err(DecodeError::Dynamic);
        }
        Ok(Self { rest, name: Vec::new(), value: Vec::new() })
    }

    /// The next name and value; `None` behind the last one. They are what the peer sent, whatever that is.
    #[allow(clippy::should_implement_trait, reason = "the fields are lent")]
    pub fn next(&mut self) -> Result<Option<Field<'_>>, DecodeError> {
        let Some(&first) = self.rest.first() else { return Ok(None) };
        let rest = &mut self.rest;
        match first {
            // 1T: an indexed field line.
            0x80.. => {
                let index = take_integer(6, rest).ok_or(DecodeError::Malformed)?;
                if first & 0x40 == 0 {
                    return Err(DecodeError::Dynamic);
                }
                static_table::get(index).map(Some).ok_or(DecodeError::Unknown(index))
            }
            // 01NT: a literal with a name of the table.
            0x40.. => {
                let index = take_integer(4, rest).ok_or(DecodeError::Malformed)?;
                if first & 0x10 == 0 {
                    return Err(DecodeError::Dynamic);
                }
                let (name, _) = static_table::get(index).ok_or(DecodeError::Unknown(index))?;
                let value = take_string(7, rest, &mut self.value).ok_or(DecodeError::Malformed)?;
                Ok(Some((name, value)))
            }
            // 001N: a literal with a name of its own.
            0x20.. => {
                let name = take_string(3, rest, &mut self.name).ok_or(DecodeError::Malformed)?;
                let value = take_string(7, rest, &mut self.value).ok_or(DecodeError::Malformed)?;
                Ok(Some((name, value)))
            }
            // Lines relative to what the section itself has put into the dynamic table.
            _ => Err(DecodeError::Dynamic),
        }
    }
}

/// Appends the prefix of a section that refers to no dynamic table.
pub fn begin_section(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0]);
}

/// Appends a field line. The name must be in lower case.
pub fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    match static_table::find(name, value) {
        Place::Field(index) => write_integer(6, 0xc0, index, out),
        Place::Name(index) => {
            write_integer(4, 0x50, index, out);
            write_string(7, 0, value, out);
        }
        Place::Nowhere => {
            write_string(3, 0x20, name, out);
            write_string(7, 0, value, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

    fn fields(section: &[u8]) -> Result<Pairs, DecodeError> {
        let mut reader = FieldReader::new(section)?;
        let mut all = Vec::new();
        while let Some((name, value)) = reader.next()? {
            all.push((name.to_vec(), value.to_vec()));
        }
        Ok(all)
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 9204 appendix B.1.
        let section = b"\x00\x00\x51\x0b/index.html";
        assert_eq!(fields(section), Ok(vec![(b":path".to_vec(), b"/index.html".to_vec())]));
    }

    #[test]
    fn what_is_written_is_read() {
        let pairs: [(&[u8], &[u8]); 6] = [
            (b":status", b"200"),
            (b":status", b"299"),
            (b"content-type", b"text/plain"),
            (b"x-own", b""),
            (b"x-own", b"a: b"),
            (b"a-name-that-is-long-enough", &[b'v'; 300]),
        ];
        let mut section = Vec::new();
        begin_section(&mut section);
        for (name, value) in pairs {
            write_field(name, value, &mut section);
        }
        assert_eq!(section[2], 0xd9, "an indexed line");
        let expected: Vec<_> = pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        assert_eq!(fields(&section), Ok(expected));
        for end in 0..section.len() {
            // Any part of it is read or refused.
            let _result = fields(&section[..end]);
        }
    }

    #[test]
    fn references_to_a_dynamic_table() {
        for section in [&[1, 0][..], &[0, 0, 0x80], &[0, 0, 0x40, 0], &[0, 0, 0x10], &[0, 0, 0x00, 0]] {
            assert_eq!(fields(section), Err(DecodeError::Dynamic), "{section:?}");
        }
    }

    #[test]
    fn sections_that_are_malformed() {
        for section in [&[][..], &[0], &[0xff], &[0, 0, 0x51, 5, b'a'], &[0, 0, 0x23, b'a'], &[0, 0, 0x51]] {
            assert_eq!(fields(section), Err(DecodeError::Malformed), "{section:?}");
        }
        assert_eq!(fields(&[0, 0, 0xff, 60]), Err(DecodeError::Unknown(123)));
        assert_eq!(fields(&[0, 0]), Ok(Vec::new()));
    }
}
