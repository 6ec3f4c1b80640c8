//! Datagrams over loopback: batches, waiting senders and receivers, two handles of one socket.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use sluice_host::{Host, RecvMeta, Transmit, UdpIo};
use support::{drive, host, readable, settle};

fn bound(host: &Host) -> (UdpIo, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (UdpIo::from_fd(host, OwnedFd::from(socket)).unwrap(), address)
}

fn peer() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

/// Datagrams with their senders.
type Seen = Rc<RefCell<Vec<(Vec<u8>, SocketAddr)>>>;

/// A task that receives for ever; the datagrams with their senders.
fn receiver(host: &Host, io: Rc<UdpIo>) -> Seen {
    let seen = Seen::default();
    let got = Rc::clone(&seen);
    host.spawn(async move {
        let mut memory = vec![vec![0; 65_535]; 4];
        loop {
            let mut meta = [RecvMeta::default(); 4];
            let count = {
                let mut buffers: Vec<_> = memory.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
                poll_fn(|context| io.poll_recv(context, &mut buffers, &mut meta)).await.unwrap()
            };
            for (buffer, meta) in memory.iter().zip(&meta[..count]) {
                for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                    got.borrow_mut().push((datagram.to_vec(), meta.addr));
                }
            }
        }
    });
    settle(host);
    seen
}

fn transmit(destination: SocketAddr, contents: &[u8], segment_size: Option<usize>) -> Transmit<'_> {
    Transmit { destination, ecn: None, contents, segment_size, src_ip: None }
}

#[test]
fn datagrams_arrive_with_their_senders() {
    let host = host();
    let (io, address) = bound(&host);
    let seen = receiver(&host, Rc::new(io));
    assert!(!readable(&host), "a socket without datagrams is no work");
    let peers = [peer(), peer()];
    for round in 0..100_u8 {
        for peer in &peers {
            peer.send_to(&[round], address).unwrap();
        }
        drive(&host, || seen.borrow().len() == 2 * (usize::from(round) + 1));
    }
    let from: Vec<_> = seen.borrow().iter().map(|(_, from)| *from).collect();
    assert_eq!(from.iter().filter(|from| **from == peers[0].local_addr().unwrap()).count(), 100);
    settle(&host);
    assert!(!readable(&host));
}

#[test]
fn a_train_of_datagrams_is_taken_apart() {
    let host = host();
    let (io, _) = bound(&host);
    let peer = peer();
    let segments = io.send_segments().min(4);
    let contents: Vec<u8> = (0..segments).flat_map(|n| vec![n as u8; 1000]).collect();
    io.try_send(&transmit(peer.local_addr().unwrap(), &contents, Some(1000))).unwrap();
    let mut buffer = [0; 2000];
    for n in 0..segments {
        let (length, _) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer[..length], vec![n as u8; 1000]);
    }
}

#[test]
fn every_waiting_sender_is_woken() {
    let host = host();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&socket).set_send_buffer_size(4096).unwrap();
    let io = Rc::new(UdpIo::from_fd(&host, OwnedFd::from(socket)).unwrap());
    let target = peer().local_addr().unwrap();
    let sent = Rc::new(RefCell::new([0; 3]));
    for task in 0..3 {
        let (io, sent) = (Rc::clone(&io), Rc::clone(&sent));
        host.spawn(async move {
            while sent.borrow()[task] < 200 {
                match io.try_send(&transmit(target, &[7; 1200], None)) {
                    Ok(()) => sent.borrow_mut()[task] += 1,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        poll_fn(|context| io.poll_writable(context)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    drive(&host, || sent.borrow().iter().all(|count| *count == 200));
}

#[test]
fn a_dropped_handle_leaves_the_other_one_its_datagrams() {
    let host = host();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let twin = socket.try_clone().unwrap();
    let first = UdpIo::from_fd(&host, OwnedFd::from(socket)).unwrap();
    let second = UdpIo::from_fd(&host, OwnedFd::from(twin)).unwrap();
    drop(first);
    settle(&host);
    let seen = receiver(&host, Rc::new(second));
    peer().send_to(b"x", address).unwrap();
    drive(&host, || seen.borrow().len() == 1);
}
