//! Something that one side of a test waits for and another one lets happen.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::STALLED_MS;

/// Closed until it is opened, once and for all.
#[derive(Clone, Default)]
pub(crate) struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.0.0.lock().unwrap()
    }

    /// Waits in this thread.
    pub(crate) fn wait(&self) {
        let (open, changed) = &*self.0;
        let limit = Duration::from_millis(STALLED_MS);
        let waited = changed.wait_timeout_while(open.lock().unwrap(), limit, |open| !*open).unwrap();
        assert!(!waited.1.timed_out(), "nobody opened the latch");
    }

    /// Waits while the other tasks of this thread go on.
    pub(crate) async fn opened(&self) {
        let latch = self.clone();
        tokio::task::spawn_blocking(move || latch.wait()).await.unwrap();
    }
}
