//! Datagrams that wait while the name of a cluster is resolved.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

/// Datagrams of one session.
const DATAGRAMS: usize = 16;
/// Bytes of one session: the longest datagram fits.
const SESSION_BYTES: usize = 64 * 1024;
/// Bytes of all sessions of a listener, in each worker. Anybody can send from any number of addresses.
const LISTENER_BYTES: usize = 4 * 1024 * 1024;
/// What a datagram costs beside its bytes.
const OVERHEAD: usize = size_of::<Box<[u8]>>();

/// Bytes that wait for a listener.
#[derive(Default)]
pub(super) struct Total(Cell<usize>);

/// The datagrams of one session. Dropping them makes room for those of others.
pub(super) struct Waiting {
    datagrams: RefCell<VecDeque<Box<[u8]>>>,
    bytes: Cell<usize>,
    total: Rc<Total>,
}

impl Waiting {
    pub(super) fn new(total: &Rc<Total>) -> Self {
        Self { datagrams: RefCell::default(), bytes: Cell::new(0), total: Rc::clone(total) }
    }

    /// Holds a datagram, if there is room for it.
    pub(super) fn push(&self, datagram: &[u8]) -> bool {
        let own = self.bytes.get() + datagram.len() + OVERHEAD;
        let all = self.total.0.get() + datagram.len() + OVERHEAD;
        let mut datagrams = self.datagrams.borrow_mut();
        if datagrams.len() >= DATAGRAMS || own > SESSION_BYTES || all > LISTENER_BYTES {
            return false;
        }
        datagrams.push_back(Box::from(datagram));
        self.bytes.set(own);
        self.total.0.set(all);
        true
    }

    /// Everything, in the order in which it came.
    pub(super) fn take(&self) -> VecDeque<Box<[u8]>> {
        self.total.0.set(self.total.0.get().saturating_sub(self.bytes.take()));
        self.datagrams.take()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_holds_few_datagrams_and_few_bytes() {
        let total = Rc::new(Total::default());
        let many = Waiting::new(&total);
        assert_eq!((0..20).filter(|_| many.push(b"")).count(), DATAGRAMS);
        let long = Waiting::new(&total);
        assert!(long.push(&vec![0; 65_507]), "the longest one there is");
        assert!(!long.push(&[0; 1000]), "more than 64 KiB");
        assert_eq!(long.take().len(), 1);
        assert!(long.push(&[0; 1000]), "it makes room");
    }

    #[test]
    fn all_sessions_share_a_bound() {
        let total = Rc::new(Total::default());
        let sessions: Vec<_> = (0..100).map(|_| Waiting::new(&total)).collect();
        let held = sessions.iter().filter(|session| session.push(&vec![0; 60_000])).count();
        assert_eq!(held, LISTENER_BYTES / (60_000 + OVERHEAD));
        assert!(!Waiting::new(&total).push(&vec![0; 60_000]));
        drop(sessions);
        assert_eq!(total.0.get(), 0, "sessions that ended hold nothing");
    }
}
