//! The memory file that master and workers share: counters and token buckets as 64-bit words.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// A shared mapping of 64-bit words. Untouched pages cost no memory.
pub struct SharedWords {
    start: NonNull<AtomicU64>,
    words: usize,
    _file: Option<File>,
}

// SAFETY: the mapping is only handed out as `&[AtomicU64]`; atomics may be used from any thread, and the mapping lives
// as long as the value.
#[allow(unsafe_code)]
unsafe impl Send for SharedWords {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps `words` words of `fd`, growing the file if it is shorter.
    pub fn map(fd: OwnedFd, words: usize) -> io::Result<Self> {
        let file = File::from(fd);
        let bytes = (words * size_of::<AtomicU64>()) as u64;
        if file.metadata()?.len() < bytes {
            file.set_len(bytes)?;
        }
        Self::mmap(words, libc::MAP_SHARED, file.as_raw_fd(), Some(file))
    }

    /// Private memory for an engine that shares with nobody.
    pub fn private(words: usize) -> io::Result<Self> {
        Self::mmap(words, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, None)
    }

    #[allow(unsafe_code)]
    fn mmap(words: usize, flags: i32, fd: i32, file: Option<File>) -> io::Result<Self> {
        let length = words * size_of::<AtomicU64>();
        // SAFETY: the kernel chooses the address, so no existing mapping is touched; length and descriptor are valid,
        // and the file was grown to at least `length`, so no access can fault beyond its end.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, fd, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("the mapping is at address zero"))?;
        Ok(Self { start, words, _file: file })
    }

    /// The words.
    #[allow(unsafe_code)]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has `words` aligned words, lives as long as `self`, was zeroed by the kernel, and other
        // processes access it as atomics only.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for SharedWords {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: start and length are those of our own mapping, and no reference into it outlives `self`.
        unsafe {
            libc::munmap(self.start.as_ptr().cast(), self.words * size_of::<AtomicU64>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn private_words_start_at_zero_and_keep_values() {
        let memory = SharedWords::private(1024).unwrap();
        assert_eq!(memory.words()[1023].load(Ordering::Relaxed), 0);
        memory.words()[1023].store(7, Ordering::Relaxed);
        assert_eq!(memory.words()[1023].load(Ordering::Relaxed), 7);
    }
}
