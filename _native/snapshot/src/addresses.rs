//! Which client addresses are served.

use std::net::IpAddr;

use crate::error::Findings;
use crate::model::{self, AddressSource, IpAction};

/// A range of addresses. An IPv4 address that is mapped into IPv6 counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

impl Cidr {
    /// `10.0.0.0/8`, `2001:db8::/32`, or an address alone. Bits beyond the length may be set.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let network: IpAddr = address.parse().ok()?;
        let whole: u8 = if network.is_ipv4() { 32 } else { 128 };
        let bits = match length {
            None => whole,
            Some(digits) if digits.len() <= 3 && digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        match network.to_canonical() {
            IpAddr::V4(v4) if network.is_ipv6() && (96..=128).contains(&bits) => {
                Some(Self { network: IpAddr::V4(v4), bits: bits - 96 })
            }
            _ => (bits <= whole).then_some(Self { network, bits }),
        }
    }

    /// Whether an address is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// Allow or deny, never both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpRules {
    action: IpAction,
    entries: Box<[(AddressSource, Cidr)]>,
    /// An entry of a deny rule could not be read: everybody is refused.
    broken: bool,
}

impl IpRules {
    /// Whether a request is served. `peer` is the other end of the connection, `remote` the trusted client address.
    pub fn admits(&self, peer: IpAddr, remote: IpAddr) -> bool {
        let listed = self.entries.iter().any(|(source, range)| match source {
            AddressSource::Peer => range.contains(peer),
            AddressSource::Remote => range.contains(remote),
        });
        !self.broken && listed == (self.action == IpAction::Allow)
    }

    /// Compiles. Entries that cannot be read are reported; without them fewer addresses are served, never more.
    pub(crate) fn compile(rules: &model::IpRules, findings: &mut Findings) -> Self {
        let mut entries = Vec::with_capacity(rules.entries.len());
        for (n, entry) in rules.entries.iter().enumerate() {
            match Cidr::parse(&entry.cidr) {
                Some(range) => entries.push((entry.source, range)),
                None => {
                    findings.add(format!("ip_rules.entries[{n}].cidr"), format!("{:?} is not a range", entry.cidr));
                }
            }
        }
        let broken = rules.action == IpAction::Deny && entries.len() < rules.entries.len();
        Self { action: rules.action, entries: entries.into_boxed_slice(), broken }
    }
}
