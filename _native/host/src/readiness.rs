//! What the kernel last said about a socket, and who waits for it.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

pub(crate) const READABLE: u8 = 1;
pub(crate) const WRITABLE: u8 = 2;
/// The peer sent FIN (or more): a short read no longer means "drained".
pub(crate) const READ_CLOSED: u8 = 4;
/// The peer is gone in both directions, or the socket is in error.
pub(crate) const HUNG_UP: u8 = 8;

/// Edge-triggered readiness of one registered socket.
#[derive(Default)]
pub(crate) struct Readiness {
    flags: Cell<u8>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
}

fn store(slot: &RefCell<Option<Waker>>, waker: &Waker) {
    let mut slot = slot.borrow_mut();
    match slot.as_ref() {
        Some(held) if held.will_wake(waker) => {}
        _ => *slot = Some(waker.clone()),
    }
}

impl Readiness {
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags.get() & flag != 0
    }

    pub(crate) fn clear(&self, flag: u8) {
        self.flags.set(self.flags.get() & !flag);
    }

    pub(crate) fn set(&self, flags: u8) {
        self.flags.set(self.flags.get() | flags);
    }

    /// Marks the socket drained for reading, unless an end of stream is still to be read.
    pub(crate) fn drained(&self) {
        if !self.has(READ_CLOSED) {
            self.clear(READABLE);
        }
    }

    pub(crate) fn poll(&self, flag: u8, context: &Context<'_>) -> Poll<()> {
        if self.has(flag) {
            return Poll::Ready(());
        }
        self.wait(flag, context);
        Poll::Pending
    }

    /// Registers the current task for `flag` without looking at it.
    pub(crate) fn wait(&self, flag: u8, context: &Context<'_>) {
        store(if flag == READABLE { &self.reader } else { &self.writer }, context.waker());
    }

    /// Records an event and hands over the tasks to wake. They are woken later, outside of every borrow.
    pub(crate) fn event(&self, flags: u8, woken: &mut Vec<Waker>) {
        self.set(flags);
        if flags & (READABLE | READ_CLOSED | HUNG_UP) != 0 {
            woken.extend(self.reader.borrow_mut().take());
        }
        if flags & (WRITABLE | HUNG_UP) != 0 {
            woken.extend(self.writer.borrow_mut().take());
        }
    }

    /// The tasks that wait, to be woken without an event.
    pub(crate) fn take_wakers(&self, woken: &mut Vec<Waker>) {
        woken.extend(self.reader.borrow_mut().take());
        woken.extend(self.writer.borrow_mut().take());
    }
}
