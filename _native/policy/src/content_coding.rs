//! Which content coding an answer may have.
//!
//! Source: RFC 9110 section 12.5.3. The client's weights decide, the server's order of preference between equals. No
//! Accept-Encoding at all allows everything; the answer is left as it is then, as programs that do not ask for a coding
//! often cannot read one.

/// A coding that can be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
    /// `gzip` (RFC 1952), also called `x-gzip`.
    Gzip,
}

impl Coding {
    /// All codings, best compression first.
    pub const PREFERENCE: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// The name in Content-Encoding.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    fn is_named(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name().as_bytes())
            || (self == Self::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
    }
}

/// What the client accepts best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Negotiated {
    /// This coding.
    Coding(Coding),
    /// The answer as it is.
    Identity,
    /// Neither one of the codings nor the answer as it is.
    Nothing,
}

/// Choose among `preference`, best first, by the values of all Accept-Encoding lines. An element that is malformed is
/// as if it were not there.
pub fn negotiate<'f>(fields: &(impl Iterator<Item = &'f [u8]> + Clone), preference: &[Coding]) -> Negotiated {
    let elements = || fields.clone().flat_map(|field| field.split(|&byte| byte == b',')).filter_map(element);
    if fields.clone().next().is_none() {
        return Negotiated::Identity;
    }
    // Of several elements with one name the last counts.
    let weight_of =
        |is: &dyn Fn(&[u8]) -> bool| elements().filter(|&(name, _)| is(name)).last().map(|(_, weight)| weight);
    let any = weight_of(&|name| name == b"*");
    let identity = weight_of(&|name| name.eq_ignore_ascii_case(b"identity"));
    let mut best: Option<(Coding, u16)> = None;
    for &coding in preference {
        let weight = weight_of(&|name| coding.is_named(name)).or(any).unwrap_or(0);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((coding, weight));
        }
    }
    match best {
        // Not naming identity says only that it may be used.
        Some((coding, weight)) if weight >= identity.unwrap_or(0) => Negotiated::Coding(coding),
        Some(_) => Negotiated::Identity,
        None if identity.or(any) == Some(0) => Negotiated::Nothing,
        None => Negotiated::Identity,
    }
}

/// Name and weight of one element: `gzip`, `br;q=0.5`.
fn element(text: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = text.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().filter(|name| crate::token::is_token(name))?;
    let weight = match (parts.next(), parts.next()) {
        (None, _) => 1000,
        (Some([b'q' | b'Q', b'=', value @ ..]), None) => qvalue(value)?,
        _ => return None,
    };
    Some((name, weight))
}

/// A weight in thousandths (RFC 9110 section 12.4.2).
fn qvalue(text: &[u8]) -> Option<u16> {
    let (whole, fraction) = match text {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
        _ => return None,
    };
    let mut value = u16::from(whole - b'0');
    for place in 0..3 {
        let digit = fraction.get(place).copied().unwrap_or(b'0');
        value = value * 10 + digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
    }
    (value <= 1000).then_some(value)
}
