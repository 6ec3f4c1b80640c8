//! Timers for many tasks whose deadlines mostly move forward.
//!
//! A connection moves its deadline with every request but hardly ever reaches it. So a [`Timer`] only notes its
//! deadline; the entry in the wheel stays where it is and moves itself when it comes up too early.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::host::Host;

/// Length of a tick: 2^23 ns, about 8.4 ms. Timeouts are milliseconds to hours; a finer grain only costs wake-ups.
pub(crate) const COARSE_SHIFT: u32 = 23;
/// Length of a fine tick: 2^20 ns, about 1 ms, the granularity that QUIC's loss detection assumes (RFC 9002 section
/// 6.1.2).
pub(crate) const FINE_SHIFT: u32 = 20;
/// An entry lies at most this many ticks ahead (2^13, about 69 s; of fine ticks 9 s), however far its deadline is: a
/// timer that was moved or dropped leaves its entry behind, and what an hour of closed connections left behind would not
/// be little.
const REACH: u64 = 1 << 13;
/// Entries at the end of the reach share ticks that are a multiple of this (2^7, about 1 s; of fine ticks 0.1 s), so
/// that many idle timers do not make many wake-ups.
const COARSE: u64 = 1 << 7;

#[derive(Default)]
struct State {
    /// Deadline in ticks, 0 when there is none.
    deadline: Cell<u64>,
    /// Tick of the entry in the wheel that belongs to this timer, 0 when there is none.
    scheduled: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

/// Entries by tick.
pub(crate) struct Wheel {
    shift: u32,
    slots: BTreeMap<u64, Vec<Rc<State>>>,
}

/// Where the entry of a deadline goes, both in ticks.
fn entry_of(deadline: u64, now: u64) -> u64 {
    if deadline <= now.saturating_add(REACH) { deadline } else { (now + REACH) / COARSE * COARSE }
}

impl Wheel {
    pub(crate) fn new(shift: u32) -> Self {
        Self { shift, slots: BTreeMap::new() }
    }

    fn insert(&mut self, state: &Rc<State>, deadline: u64, now: u64) {
        let tick = entry_of(deadline, now);
        state.scheduled.set(tick);
        self.slots.entry(tick).or_default().push(Rc::clone(state));
    }

    /// The earliest entry in nanoseconds. The timer behind it may have moved: then the turn is short.
    pub(crate) fn earliest_ns(&self) -> Option<u64> {
        self.slots.first_key_value().map(|(tick, _)| tick << self.shift)
    }

    /// Collects the wakers of every timer that is due at `now_ns`.
    pub(crate) fn expire(&mut self, now_ns: u64, woken: &mut Vec<Waker>) {
        let now = now_ns >> self.shift;
        while let Some(slot) = self.slots.first_entry() {
            let tick = *slot.key();
            if tick > now {
                break;
            }
            for state in slot.remove() {
                if state.scheduled.get() != tick {
                    continue;
                }
                state.scheduled.set(0);
                match state.deadline.get() {
                    0 => {}
                    later if later > now => self.insert(&state, later, now),
                    _ => woken.extend(state.waker.borrow_mut().take()),
                }
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        for state in self.slots.values().flatten() {
            state.scheduled.set(0);
        }
        self.slots.clear();
    }
}

/// One deadline of one task.
pub struct Timer {
    host: Host,
    shift: u32,
    state: Rc<State>,
}

impl Timer {
    /// A timer without a deadline.
    pub fn new(host: &Host) -> Self {
        Self { host: host.clone(), shift: COARSE_SHIFT, state: Rc::default() }
    }

    /// As [`Timer::new`], with ticks of a millisecond: for protocols whose own timers are that fine.
    pub fn fine(host: &Host) -> Self {
        Self { host: host.clone(), shift: FINE_SHIFT, state: Rc::default() }
    }

    fn now(&self) -> u64 {
        self.host.now_ns() >> self.shift
    }

    /// Sets the deadline to an absolute monotonic time in nanoseconds, rounded up to the next tick.
    pub fn set(&self, at_ns: u64) {
        let tick = (at_ns >> self.shift) + 1;
        self.state.deadline.set(tick);
        let scheduled = self.state.scheduled.get();
        if scheduled == 0 || tick < scheduled {
            self.host.wheel(self.shift).borrow_mut().insert(&self.state, tick, self.now());
        }
    }

    /// Removes the deadline.
    pub fn clear(&self) {
        self.state.deadline.set(0);
    }

    /// Whether the deadline has passed. Never true without one. Does not register the task.
    pub fn is_expired(&self) -> bool {
        let deadline = self.state.deadline.get();
        deadline != 0 && deadline <= self.now()
    }

    /// Ready once the deadline has passed; never without a deadline.
    pub fn poll_expired(&self, context: &Context<'_>) -> Poll<()> {
        let deadline = self.state.deadline.get();
        if deadline == 0 {
            return Poll::Pending;
        }
        if deadline <= self.now() {
            return Poll::Ready(());
        }
        let mut waker = self.state.waker.borrow_mut();
        match waker.as_ref() {
            Some(held) if held.will_wake(context.waker()) => {}
            _ => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Waits until an absolute monotonic time in nanoseconds.
    pub async fn sleep_until(&self, at_ns: u64) {
        self.set(at_ns);
        std::future::poll_fn(|context| self.poll_expired(context)).await;
        self.clear();
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // The entry in the wheel stays until its tick and finds nothing to do.
        self.clear();
        self.state.waker.borrow_mut().take();
    }
}
