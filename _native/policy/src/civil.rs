//! Unix time as a calendar date in UTC, for logs (RFC 3339). No leap seconds, as Unix time has none.

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// A moment, broken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year of the Gregorian calendar.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
    /// 0 to 23.
    pub hour: u64,
    /// 0 to 59.
    pub minute: u64,
    /// 0 to 59.
    pub second: u64,
    /// 0 to 999,999,999.
    pub nanos: u64,
}

impl Civil {
    /// Break down nanoseconds since 1970-01-01T00:00:00Z (Howard Hinnant, "chrono-compatible low-level date
    /// algorithms": years begin in March, so that the leap day is the last of its year).
    #[must_use]
    pub const fn from_unix_ns(unix_ns: u64) -> Self {
        let seconds = unix_ns / SECOND;
        let shifted = seconds / 86_400 + 719_468;
        let era = shifted / 146_097;
        let of_era = shifted % 146_097;
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_based = (5 * of_year + 2) / 153;
        let month = if march_based < 10 { march_based + 3 } else { march_based - 9 };
        Self {
            year: year_of_era + era * 400 + (month <= 2) as u64,
            month,
            day: of_year - (153 * march_based + 2) / 5 + 1,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            nanos: unix_ns % SECOND,
        }
    }

    /// Append `2024-02-29T12:00:00.000Z`, the default of Envoy's `%START_TIME%`.
    pub fn write_rfc3339_ms(&self, out: &mut Vec<u8>) {
        self.write_date(out);
        out.push(b'T');
        self.write_time(out);
        out.push(b'.');
        digits(out, self.nanos / 1_000_000, 3);
        out.push(b'Z');
    }

    /// Append the moment in a subset of `strftime`: `%Y %m %d %H %M %S %F %T %s %Z %z %%` and Envoy's `%f` with 1 to 9
    /// digits (`%3f`). Anything else is kept as it stands.
    pub fn write(&self, unix_ns: u64, format: &str, out: &mut Vec<u8>) {
        let mut rest = format.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            if byte != b'%' {
                out.push(byte);
                continue;
            }
            match tail {
                [b'Y', ..] => digits(out, self.year, 4),
                [b'm', ..] => digits(out, self.month, 2),
                [b'd', ..] => digits(out, self.day, 2),
                [b'H', ..] => digits(out, self.hour, 2),
                [b'M', ..] => digits(out, self.minute, 2),
                [b'S', ..] => digits(out, self.second, 2),
                [b'F', ..] => self.write_date(out),
                [b'T', ..] => self.write_time(out),
                [b's', ..] => digits(out, unix_ns / SECOND, 1),
                [b'Z', ..] => out.extend_from_slice(b"UTC"),
                [b'z', ..] => out.extend_from_slice(b"+0000"),
                [b'%', ..] => out.push(b'%'),
                [count @ b'1'..=b'9', b'f', ..] => {
                    let count = usize::from(count - b'0');
                    digits(out, self.nanos / 10_u64.pow(9 - count as u32), count);
                    rest = &tail[2..];
                    continue;
                }
                [b'f', ..] => digits(out, self.nanos, 9),
                _ => {
                    out.push(b'%');
                    continue;
                }
            }
            rest = &tail[1..];
        }
    }

    fn write_date(&self, out: &mut Vec<u8>) {
        digits(out, self.year, 4);
        out.push(b'-');
        digits(out, self.month, 2);
        out.push(b'-');
        digits(out, self.day, 2);
    }

    fn write_time(&self, out: &mut Vec<u8>) {
        digits(out, self.hour, 2);
        out.push(b':');
        digits(out, self.minute, 2);
        out.push(b':');
        digits(out, self.second, 2);
    }
}

/// Append `value` in decimal with at least `width` digits (at most 20).
pub(crate) fn digits(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = [b'0'; 20];
    let mut at = buffer.len();
    let mut rest = value;
    while rest > 0 {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&buffer[at.min(buffer.len() - width)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc3339(unix_ns: u64) -> String {
        let mut out = Vec::new();
        Civil::from_unix_ns(unix_ns).write_rfc3339_ms(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_moments() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_208_000_123, "2024-02-29T12:00:00.123Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(ms * 1_000_000), text);
        }
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn formats() {
        let at = 1_709_208_000_123_456_789;
        for (format, want) in [
            ("%Y/%m/%dT%H:%M:%S%z", "2024/02/29T12:00:00+0000"),
            ("%F %T.%3f", "2024-02-29 12:00:00.123"),
            ("%s.%6f %f", "1709208000.123456 123456789"),
            ("100%% %q %", "100% %q %"),
            ("%Z", "UTC"),
        ] {
            let mut out = Vec::new();
            Civil::from_unix_ns(at).write(at, format, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}
