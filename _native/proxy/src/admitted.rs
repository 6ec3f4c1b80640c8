//! How many connections there may be: for a listener, and for a client address (row D51).

use std::net::IpAddr;
use std::rc::Rc;

use sluice_policy::addresses::AddressKey;
use sluice_policy::stats::{Field, Global};
use sluice_snapshot::Listener;

use crate::shared::Shared;

/// A connection from its accept to its end. Dropping it gives its place to another one.
///
/// Limits hold over all workers, but for connections that several of them accept at the very same moment.
pub(crate) struct Admitted {
    pub(crate) shared: Rc<Shared>,
    slot: usize,
    /// The address that it counts for, if addresses have a limit.
    address: Option<AddressKey>,
}

impl Admitted {
    /// Counts a connection, unless its listener is full.
    pub(crate) fn new(shared: &Rc<Shared>, listener: &Listener) -> Option<Self> {
        let slot = listener.slot as usize;
        if let Some(limit) = listener.max_connections
            && shared.listener_connections(slot) >= u64::from(limit)
        {
            shared.count(Global::RefusedByListener, 1);
            return None;
        }
        shared.count(Global::Active, 1);
        if let Some(row) = shared.listener_row(slot) {
            row.add(Field::ConnectionsActive, 1);
        }
        Some(Self { shared: Rc::clone(shared), slot, address: None })
    }

    /// Counts it for the address of its client, unless that has as many as it may have.
    pub(crate) fn from(mut self, address: IpAddr, listener: &Listener) -> Option<Self> {
        self.claim(address, listener).then_some(self)
    }

    /// As [`Admitted::from`]; false for an address that has as many as it may have.
    pub(crate) fn claim(&mut self, address: IpAddr, listener: &Listener) -> bool {
        let Some(limit) = listener.max_connections_per_address else { return true };
        let Some(addresses) = self.shared.addresses() else { return true };
        let key = addresses.key(address);
        if addresses.count(key) >= u64::from(limit) {
            self.shared.count(Global::RefusedByAddress, 1);
            return false;
        }
        addresses.enter(self.shared.worker, key);
        self.address = Some(key);
        true
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.shared.uncount(Global::Active, 1);
        if let Some(row) = self.shared.listener_row(self.slot) {
            row.sub(Field::ConnectionsActive, 1);
        }
        if let Some(key) = self.address
            && let Some(addresses) = self.shared.addresses()
        {
            addresses.leave(self.shared.worker, key);
        }
    }
}
