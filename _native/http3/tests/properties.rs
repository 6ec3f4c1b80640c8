//! Any bytes are read or refused; whatever is written is read.

use proptest::prelude::*;
use sluice_http3::{FieldReader, FrameReader, Settings, begin_section, varint, write_field, write_frame_header};

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _settings = Settings::read(&bytes);
        let mut reader = FrameReader::default();
        let mut at = 0;
        while at < bytes.len() {
            let (taken, _) = reader.read(&bytes[at..]);
            prop_assert!(taken > 0);
            at += taken;
        }
        if let Ok(mut fields) = FieldReader::new(&bytes) {
            // A line takes a byte at least.
            let mut lines = 0;
            while let Ok(Some(_)) = fields.next() {
                lines += 1;
            }
            prop_assert!(lines <= bytes.len());
        }
    }

    #[test]
    fn fields_survive(pairs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..200)), 0..20)) {
        let mut section = Vec::new();
        begin_section(&mut section);
        for (name, value) in &pairs {
            write_field(name, value, &mut section);
        }
        let mut reader = FieldReader::new(&section).expect("own sections are read");
        for (name, value) in &pairs {
            let (seen_name, seen_value) = reader.next().expect("own lines are read").expect("there is another line");
            prop_assert_eq!((seen_name, seen_value), (name.as_slice(), value.as_slice()));
        }
        prop_assert_eq!(reader.next(), Ok(None));
    }

    #[test]
    fn frame_headers_survive_any_cut(kind in 0..varint::MAX, length in 0..varint::MAX, cut in 0_usize..16) {
        let mut bytes = Vec::new();
        write_frame_header(kind, length, &mut bytes);
        let cut = cut.min(bytes.len() - 1);
        let mut reader = FrameReader::default();
        prop_assert_eq!(reader.read(&bytes[..cut]), (cut, None));
        let (taken, header) = reader.read(&bytes[cut..]);
        prop_assert_eq!(taken, bytes.len() - cut);
        prop_assert_eq!(header.map(|header| (header.kind, header.length)), Some((kind, length)));
    }
}
