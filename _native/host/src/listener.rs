//! A listening socket on the host.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use mio::Interest;
use mio::net::{TcpListener, TcpStream};
use socket2::SockRef;

use crate::host::{Host, HostError};
use crate::readiness::{READABLE, Readiness};

/// Accepts connections from a socket that somebody else bound.
pub struct ListenerIo {
    host: Host,
    listener: TcpListener,
    token: usize,
    ready: Rc<Readiness>,
}

impl ListenerIo {
    /// Takes over a listening socket. Its file status becomes non-blocking.
    pub fn from_fd(host: &Host, fd: OwnedFd) -> Result<Self, HostError> {
        let listener = std::net::TcpListener::from(fd);
        // Already set by whoever bound it in the normal case; a blocking accept would stall the whole worker.
        drop(listener.set_nonblocking(true));
        // Accepted connections inherit it (tcp(7)). Without it the tail of an answer that needs more than one write waits
        // for the client's delayed acknowledgement: 40 ms. A socket that is no TCP socket has no such option.
        drop(SockRef::from(&listener).set_tcp_nodelay(true));
        let mut listener = TcpListener::from_std(listener);
        let (token, ready) = host.register(&mut listener, Interest::READABLE, READABLE)?;
        Ok(Self { host: host.clone(), listener, token, ready })
    }

    /// Accepts one connection; pending when the queue is empty.
    pub fn poll_accept(&self, context: &Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        loop {
            ready!(self.ready.poll(READABLE, context));
            match self.listener.accept() {
                Ok(accepted) => return Poll::Ready(Ok(accepted)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready.clear(READABLE),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Accepts what is queued at this moment, without waiting.
    pub fn accept_now(&self) -> Option<(TcpStream, SocketAddr)> {
        self.listener.accept().ok()
    }

    /// The bound address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Drop for ListenerIo {
    fn drop(&mut self) {
        self.host.deregister(&mut self.listener, self.token);
    }
}
