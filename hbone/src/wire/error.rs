//! Why a resource from the control plane is refused: the reasons a client may NACK for.

/// Why one xDS resource is not taken. The delta client sends the text back as the NACK's
/// message and the last good version stays in force (docs/wire.md, "Refused resources").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes are no message of the type.
    #[error("{object}: the bytes are no such message: {cause}")]
    Undecodable {
        /// What was being read.
        object: String,
        /// What the decoder said.
        cause: String,
    },
    /// An Address that is neither a workload nor a service.
    #[error("address: type is not set; set workload or service")]
    Empty,
    /// An address of a length that no IP version has.
    #[error("{object}: {field} has {length} bytes; an IP address has 4 or 16")]
    AddressLength {
        /// The resource.
        object: String,
        /// The field inside it.
        field: &'static str,
        /// Bytes found.
        length: usize,
    },
    /// A prefix longer than its address.
    #[error("{object}: {field} has prefix length {length}; at most {most} bits fit the address")]
    PrefixLength {
        /// The resource.
        object: String,
        /// The field inside it.
        field: &'static str,
        /// Bits found.
        length: u32,
        /// Bits of the address.
        most: u8,
    },
    /// A value of an enumeration that decides where bytes go, and that is not known here.
    #[error("{object}: {field} is {value}; known are {known}")]
    UnknownValue {
        /// The resource.
        object: String,
        /// The field inside it.
        field: &'static str,
        /// The number found.
        value: i32,
        /// The values that are read.
        known: &'static str,
    },
    /// The tunnel of older sidecars, which this proxy does not speak.
    #[error("{object}: tunnel_protocol is LEGACY_ISTIO_MTLS; use NONE or HBONE")]
    LegacyTls {
        /// The resource.
        object: String,
    },
    /// A waypoint or gateway without its destination.
    #[error("{object}: {field} names no destination; set hostname or address")]
    NoDestination {
        /// The resource.
        object: String,
        /// The field inside it.
        field: &'static str,
    },
    /// A key of `services` that is not `namespace/hostname`.
    #[error("{object}: services has the key {key:?}; write namespace/hostname")]
    ServiceKey {
        /// The resource.
        object: String,
        /// The key found.
        key: String,
    },
    /// A number that is no TCP port.
    #[error("{object}: {field} is {port}; a port is at most 65535")]
    Port {
        /// The resource.
        object: String,
        /// The field inside it.
        field: &'static str,
        /// The number found.
        port: u32,
    },
    /// A text of the local form that does not parse.
    #[error("{object}: {field} is {found:?}; write {right}")]
    Text {
        /// The resource.
        object: String,
        /// The field inside it.
        field: &'static str,
        /// The text found.
        found: String,
        /// What would be right.
        right: &'static str,
    },
}

/// Longest piece of foreign text that an error repeats, in characters.
const SHOWN: usize = 120;

/// Keeps a hostile text from filling a log line.
pub(crate) fn shorten(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
