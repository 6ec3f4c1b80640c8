//! As much of WebSocket framing (RFC 6455 section 5.2) as a gateway needs that passes frames on untouched: where one frame
//! ends and the next may begin.

/// A close frame of a server with the status 1001, "going away" (RFC 6455 section 7.4.1).
pub(crate) const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// Longest frame header: two bytes, a 64-bit length, a masking key.
const HEADER: usize = 14;

/// Follows one direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    header: [u8; HEADER],
    known: usize,
    /// Payload bytes that are still to come.
    payload: u64,
}

/// Length of the header that begins with these bytes, and of the payload behind it; `None` while that is not known.
fn measure(header: &[u8]) -> Option<(usize, u64)> {
    let second = *header.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (length, payload) = match second & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(header.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(header.get(2..10)?.try_into().ok()?)),
        short => (2, u64::from(short)),
    };
    Some((length + mask, payload))
}

impl Frames {
    /// Nothing of a frame has passed that is not complete.
    pub(crate) fn is_between(&self) -> bool {
        self.known == 0 && self.payload == 0
    }

    /// Takes note of bytes that pass.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let count = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= count as u64;
                bytes = &bytes[count..];
                continue;
            }
            self.header[self.known] = bytes[0];
            self.known += 1;
            bytes = &bytes[1..];
            if let Some((length, payload)) = measure(&self.header[..self.known])
                && self.known >= length
            {
                self.known = 0;
                self.payload = payload;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x82];
        match payload {
            0..=125 => bytes.push(mask | payload as u8),
            126..=65_535 => {
                bytes.push(mask | 0x7e);
                bytes.extend((payload as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 0x7f);
                bytes.extend((payload as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![0; if masked { 4 } else { 0 } + payload]);
        bytes
    }

    #[test]
    fn only_whole_frames_end_between() {
        for payload in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
            for masked in [false, true] {
                let bytes = frame(payload, masked);
                let mut frames = Frames::default();
                frames.pass(&bytes[..bytes.len() - 1]);
                assert!(!frames.is_between(), "{payload} {masked}");
                frames.pass(&bytes[bytes.len() - 1..]);
                assert!(frames.is_between(), "{payload} {masked}");
            }
        }
    }

    #[test]
    fn pieces_do_not_matter() {
        let stream: Vec<u8> = [300, 0, 126, 3].iter().flat_map(|&length| frame(length, false)).collect();
        for size in [1, 2, 3, 7, 64] {
            let mut frames = Frames::default();
            for piece in stream.chunks(size) {
                frames.pass(piece);
            }
            assert!(frames.is_between(), "{size}");
        }
    }
}
