//! Access-log lines leave the worker in batches, by a thread of its own: a full pipe must not stall requests.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, SyncSender, TrySendError};

/// A batch is handed over when it has this many bytes …
const BATCH: usize = 32 * 1024;
/// … or is this old.
const BATCH_NS: u64 = 200_000_000;
/// Batches that may wait for a slow reader: 64 × 32 KiB. Beyond it lines are dropped and counted.
const QUEUED: usize = 64;

/// Collects lines and hands them to the writer thread.
pub(crate) struct LogWriter {
    batch: RefCell<Vec<u8>>,
    lines: Cell<u64>,
    since_ns: Cell<u64>,
    dropped: Cell<u64>,
    batches: SyncSender<Vec<u8>>,
}

fn write_batches(batches: &mpsc::Receiver<Vec<u8>>, mut file: File) {
    for batch in batches {
        // The reader of the log may be gone; traffic matters more than its log.
        drop(file.write_all(&batch));
    }
}

impl LogWriter {
    /// Starts the writer thread on a descriptor.
    pub(crate) fn new(fd: OwnedFd) -> std::io::Result<Self> {
        let (batches, receiver) = mpsc::sync_channel(QUEUED);
        let file = File::from(fd);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || write_batches(&receiver, file))?;
        Ok(Self {
            batch: RefCell::new(Vec::with_capacity(BATCH + 4096)),
            lines: Cell::new(0),
            since_ns: Cell::new(0),
            dropped: Cell::new(0),
            batches,
        })
    }

    /// Appends one line by `format`, which must end it with a line feed.
    pub(crate) fn line(&self, now_ns: u64, format: impl FnOnce(&mut Vec<u8>)) {
        let mut batch = self.batch.borrow_mut();
        if batch.is_empty() {
            self.since_ns.set(now_ns);
        }
        format(&mut batch);
        self.lines.set(self.lines.get() + 1);
        if batch.len() >= BATCH {
            drop(batch);
            self.flush();
        }
    }

    /// Hands over a batch that has waited for long enough.
    pub(crate) fn flush_if_old(&self, now_ns: u64) {
        if !self.batch.borrow().is_empty() && now_ns.saturating_sub(self.since_ns.get()) >= BATCH_NS {
            self.flush();
        }
    }

    /// Hands over what there is.
    pub(crate) fn flush(&self) {
        let batch = self.batch.replace(Vec::with_capacity(BATCH + 4096));
        let lines = self.lines.replace(0);
        if batch.is_empty() {
            return;
        }
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.batches.try_send(batch) {
            self.dropped.set(self.dropped.get() + lines);
        }
    }

    /// Lines dropped since the last call.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.replace(0)
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.flush();
    }
}
