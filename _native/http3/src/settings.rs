//! Settings (RFC 9114 section 7.2.4).

use crate::code::Code;
use crate::frame::{kind, write_frame_header};
use crate::varint;

const MAX_FIELD_SECTION_SIZE: u64 = 0x06;
/// RFC 9220 section 5.
const ENABLE_CONNECT_PROTOCOL: u64 = 0x08;

/// What a peer said about itself, as far as it matters here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Largest field section it takes; `None` for no limit.
    pub max_field_section_size: Option<u64>,
}

impl Settings {
    /// Reads the payload of a SETTINGS frame. Identifiers of HTTP/2, and any identifier twice, are errors of the
    /// connection (sections 7.2.4 and 7.2.4.1).
    pub fn read(mut payload: &[u8]) -> Result<Self, Code> {
        let mut settings = Self::default();
        let mut seen = Vec::new();
        while !payload.is_empty() {
            let (id, used) = varint::read(payload).ok_or(Code::H3_FRAME_ERROR)?;
            let (value, more) = varint::read(&payload[used..]).ok_or(Code::H3_FRAME_ERROR)?;
            payload = &payload[used + more..];
            if matches!(id, 0x00 | 0x02..=0x05) || seen.contains(&id) {
                return Err(Code::H3_SETTINGS_ERROR);
            }
            seen.push(id);
            if id == MAX_FIELD_SECTION_SIZE {
                settings.max_field_section_size = Some(value);
            }
        }
        Ok(settings)
    }
}

/// Appends a SETTINGS frame: the largest field section that is taken, and that extended CONNECT is (RFC 9220).
pub fn write_settings(max_field_section_size: u64, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(11);
    varint::write(MAX_FIELD_SECTION_SIZE, &mut payload);
    varint::write(max_field_section_size, &mut payload);
    varint::write(ENABLE_CONNECT_PROTOCOL, &mut payload);
    varint::write(1, &mut payload);
    write_frame_header(kind::SETTINGS, payload.len() as u64, out);
    out.extend_from_slice(&payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        write_settings(61_440, &mut out);
        assert_eq!(&out[..2], [4, 7]);
        assert_eq!(Settings::read(&out[2..]), Ok(Settings { max_field_section_size: Some(61_440) }));
    }

    #[test]
    fn settings_that_must_not_be() {
        assert_eq!(Settings::read(&[]), Ok(Settings::default()));
        assert_eq!(Settings::read(&[0x01, 0x10, 0x40, 0x33, 0x01]), Ok(Settings::default()), "unknown ones pass");
        for id in [0, 2, 3, 4, 5] {
            assert_eq!(Settings::read(&[id, 0]), Err(Code::H3_SETTINGS_ERROR), "{id}");
        }
        assert_eq!(Settings::read(&[1, 0, 1, 0]), Err(Code::H3_SETTINGS_ERROR), "twice");
        for cut in [&[6][..], &[6, 0x40], &[0x40]] {
            assert_eq!(Settings::read(cut), Err(Code::H3_FRAME_ERROR), "{cut:?}");
        }
    }
}
