//! Error codes.

/// Declares the codes once: name, value.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self($value);)*
        }

        impl std::fmt::Display for Code {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match *self {
                    $(Self::$name => f.write_str(stringify!($name)),)*
                    Self(other) => write!(f, "{other:#x}"),
                }
            }
        }
    };
}

/// Why a stream or a connection ends (RFC 9114 section 8.1, RFC 9204 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u64);

codes! {
    /// Nothing is wrong.
    H3_NO_ERROR = 0x100;
    /// The peer broke a rule that has no code of its own.
    H3_GENERAL_PROTOCOL_ERROR = 0x101;
    /// A failure of ours.
    H3_INTERNAL_ERROR = 0x102;
    /// A stream that must not be.
    H3_STREAM_CREATION_ERROR = 0x103;
    /// A stream that the connection cannot do without was closed.
    H3_CLOSED_CRITICAL_STREAM = 0x104;
    /// A frame where it must not be.
    H3_FRAME_UNEXPECTED = 0x105;
    /// A frame that is malformed.
    H3_FRAME_ERROR = 0x106;
    /// The peer makes too much work.
    H3_EXCESSIVE_LOAD = 0x107;
    /// An identifier that cannot be.
    H3_ID_ERROR = 0x108;
    /// Malformed settings.
    H3_SETTINGS_ERROR = 0x109;
    /// The control stream does not begin with settings.
    H3_MISSING_SETTINGS = 0x10a;
    /// The request was not processed: it may be sent again.
    H3_REQUEST_REJECTED = 0x10b;
    /// The request or its answer is not wanted any more.
    H3_REQUEST_CANCELLED = 0x10c;
    /// The request is not complete.
    H3_REQUEST_INCOMPLETE = 0x10d;
    /// The message is malformed.
    H3_MESSAGE_ERROR = 0x10e;
    /// A field section cannot be decoded.
    QPACK_DECOMPRESSION_FAILED = 0x200;
}
