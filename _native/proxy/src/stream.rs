//! A byte stream to a peer, plain or TLS, usable from both directions of one task.

use std::cell::{Cell, RefCell, RefMut};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sluice_host::TcpIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

pub(crate) enum Stream {
    Plain(TcpIo),
    Tls(Box<Tls>),
}

/// TLS state lives in a cell because reading and writing both need it; no borrow outlives a poll.
pub(crate) struct Tls {
    stream: RefCell<TlsStream<TcpIo>>,
    cut: Cell<bool>,
}

impl Tls {
    fn borrow_mut(&self) -> RefMut<'_, TlsStream<TcpIo>> {
        self.stream.borrow_mut()
    }

    pub(crate) fn into_inner(self) -> TlsStream<TcpIo> {
        self.stream.into_inner()
    }
}

fn uncompleted() -> io::Error {
    io::Error::new(io::ErrorKind::WriteZero, "the peer takes no more bytes")
}

impl Stream {
    pub(crate) fn tls(stream: impl Into<TlsStream<TcpIo>>) -> Self {
        Self::Tls(Box::new(Tls { stream: RefCell::new(stream.into()), cut: Cell::new(false) }))
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The protocol that the TLS handshake chose.
    pub(crate) fn negotiated(&self) -> Option<&'static [u8]> {
        const KNOWN: [&[u8]; 2] = [b"h2", b"http/1.1"];
        let Self::Tls(tls) = self else { return None };
        let tls = tls.stream.borrow();
        let chosen = tls.get_ref().1.alpn_protocol()?;
        KNOWN.into_iter().find(|known| *known == chosen)
    }

    /// Runs `look` on the TCP connection below.
    pub(crate) fn with_tcp<R>(&self, look: impl FnOnce(&TcpIo) -> R) -> R {
        match self {
            Self::Plain(tcp) => look(tcp),
            Self::Tls(tls) => look(tls.stream.borrow().get_ref().0),
        }
    }

    /// Reads what is there; `Ok(0)` is the end. A TLS stream cut without `close_notify` also ends here: mostly
    /// HTTP framing tells whether the message was whole (RFC 9112 section 9.8); where nothing does, ask
    /// [`Stream::was_cut`].
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => tcp.poll_read(context, buffer),
            Self::Tls(tls) => {
                let mut read = ReadBuf::new(buffer);
                match ready!(Pin::new(&mut *tls.borrow_mut()).poll_read(context, &mut read)) {
                    Ok(()) => Poll::Ready(Ok(read.filled().len())),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        tls.cut.set(true);
                        Poll::Ready(Ok(0))
                    }
                    Err(error) => Poll::Ready(Err(error)),
                }
            }
        }
    }

    /// TLS ended without a `close_notify`: whoever cut the connection may have taken bytes away.
    pub(crate) fn was_cut(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.cut.get())
    }

    fn poll_write(&self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => tcp.poll_write(context, data),
            Self::Tls(tls) => Pin::new(&mut *tls.borrow_mut()).poll_write(context, data),
        }
    }

    fn poll_write_vectored(&self, context: &mut Context<'_>, data: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => tcp.poll_write_vectored(context, data),
            Self::Tls(tls) => Pin::new(&mut *tls.borrow_mut()).poll_write_vectored(context, data),
        }
    }

    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(tls) => Pin::new(&mut *tls.borrow_mut()).poll_flush(context),
        }
    }

    /// Writes all of `data`; `done` remembers the progress between polls.
    pub(crate) fn poll_write_all(
        &self,
        context: &mut Context<'_>,
        data: &[u8],
        done: &mut usize,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = data.get(*done..).filter(|rest| !rest.is_empty()) {
            match ready!(self.poll_write(context, rest))? {
                0 => return Poll::Ready(Err(uncompleted())),
                count => *done += count,
            }
        }
        self.poll_flush(context)
    }

    pub(crate) async fn write_all(&self, data: &[u8]) -> io::Result<()> {
        let mut done = 0;
        std::future::poll_fn(|context| self.poll_write_all(context, data, &mut done)).await
    }

    /// Writes a head and the bytes behind it with one system call where the socket allows.
    pub(crate) async fn write_both(&self, head: &[u8], body: &[u8]) -> io::Result<()> {
        let mut done = 0;
        std::future::poll_fn(|context| {
            while done < head.len() {
                let slices = [IoSlice::new(head.get(done..).unwrap_or_default()), IoSlice::new(body)];
                match ready!(self.poll_write_vectored(context, &slices))? {
                    0 => return Poll::Ready(Err(uncompleted())),
                    count => done += count,
                }
            }
            let mut rest = done - head.len();
            let result = self.poll_write_all(context, body, &mut rest);
            done = head.len() + rest;
            result
        })
        .await
    }

    /// Says goodbye: `close_notify` for TLS, then FIN for our direction.
    pub(crate) async fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.shutdown(Shutdown::Write),
            Self::Tls(tls) => {
                std::future::poll_fn(|context| Pin::new(&mut *tls.borrow_mut()).poll_shutdown(context)).await
            }
        }
    }

    /// Nothing more has come and the other side is there. Looks at the socket only where the last read did not drain it.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        !self.has_pending_input() || self.poll_read(&mut context, &mut [0]).is_pending()
    }

    /// See [`TcpIo::watch_peer`].
    pub(crate) fn watch_peer(&self, context: &Context<'_>) {
        self.with_tcp(|tcp| tcp.watch_peer(context));
    }

    /// See [`TcpIo::is_hung_up`].
    pub(crate) fn is_hung_up(&self) -> bool {
        self.with_tcp(TcpIo::is_hung_up)
    }

    /// See [`TcpIo::has_pending_input`].
    pub(crate) fn has_pending_input(&self) -> bool {
        self.with_tcp(TcpIo::has_pending_input)
    }
}
