//! A TCP connection on the host: edge-triggered, tried first, waited for only after `WouldBlock`.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use mio::Interest;
use mio::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::host::{Host, HostError};
use crate::readiness::{HUNG_UP, READ_CLOSED, READABLE, Readiness, WRITABLE};

/// A connected (or connecting) TCP stream. All methods take `&self`: one task may read and write at the same time.
pub struct TcpIo {
    host: Host,
    stream: TcpStream,
    token: usize,
    ready: Rc<Readiness>,
}

impl TcpIo {
    /// Registers an accepted stream. It is taken to be writable, as a fresh connection is.
    pub fn accepted(host: &Host, mut stream: TcpStream) -> Result<Self, HostError> {
        let (token, ready) = host.register(&mut stream, Interest::READABLE | Interest::WRITABLE, WRITABLE)?;
        Ok(Self { host: host.clone(), stream, token, ready })
    }

    /// Starts a connection; wait for it with [`TcpIo::connected`].
    pub fn connect(host: &Host, address: SocketAddr) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        let (token, ready) =
            host.register(&mut stream, Interest::READABLE | Interest::WRITABLE, 0).map_err(io::Error::other)?;
        Ok(Self { host: host.clone(), stream, token, ready })
    }

    /// Ready when the handshake is over; fails with the socket's error (refused, unreachable, …).
    pub fn poll_connected(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.ready.poll(WRITABLE, context));
        if let Some(error) = self.stream.take_error()? {
            return Poll::Ready(Err(error));
        }
        // The first writability of a connecting socket without an error is the end of its handshake (connect(2)).
        Poll::Ready(self.stream.set_nodelay(true))
    }

    /// Waits for the handshake.
    pub async fn connected(&self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_connected(context)).await
    }

    /// Ready when the socket is and the task may go on, see `Host::take_operation`.
    fn poll_ready(&self, flag: u8, context: &Context<'_>) -> Poll<()> {
        ready!(self.ready.poll(flag, context));
        if self.host.take_operation(context) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Reads what is there. `Ok(0)` is the end of the stream.
    pub fn poll_read(&self, context: &Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_ready(READABLE, context));
            match (&self.stream).read(buffer) {
                Ok(count) => {
                    if count < buffer.len() {
                        self.ready.drained();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready.clear(READABLE | READ_CLOSED),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Looks at the first bytes without taking them. Ready with more than `seen` bytes (those of the last look), or with
    /// fewer once no more will come, which includes that `buffer` is full.
    pub fn poll_peek(&self, context: &Context<'_>, buffer: &mut [u8], seen: usize) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_ready(READABLE, context));
            match self.stream.peek(buffer) {
                Ok(count) if count > seen || count == buffer.len() || self.ready.has(READ_CLOSED) => {
                    return Poll::Ready(Ok(count));
                }
                // The next segment is an edge of its own, whatever is unread.
                Ok(_) => self.ready.clear(READABLE),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready.clear(READABLE | READ_CLOSED),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes what the socket takes.
    pub fn poll_write(&self, context: &Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, data.len(), |stream| {
            let mut stream = stream;
            stream.write(data)
        })
    }

    /// Writes what the socket takes of several buffers.
    pub fn poll_write_vectored(&self, context: &Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let length = data.iter().map(|slice| slice.len()).sum();
        self.poll_write_with(context, length, |stream| {
            let mut stream = stream;
            stream.write_vectored(data)
        })
    }

    fn poll_write_with(
        &self,
        context: &Context<'_>,
        length: usize,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_ready(WRITABLE, context));
            match write(&self.stream) {
                Ok(count) => {
                    if count < length {
                        self.ready.clear(WRITABLE);
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready.clear(WRITABLE),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Ready when there is something to read (data or the end), without reading it: holds no buffer while idle.
    pub fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        self.ready.poll(READABLE, context)
    }

    /// Makes the current task wake when the peer sends or goes away.
    pub fn watch_peer(&self, context: &Context<'_>) {
        self.ready.wait(READABLE, context);
    }

    /// Something unread or an end of stream was reported: an idle connection in this state must not be reused.
    pub fn has_pending_input(&self) -> bool {
        self.ready.has(READABLE) || self.ready.has(READ_CLOSED)
    }

    /// The peer is gone in both directions.
    pub fn is_hung_up(&self) -> bool {
        self.ready.has(HUNG_UP)
    }

    /// Half-closes or closes the connection.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    /// Makes the close of this connection a reset: the peer learns that its stream was cut, not that it ended.
    pub fn reset_on_close(&self) {
        // A socket that refuses the option is gone already.
        drop(SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
    }

    /// Lets the kernel probe a silent peer; what is not given stays as the system has it.
    pub fn set_keepalive(
        &self,
        idle: Option<Duration>,
        interval: Option<Duration>,
        probes: Option<u32>,
    ) -> io::Result<()> {
        let mut settings = TcpKeepalive::new();
        if let Some(idle) = idle {
            settings = settings.with_time(idle);
        }
        if let Some(interval) = interval {
            settings = settings.with_interval(interval);
        }
        if let Some(probes) = probes {
            settings = settings.with_retries(probes);
        }
        SockRef::from(&self.stream).set_tcp_keepalive(&settings)
    }

    /// The address of the other side.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// The address of this side.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// The runtime this connection lives on.
    pub fn host(&self) -> &Host {
        &self.host
    }
}

impl AsRawFd for TcpIo {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

impl Drop for TcpIo {
    fn drop(&mut self) {
        // Closing the only descriptor removes it from epoll; a system call for that would be wasted.
        self.host.forget(self.token);
    }
}

impl AsyncRead for TcpIo {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let count = ready!(TcpIo::poll_read(&self, context, buffer.initialize_unfilled()))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TcpIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        TcpIo::poll_write(&self, context, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        TcpIo::poll_write_vectored(&self, context, data)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.shutdown(Shutdown::Write))
    }
}
