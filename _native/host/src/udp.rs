//! A UDP socket on the host: batches, segmentation offload and congestion marks by `quinn-udp`.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use mio::Interest;
use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use crate::host::{Host, HostError};
use crate::readiness::{READABLE, Readiness, WRITABLE};

/// A bound socket without a peer. Many tasks may wait until it takes datagrams again, one may wait for datagrams.
pub struct UdpIo {
    host: Host,
    socket: UdpSocket,
    token: usize,
    ready: Rc<Readiness>,
    state: UdpSocketState,
    senders: Arc<Senders>,
}

/// Who waits until the socket takes datagrams again.
#[derive(Default)]
struct Senders(Mutex<Vec<Waker>>);

impl Senders {
    fn add(&self, waker: &Waker) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|held| held.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }
}

impl Wake for Senders {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl UdpIo {
    /// Takes over a bound socket. Its file status becomes non-blocking, and the kernel tells more about datagrams.
    pub fn from_fd(host: &Host, fd: OwnedFd) -> Result<Self, HostError> {
        let socket = std::net::UdpSocket::from(fd);
        let failed = |action| move |source| HostError::new(action, source);
        socket.set_nonblocking(true).map_err(failed("make a socket non-blocking"))?;
        let state = UdpSocketState::new((&socket).into()).map_err(failed("set up a UDP socket"))?;
        let mut socket = UdpSocket::from_std(socket);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let (token, ready) = host.register(&mut socket, interest, READABLE | WRITABLE)?;
        Ok(Self { host: host.clone(), socket, token, ready, state, senders: Arc::default() })
    }

    /// Receives datagrams into `buffers`; the number of buffers that were filled.
    pub fn poll_recv(
        &self,
        context: &Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.ready.poll(READABLE, context));
            if !self.host.take_operation(context) {
                return Poll::Pending;
            }
            match self.state.recv((&self.socket).into(), buffers, meta) {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready.clear(READABLE),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Sends one datagram or a train of equal ones. `WouldBlock` while the socket is full; any other failure is that of
    /// a datagram that was lost.
    pub fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if !self.ready.has(WRITABLE) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let sent = self.state.send((&self.socket).into(), transmit);
        if matches!(&sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            self.ready.clear(WRITABLE);
        }
        sent
    }

    /// Ready when the socket may take datagrams.
    pub fn poll_writable(&self, context: &Context<'_>) -> Poll<()> {
        if self.ready.has(WRITABLE) {
            return Poll::Ready(());
        }
        self.senders.add(context.waker());
        self.ready.wait(WRITABLE, &Context::from_waker(&Waker::from(Arc::clone(&self.senders))));
        Poll::Pending
    }

    /// Lets the network split datagrams that are too long for it, as sockets do without being told (ip(7)): whoever
    /// forwards the datagrams of others cannot make them shorter.
    #[allow(unsafe_code)]
    pub fn allow_fragments(&self) {
        let levels = [
            (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT),
            (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT),
        ];
        for (level, option, value) in levels {
            // SAFETY: the descriptor is open for the life of `self`, and the pointer is to a valid integer of the size
            // that is stated. An option of the other address family fails and changes nothing.
            unsafe {
                libc::setsockopt(
                    self.socket.as_raw_fd(),
                    level,
                    option,
                    (&raw const value).cast(),
                    size_of_val(&value) as libc::socklen_t,
                );
            }
        }
    }

    /// The bound address.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Datagrams that one send may carry.
    pub fn send_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Datagrams that one buffer of a receive may be given.
    pub fn receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    /// Whether datagrams may be split on their way.
    pub fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

impl Drop for UdpIo {
    fn drop(&mut self) {
        self.host.deregister(&mut self.socket, self.token);
    }
}
