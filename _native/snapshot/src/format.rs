//! Small texts of the configuration: field names, field values, hosts, ordered JSON objects.

use serde::de::{Deserializer as _, MapAccess, Visitor};

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

/// A host with an optional port: nothing that could end a line or start a path.
pub(crate) fn authority(host: &str) -> Result<Box<[u8]>, String> {
    let bad = |b: u8| b <= 0x20 || b >= 0x7f || b"/\\?#@\"<>".contains(&b);
    if host.is_empty() || host.bytes().any(bad) {
        return Err(format!("{host:?} is not a host"));
    }
    Ok(Box::from(host.as_bytes()))
}

/// Members of a JSON object of strings, in the order written.
pub(crate) fn members(text: &str) -> Result<Vec<(String, String)>, serde_json::Error> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of strings")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(member) = map.next_entry()? {
                all.push(member);
            }
            Ok(all)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let all = reader.deserialize_map(Members)?;
    reader.end()?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{authority, field_value, lower, members};

    #[test]
    fn names_values_and_hosts() {
        assert_eq!(lower("X-Foo").unwrap().as_ref(), b"x-foo");
        assert!(lower("").is_err() && lower("a b").is_err() && lower("a:").is_err() && lower("é").is_err());
        assert_eq!(field_value(" a\tb ").unwrap().as_ref(), b"a\tb");
        assert!(field_value("a\r\nb: c").is_err() && field_value("a\0").is_err());
        assert!(authority("a.b:80").is_ok() && authority("[::1]:80").is_ok());
        assert!(authority("").is_err() && authority("a/b").is_err() && authority("a\r\n").is_err());
    }

    #[test]
    fn order_of_members_is_kept() {
        let found = members(r#"{"z": "1", "a": "2"}"#).unwrap();
        assert_eq!(found, [("z".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]);
        assert!(members("{} x").is_err() && members(r#"{"a": 1}"#).is_err() && members("[]").is_err());
    }
}
