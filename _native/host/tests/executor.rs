//! Tasks: wake-ups from elsewhere, panics, budgets, the end.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use sluice_host::{Host, TurnBudget};
use support::{HandClock, await_work, drive, hand_host, host, readable, settle};

/// Leaves its waker behind and waits until it is woken.
struct Parked {
    waker: Arc<Mutex<Option<Waker>>>,
    polled: bool,
}

impl Future for Parked {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.polled {
            return Poll::Ready(());
        }
        self.polled = true;
        *self.waker.lock().unwrap() = Some(context.waker().clone());
        Poll::Pending
    }
}

fn parked(host: &Host) -> (Arc<Mutex<Option<Waker>>>, Rc<Cell<bool>>) {
    let (waker, done) = (Arc::new(Mutex::new(None)), Rc::new(Cell::new(false)));
    let (left, flag) = (Arc::clone(&waker), Rc::clone(&done));
    host.spawn(async move {
        Parked { waker: left, polled: false }.await;
        flag.set(true);
    });
    settle(host);
    assert!(waker.lock().unwrap().is_some());
    (waker, done)
}

#[test]
fn a_host_without_work_is_not_readable() {
    let host = host();
    assert!(!readable(&host));
    host.spawn(async {});
    assert!(readable(&host));
    assert_eq!(host.turn().tasks, 1);
    assert!(!readable(&host));
    assert_eq!(host.tasks(), 0);
}

#[test]
fn a_remote_waker_makes_the_host_readable() {
    let host = host();
    let waker = host.remote_waker();
    let thread = std::thread::spawn(move || waker.wake());
    await_work(&host);
    thread.join().unwrap();
    assert_eq!(host.turn().tasks, 0);
    assert!(!readable(&host));
}

#[test]
fn a_task_is_woken_from_another_thread() {
    let host = host();
    let (waker, done) = parked(&host);
    assert!(!readable(&host));
    let thread = std::thread::spawn(move || waker.lock().unwrap().take().unwrap().wake());
    await_work(&host);
    thread.join().unwrap();
    drive(&host, || done.get());
    assert_eq!(host.tasks(), 0);
    assert!(!readable(&host));
}

#[test]
fn a_thousand_wake_ups_from_threads_all_arrive() {
    let host = host();
    let done = Rc::new(Cell::new(0));
    let wakers: Vec<_> = (0..1000)
        .map(|_| {
            let waker = Arc::new(Mutex::new(None));
            let (left, count) = (Arc::clone(&waker), Rc::clone(&done));
            host.spawn(async move {
                Parked { waker: left, polled: false }.await;
                count.set(count.get() + 1);
            });
            waker
        })
        .collect();
    settle(&host);
    let threads: Vec<_> = wakers
        .chunks(250)
        .map(|part| {
            let part: Vec<Waker> = part.iter().map(|waker| waker.lock().unwrap().take().unwrap()).collect();
            std::thread::spawn(move || part.into_iter().for_each(Waker::wake))
        })
        .collect();
    drive(&host, || done.get() == 1000);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_waker_may_outlive_its_task_and_its_host() {
    let host = host();
    let (waker, _) = parked(&host);
    host.close();
    drop(host);
    let waker = waker.lock().unwrap().take().unwrap();
    std::thread::spawn(move || {
        waker.wake_by_ref();
        drop(waker);
    })
    .join()
    .unwrap();
}

#[test]
fn a_panic_costs_one_task() {
    let host = host();
    let dropped = Rc::new(());
    let held = Rc::clone(&dropped);
    let (_, before) = parked(&host);
    host.spawn(async move {
        assert_eq!(Rc::strong_count(&held), 0, "on purpose");
    });
    let after = Rc::new(Cell::new(false));
    let flag = Rc::clone(&after);
    host.spawn(async move { flag.set(true) });
    let report = host.turn();
    assert_eq!((report.panics, report.tasks), (1, 2));
    assert!(after.get() && !before.get());
    assert_eq!(Rc::strong_count(&dropped), 1, "what the task held is dropped");
    assert_eq!(host.tasks(), 1, "the panicked task is forgotten");
}

#[test]
fn a_spent_budget_leaves_work_and_stays_readable() {
    let host = Host::new(HandClock::at(1), TurnBudget { polls: 4, time_ns: 0 }).unwrap();
    let done = Rc::new(Cell::new(0));
    for _ in 0..200 {
        let count = Rc::clone(&done);
        host.spawn(async move { count.set(count.get() + 1) });
    }
    host.turn();
    let first = done.get();
    assert!(first > 0 && first < 200, "{first}");
    assert!(readable(&host));
    drive(&host, || done.get() == 200);
    assert!(!readable(&host));
}

#[test]
fn a_task_that_wakes_itself_does_not_keep_a_turn() {
    let host = Host::new(HandClock::at(1), TurnBudget { polls: 1, time_ns: 0 }).unwrap();
    host.spawn(poll_fn(|context| {
        context.waker().wake_by_ref();
        Poll::Pending
    }));
    let seen = Rc::new(Cell::new(false));
    let flag = Rc::clone(&seen);
    host.spawn(async move { flag.set(true) });
    host.turn();
    assert!(seen.get() && readable(&host));
    host.close();
    assert_eq!(host.tasks(), 0);
}

#[test]
fn tasks_may_start_tasks() {
    let (host, _, _) = hand_host();
    let (inner, order) = (host.clone(), Rc::new(RefCell::new(Vec::new())));
    let seen = Rc::clone(&order);
    host.spawn(async move {
        seen.borrow_mut().push(1);
        let later = Rc::clone(&seen);
        inner.spawn_in_turn(async move { later.borrow_mut().push(3) });
        seen.borrow_mut().push(2);
    });
    host.turn();
    assert_eq!(*order.borrow(), [1, 2, 3], "within the same turn, after the task that started it");
}

#[test]
fn closing_drops_every_task() {
    let host = host();
    let alive = Rc::new(());
    // One that never ran, one that waits, one that holds the host itself.
    let (held, inner) = (Rc::clone(&alive), host.clone());
    host.spawn(async move {
        pending::<()>().await;
        drop((held, inner));
    });
    settle(&host);
    let held = Rc::clone(&alive);
    host.spawn(async move {
        pending::<()>().await;
        drop(held);
    });
    assert_eq!(host.tasks(), 2);
    host.close();
    assert_eq!((host.tasks(), Rc::strong_count(&alive)), (0, 1));
    assert_eq!(host.turn().tasks, 0);
}

#[test]
fn closing_drops_a_task_that_another_thread_has_just_woken() {
    let host = host();
    let (waker, alive) = (Arc::new(Mutex::new(None)), Rc::new(()));
    let (left, held) = (Arc::clone(&waker), Rc::clone(&alive));
    host.spawn(async move {
        Parked { waker: left, polled: false }.await;
        pending::<()>().await;
        drop(held);
    });
    settle(&host);
    std::thread::spawn(move || waker.lock().unwrap().take().unwrap().wake()).join().unwrap();
    host.close();
    assert_eq!((host.tasks(), Rc::strong_count(&alive)), (0, 1));
}

#[test]
fn a_task_that_is_dropped_may_hold_another_ones_socket() {
    let host = host();
    let (io, _peer) = support::pair(&host);
    host.spawn(async move {
        let mut byte = [0];
        drop(support::read(&io, &mut byte).await);
    });
    settle(&host);
    host.close();
    assert_eq!(host.tasks(), 0);
    assert!(!readable(&host) || host.turn().tasks == 0);
}
