//! A kernel timer that makes the host's descriptor readable when the earliest deadline is due.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A one-shot `timerfd` on `CLOCK_MONOTONIC`.
pub(crate) struct TimerFd(OwnedFd);

impl TimerFd {
    /// Creates an unarmed timer. Fails when the process is out of descriptors.
    #[allow(unsafe_code)]
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: the call takes no pointers; the flags are valid for timerfd_create(2).
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just returned by the kernel and belongs to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Arms the timer for an absolute monotonic time in nanoseconds; 0 disarms it.
    #[allow(unsafe_code)]
    pub(crate) fn arm(&self, at_ns: u64) -> io::Result<()> {
        let value = libc::timespec {
            tv_sec: libc::time_t::try_from(at_ns / 1_000_000_000).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::try_from(at_ns % 1_000_000_000).unwrap_or(0),
        };
        let spec = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        // SAFETY: the descriptor is open for the life of `self`, `spec` is valid, and the old value is not asked for.
        let done = unsafe {
            libc::timerfd_settime(self.0.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &raw const spec, std::ptr::null_mut())
        };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsRawFd for TimerFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
