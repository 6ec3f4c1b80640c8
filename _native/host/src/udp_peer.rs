//! A UDP socket with one peer: the kernel drops what others send and reports what ICMP says of the peer (udp(7)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use mio::Interest;
use mio::net::UdpSocket;

use crate::host::Host;
use crate::readiness::{READABLE, Readiness, WRITABLE};

/// A connected socket on a port that the kernel chose. One task may wait for datagrams.
pub struct UdpPeerIo {
    host: Host,
    socket: UdpSocket,
    token: usize,
    ready: Rc<Readiness>,
}

impl UdpPeerIo {
    /// Fails when there is no route to the peer, or the process is out of descriptors.
    pub fn connect(host: &Host, peer: SocketAddr) -> io::Result<Self> {
        let any = match peer.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let mut socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(peer)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let (token, ready) = host.register(&mut socket, interest, WRITABLE).map_err(io::Error::other)?;
        Ok(Self { host: host.clone(), socket, token, ready })
    }

    /// Receives one datagram; what does not fit into `buffer` is lost. Fails with what ICMP said of the peer, once for
    /// each time it said so.
    pub fn poll_recv(&self, context: &Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.ready.poll(READABLE, context));
            if !self.host.take_operation(context) {
                return Poll::Pending;
            }
            match self.socket.recv(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready.clear(READABLE),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Sends one datagram. `WouldBlock` while the socket is full; fails with what ICMP said of the peer, too, and then
    /// nothing was sent.
    pub fn try_send(&self, datagram: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(datagram) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done.map(|_| ()),
            }
        }
    }

    /// The address of this side.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl Drop for UdpPeerIo {
    fn drop(&mut self) {
        self.host.deregister(&mut self.socket, self.token);
    }
}
