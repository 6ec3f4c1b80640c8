//! Timers: when they fire, what moving them costs, what they leave behind.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Poll;

use sluice_host::{Host, Timer, TurnBudget};
use support::{ScriptClock, await_work, drive, hand_host, host, readable, settle};

const SECOND: u64 = 1_000_000_000;
/// Length of a tick in nanoseconds.
const TICK: u64 = 1 << 23;

/// A task that waits for `timer`; how often it was polled, and whether it is through.
fn waiting(host: &Host, timer: &Rc<Timer>) -> (Rc<Cell<u32>>, Rc<Cell<bool>>) {
    let (polls, done) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let (timer, counted, through) = (Rc::clone(timer), Rc::clone(&polls), Rc::clone(&done));
    host.spawn(async move {
        std::future::poll_fn(|context| {
            counted.set(counted.get() + 1);
            timer.poll_expired(context)
        })
        .await;
        through.set(true);
    });
    settle(host);
    (polls, done)
}

#[test]
fn moving_a_deadline_on_wakes_nobody() {
    let (host, clock, start) = hand_host();
    let timer = Rc::new(Timer::new(&host));
    timer.set(start + SECOND);
    let (polls, done) = waiting(&host, &timer);
    assert_eq!(polls.get(), 1);
    timer.set(start + 3 * SECOND);
    assert_eq!(host.next_deadline_ns().unwrap() / SECOND, 1, "the entry stays where it is");
    clock.set(start + 2 * SECOND);
    host.turn();
    assert_eq!(polls.get(), 1, "the entry moved on by itself");
    assert_eq!(host.next_deadline_ns().unwrap() / SECOND, 1);
    clock.set(start + 3 * SECOND + TICK);
    host.turn();
    assert!(done.get());
    assert_eq!(host.next_deadline_ns(), None);
}

#[test]
fn an_earlier_deadline_after_a_later_one() {
    let (host, clock, start) = hand_host();
    let timer = Rc::new(Timer::new(&host));
    timer.set(start + 30 * SECOND);
    timer.set(start + 2 * SECOND);
    let (polls, done) = waiting(&host, &timer);
    clock.set(start + 2 * SECOND + TICK);
    host.turn();
    assert!(done.get());
    assert_eq!(polls.get(), 2);
    // The later entry finds nothing to do, whether the timer is unset or set again for the same tick.
    timer.set(start + 30 * SECOND);
    let (polls, done) = waiting(&host, &timer);
    clock.set(start + 30 * SECOND + TICK);
    host.turn();
    assert!(done.get());
    assert_eq!(polls.get(), 2);
    assert_eq!(host.next_deadline_ns(), None);
}

#[test]
fn a_dropped_timer_wakes_nobody_and_leaves_nothing() {
    let (host, clock, start) = hand_host();
    let timer = Timer::new(&host);
    let alive = Rc::new(());
    let held = Rc::clone(&alive);
    timer.set(start + SECOND);
    host.spawn(async move {
        std::future::poll_fn(|context| {
            assert!(timer.poll_expired(context).is_pending());
            Poll::Ready(())
        })
        .await;
        drop((timer, held));
    });
    settle(&host);
    assert_eq!((host.tasks(), Rc::strong_count(&alive)), (0, 1));
    clock.set(start + 2 * SECOND);
    assert_eq!(host.turn().tasks, 0);
    assert_eq!(host.next_deadline_ns(), None);
}

#[test]
fn deadlines_are_rounded_up_by_less_than_two_ticks() {
    for offset in [0, 1, TICK - 1, TICK, TICK + 1, SECOND, 10 * SECOND + 12_345] {
        let (host, clock, start) = hand_host();
        let timer = Timer::new(&host);
        timer.set(start + offset);
        assert!(!timer.is_expired());
        clock.set(start + offset);
        host.turn();
        assert!(!timer.is_expired(), "early by rounding: {offset}");
        clock.set(start + offset + TICK);
        host.turn();
        assert!(timer.is_expired(), "more than a tick late: {offset}");
    }
}

#[test]
fn a_cleared_timer_never_fires() {
    let (host, clock, start) = hand_host();
    let timer = Rc::new(Timer::new(&host));
    timer.set(start + SECOND);
    let (polls, done) = waiting(&host, &timer);
    timer.clear();
    clock.set(start + 5 * SECOND);
    assert_eq!(host.turn().tasks, 0);
    assert!(!timer.is_expired());
    assert_eq!((polls.get(), done.get()), (1, false));
}

#[test]
fn the_end_of_time_is_no_deadline_that_passes() {
    let (host, clock, start) = hand_host();
    let timer = Timer::new(&host);
    timer.set(u64::MAX);
    clock.set(start + 1_000_000 * SECOND);
    host.turn();
    assert!(!timer.is_expired());
}

#[test]
fn far_deadlines_leave_no_far_entries() {
    let (host, clock, start) = hand_host();
    // What a closed connection leaves: its deadline was an hour ahead.
    for _ in 0..100 {
        Timer::new(&host).set(start + 3600 * SECOND);
    }
    let kept = Rc::new(Timer::new(&host));
    kept.set(start + 300 * SECOND);
    let (polls, done) = waiting(&host, &kept);
    assert!(host.next_deadline_ns().unwrap() < 70 * SECOND);
    for passed in [70, 140, 210, 280] {
        clock.set(start + passed * SECOND);
        host.turn();
        assert_eq!(polls.get(), 1, "the entry moves without waking the task");
    }
    clock.set(start + 300 * SECOND + TICK);
    host.turn();
    assert!(done.get());
    assert_eq!(host.next_deadline_ns(), None, "the entries of the dropped timers are gone");
}

#[test]
fn a_due_timer_makes_the_descriptor_readable() {
    let host = host();
    let fired = Rc::new(Cell::new(false));
    let (inner, flag) = (host.clone(), Rc::clone(&fired));
    host.spawn(async move {
        Timer::new(&inner).sleep_until(inner.now_ns() + 30_000_000).await;
        flag.set(true);
    });
    host.turn();
    assert!(!fired.get());
    drive(&host, || fired.get());
    settle(&host);
    assert!(!readable(&host), "an expired timer is not reported again");
}

#[test]
fn a_deadline_that_passes_within_a_turn_is_not_lost() {
    // For the kernel's timer these times are long past: it fires as soon as it is armed.
    let (early, deadline) = (SECOND, 2 * SECOND);
    let script = Rc::new(RefCell::new(vec![early]));
    let host = Host::new(ScriptClock(Rc::clone(&script)), TurnBudget::default()).unwrap();
    let timer = Rc::new(Timer::new(&host));
    timer.set(deadline);
    let (_, done) = waiting(&host, &timer);
    // The turn reads the clock just before the deadline, and then takes the kernel's report of the deadline.
    *script.borrow_mut() = vec![early, deadline + TICK];
    host.turn();
    assert!(!done.get());
    await_work(&host);
    host.turn();
    assert!(done.get());
}

#[test]
fn the_same_past_deadline_twice_fires_twice() {
    let (host, clock, start) = hand_host();
    for _ in 0..2 {
        let timer = Rc::new(Timer::new(&host));
        timer.set(start + SECOND);
        let (_, done) = waiting(&host, &timer);
        clock.set(start + 2 * SECOND);
        host.turn();
        assert!(done.get());
    }
}

#[test]
fn closing_forgets_timers() {
    let (host, _, start) = hand_host();
    let timer = Rc::new(Timer::new(&host));
    timer.set(start + SECOND);
    waiting(&host, &timer);
    host.close();
    assert_eq!((host.tasks(), host.next_deadline_ns()), (0, None));
    timer.set(start + 2 * SECOND);
    assert!(host.next_deadline_ns().is_some(), "a timer can be set again");
}

#[test]
fn a_fine_timer_is_due_within_two_milliseconds() {
    let (host, clock, start) = hand_host();
    let (fine, coarse) = (Timer::fine(&host), Timer::new(&host));
    fine.set(start + 3_000_000);
    coarse.set(start + 3_000_000);
    assert!(host.next_deadline_ns().unwrap() <= 5_000_000);
    clock.set(start + 5_000_000);
    host.turn();
    assert!(fine.is_expired());
    clock.set(start + 2_900_000_000);
    fine.set(start + 3_000_000_000);
    host.turn();
    assert!(!fine.is_expired() && coarse.is_expired());
}
