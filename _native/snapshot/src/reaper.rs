//! Frees what is large on a thread of its own.
//!
//! To free 10,000 routes takes 20 ms, and the last reference to a configuration may be that of a request: the thread
//! that serves would stand still for so long.

use std::any::Any;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

type Heavy = Box<dyn Any + Send>;

/// `None` where no thread could be started.
static REAPER: OnceLock<Option<Sender<Heavy>>> = OnceLock::new();

/// Starts the thread, which inherits the priority of the caller: whoever makes large things comes after traffic.
pub(crate) fn start() -> Option<&'static Sender<Heavy>> {
    let reaper = REAPER.get_or_init(|| {
        let (sender, receiver) = channel::<Heavy>();
        let thread =
            thread::Builder::new().name("reaper".to_owned()).spawn(move || receiver.into_iter().for_each(drop));
        thread.ok().map(|_| sender)
    });
    reaper.as_ref()
}

/// Drops `value`, elsewhere if that is possible.
pub(crate) fn free<T: Send + 'static>(value: T) {
    if let Some(reaper) = start() {
        // What could not be sent comes back in the error and is dropped here.
        drop(reaper.send(Box::new(value)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::thread::{self, ThreadId};

    struct Witness(Sender<ThreadId>);

    impl Drop for Witness {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    #[test]
    fn what_is_large_is_freed_on_another_thread() {
        let (sender, receiver) = channel();
        for _ in 0..2 {
            super::free(Witness(sender.clone()));
        }
        let first = receiver.recv().unwrap();
        assert_ne!(first, thread::current().id());
        assert_eq!(first, receiver.recv().unwrap());
    }
}
