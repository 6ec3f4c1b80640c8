//! The host as `quinn` wants to see it. Its traits ask for `Send`, because other runtimes have many threads; here
//! everything stays on the one of the host, which [`OwnThread`] checks.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller};
use sluice_host::{Clock, Host, OwnThread, RecvMeta, SystemClock, Timer, Transmit, UdpIo};

/// One moment on both clocks, which run alike: `Instant` and the host's nanoseconds both are `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy)]
struct Epoch {
    instant: Instant,
    nanos: u64,
}

impl Epoch {
    fn nanos(self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.instant);
        self.nanos.saturating_add(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Spawns and waits on the host.
pub(super) struct HostRuntime {
    host: OwnThread<Host>,
    epoch: Epoch,
}

impl HostRuntime {
    #[allow(clippy::disallowed_methods, reason = "read once, to translate what quinn reads later")]
    pub(super) fn new(host: &Host) -> Self {
        let epoch = Epoch { instant: Instant::now(), nanos: SystemClock.monotonic_ns() };
        Self { host: OwnThread::new(host.clone()), epoch }
    }
}

impl fmt::Debug for HostRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostRuntime").finish_non_exhaustive()
    }
}

impl Runtime for HostRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let timer = Timer::fine(self.host.get());
        timer.set(self.epoch.nanos(at));
        Box::pin(HostTimer { timer: OwnThread::new(timer), epoch: self.epoch })
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.host.get().spawn_in_turn(future);
    }

    fn wrap_udp_socket(&self, _: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        // Endpoints are made with a socket of the host and never change it.
        Err(io::ErrorKind::Unsupported.into())
    }
}

struct HostTimer {
    timer: OwnThread<Timer>,
    epoch: Epoch,
}

impl fmt::Debug for HostTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTimer").finish_non_exhaustive()
    }
}

impl AsyncTimer for HostTimer {
    fn reset(self: Pin<&mut Self>, at: Instant) {
        self.timer.get().set(self.epoch.nanos(at));
    }

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.timer.get().poll_expired(context)
    }
}

/// A socket of the host.
pub(super) struct HostSocket(OwnThread<UdpIo>);

impl HostSocket {
    pub(super) fn new(io: UdpIo) -> Self {
        Self(OwnThread::new(io))
    }
}

impl fmt::Debug for HostSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSocket").finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for HostSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.0.get().try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.0.get().poll_recv(context, buffers, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get().local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.0.get().send_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.0.get().receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.0.get().may_fragment()
    }
}

/// Waits until a socket takes datagrams again.
#[derive(Debug)]
struct Writable(Arc<HostSocket>);

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.0.get().poll_writable(context));
        Poll::Ready(Ok(()))
    }
}
