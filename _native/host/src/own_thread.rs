//! Values of one thread behind interfaces that ask for `Send` and `Sync`.

use std::mem::ManuallyDrop;

use crate::executor::thread_mark;

/// Carries a value of the host's thread through code that is written for many threads (`quinn`'s traits). Only the
/// thread that made it gets at the value; on any other one [`OwnThread::get`] panics, and dropping leaks the value.
pub struct OwnThread<T> {
    owner: usize,
    value: ManuallyDrop<T>,
}

// SAFETY: a reference to the value is only handed out, and the value is only dropped, after `thread_mark() == owner` was
// checked, that is on the thread that made it (a later thread can only have the same mark once the owner is gone, so two
// threads never have it at the same time). Moving or sharing the wrapper itself touches nothing but the number.
#[allow(unsafe_code)]
unsafe impl<T> Send for OwnThread<T> {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl<T> Sync for OwnThread<T> {}

impl<T> OwnThread<T> {
    /// Wraps a value of the calling thread.
    pub fn new(value: T) -> Self {
        Self { owner: thread_mark(), value: ManuallyDrop::new(value) }
    }

    /// The value.
    ///
    /// # Panics
    /// On another thread than the one that made it.
    pub fn get(&self) -> &T {
        assert_eq!(self.owner, thread_mark(), "a value of the host's thread was used on another one");
        &self.value
    }
}

impl<T> Drop for OwnThread<T> {
    fn drop(&mut self) {
        let own = self.owner == thread_mark();
        debug_assert!(own, "a value of the host's thread is leaked on another one");
        if own {
            // SAFETY: this is the owner's thread, the value was not dropped before, and nobody can use it afterwards.
            #[allow(unsafe_code)]
            unsafe {
                ManuallyDrop::drop(&mut self.value);
            }
        }
    }
}

impl<T> std::fmt::Debug for OwnThread<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnThread").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[test]
    fn the_owner_gets_the_value_and_drops_it() {
        let shared = Rc::new(7);
        let own = OwnThread::new(Rc::clone(&shared));
        assert_eq!(**own.get(), 7);
        drop(own);
        assert_eq!(Rc::strong_count(&shared), 1);
    }

    #[test]
    fn no_other_thread_gets_the_value() {
        let own = std::sync::Arc::new(OwnThread::new(Rc::new(7)));
        let sent = std::sync::Arc::clone(&own);
        let seen = std::thread::spawn(move || {
            let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| **sent.get())).is_ok();
            drop(sent);
            seen
        });
        assert!(!seen.join().expect("the panic was caught"));
        assert_eq!(**own.get(), 7);
    }
}
