//! The run queue: a plain deque for the owner thread, a locked one for wake-ups from elsewhere.

use std::cell::{RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_task::{Runnable, Task};
use slab::Slab;

thread_local! {
    /// Its address identifies the thread; comparing it costs one load, `thread::current().id()` several.
    static THREAD_MARK: u8 = const { 0 };
}

pub(crate) fn thread_mark() -> usize {
    THREAD_MARK.with(|mark| std::ptr::from_ref(mark) as usize)
}

/// Runnables that wait for the next turn.
pub(crate) struct RunQueue {
    owner: usize,
    local: UnsafeCell<VecDeque<Runnable>>,
    remote: Mutex<Vec<Runnable>>,
    waker: mio::Waker,
}

// SAFETY: `local` is touched only after `thread_mark() == owner` was checked, that is on the one thread that made the
// queue (a later thread can only have the same mark once the owner is gone, so there is never a second user at the
// same time). Everything else in the struct is `Sync` by itself.
#[allow(unsafe_code)]
unsafe impl Sync for RunQueue {}
// SAFETY: as above; the queue may be dropped on another thread only when the last task and waker are gone, at which
// point `local` is empty because every runnable in it holds a reference to its task.
#[allow(unsafe_code)]
unsafe impl Send for RunQueue {}

impl RunQueue {
    pub(crate) fn new(waker: mio::Waker) -> Self {
        Self {
            owner: thread_mark(),
            local: UnsafeCell::new(VecDeque::with_capacity(256)),
            remote: Mutex::new(Vec::new()),
            waker,
        }
    }

    /// Runs `f` on the local deque. `f` must not schedule anything itself.
    #[allow(unsafe_code)]
    fn with_local<R>(&self, f: impl FnOnce(&mut VecDeque<Runnable>) -> R) -> R {
        debug_assert_eq!(self.owner, thread_mark());
        // SAFETY: we are on the owner thread (the callers check it), and no reference into the deque outlives a call
        // of this function, so the exclusive reference is unique: `f` is one deque operation that cannot re-enter.
        f(unsafe { &mut *self.local.get() })
    }

    pub(crate) fn push(&self, runnable: Runnable) {
        if thread_mark() == self.owner {
            self.with_local(|queue| queue.push_back(runnable));
        } else {
            self.remote.lock().unwrap_or_else(PoisonError::into_inner).push(runnable);
            self.wake();
        }
    }

    pub(crate) fn pop(&self) -> Option<Runnable> {
        self.with_local(VecDeque::pop_front)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.with_local(|queue| queue.is_empty())
    }

    /// Moves what other threads queued behind the local runnables.
    pub(crate) fn collect_remote(&self) {
        let mut remote = self.remote.lock().unwrap_or_else(PoisonError::into_inner);
        if !remote.is_empty() {
            self.with_local(|queue| queue.extend(remote.drain(..)));
        }
    }

    /// Makes the host's descriptor readable. A failure means the host is gone, so there is nobody to wake.
    pub(crate) fn wake(&self) {
        let woken: io::Result<()> = self.waker.wake();
        drop(woken);
    }
}

/// Wakes a host from any thread.
#[derive(Clone)]
pub struct RemoteWaker(pub(crate) Arc<RunQueue>);

impl RemoteWaker {
    /// Makes the host's descriptor readable, so that its loop turns it soon.
    pub fn wake(&self) {
        self.0.wake();
    }
}

/// The tasks that live in a host, so that closing it can drop them.
#[derive(Default)]
pub(crate) struct Tasks(RefCell<Slab<Task<()>>>);

/// Forgets a task's handle when its future ends or is dropped.
struct Registered<F> {
    future: Pin<Box<F>>,
    id: usize,
    tasks: std::rc::Weak<Tasks>,
}

impl<F: Future<Output = ()>> Future for Registered<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.future.as_mut().poll(context)
    }
}

impl<F> Drop for Registered<F> {
    fn drop(&mut self) {
        if let Some(tasks) = self.tasks.upgrade()
            && let Ok(mut slab) = tasks.0.try_borrow_mut()
            && let Some(task) = slab.try_remove(self.id)
        {
            task.detach();
        }
    }
}

impl Tasks {
    pub(crate) fn spawn(self: &std::rc::Rc<Self>, queue: &Arc<RunQueue>, future: impl Future<Output = ()> + 'static) {
        let mut slab = self.0.borrow_mut();
        let entry = slab.vacant_entry();
        let registered = Registered { future: Box::pin(future), id: entry.key(), tasks: std::rc::Rc::downgrade(self) };
        let queue = Arc::clone(queue);
        let (runnable, task) = async_task::spawn_local(registered, move |runnable| queue.push(runnable));
        entry.insert(task);
        drop(slab);
        runnable.schedule();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Takes every handle out; dropping a handle cancels its task.
    pub(crate) fn take_all(&self) -> Vec<Task<()>> {
        self.0.borrow_mut().drain().collect()
    }
}
