//! Time as the runtime sees it: read once per poll, then handed to everybody as a number.

/// A source of time. The system's clock in production, a hand-set one in tests.
pub trait Clock {
    /// Nanoseconds on a clock that never goes back (`CLOCK_MONOTONIC`: the same in every process of the machine).
    fn monotonic_ns(&self) -> u64;
    /// Nanoseconds since the Unix epoch.
    fn realtime_ns(&self) -> u64;
}

/// The machine's clocks.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid, writable timespec for the whole call, and both clock ids exist on every Linux kernel.
    #[allow(unsafe_code)]
    unsafe {
        libc::clock_gettime(clock, &raw mut now);
    }
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

impl Clock for SystemClock {
    fn monotonic_ns(&self) -> u64 {
        read(libc::CLOCK_MONOTONIC)
    }

    fn realtime_ns(&self) -> u64 {
        read(libc::CLOCK_REALTIME)
    }
}
