//! An answer of another thread, and those who wait for it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// A question that was put to a thread.
pub(crate) struct Pending<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    answer: Option<T>,
    /// Stays set after the answer was taken: several tasks may wait for one answer.
    done: bool,
    wakers: Vec<Waker>,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { answer: None, done: false, wakers: Vec::new() }) }
    }
}

impl<T> Pending<T> {
    pub(crate) fn deliver(&self, answer: T) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answer = Some(answer);
        state.done = true;
        for waker in state.wakers.drain(..) {
            waker.wake();
        }
    }

    /// The answer, once it is there, for the first who takes it.
    pub(crate) fn take(&self) -> Option<T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).answer.take()
    }
}

/// Waits until there is, or was, an answer.
pub(crate) struct Answered<T>(pub(crate) Arc<Pending<T>>);

impl<T> Future for Answered<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.done {
            return Poll::Ready(());
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}
