//! Readiness over loopback sockets: nothing is lost between an edge and the read that answers it.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod support;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sluice_host::{Host, ListenerIo, TcpIo};
use support::{await_work, drive, host, pair, pair_with, read, readable, run, settle, write};

/// How a reading task ended; `None` while it reads.
type End = Rc<RefCell<Option<std::io::Result<()>>>>;

/// A task that reads with a small buffer until the end; what it got, and how it ended.
fn reader(host: &Host, io: TcpIo) -> (Rc<RefCell<Vec<u8>>>, End) {
    let (data, end) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(None)));
    let (got, ended) = (Rc::clone(&data), Rc::clone(&end));
    host.spawn(async move {
        let mut buffer = [0; 16];
        loop {
            match read(&io, &mut buffer).await {
                Ok(0) => break *ended.borrow_mut() = Some(Ok(())),
                Ok(count) => got.borrow_mut().extend_from_slice(&buffer[..count]),
                Err(error) => break *ended.borrow_mut() = Some(Err(error)),
            }
        }
    });
    settle(host);
    (data, end)
}

#[test]
fn a_connection_without_news_is_not_work() {
    let host = host();
    let (io, mut peer) = pair(&host);
    settle(&host);
    let (data, _) = reader(&host, io);
    assert!(!readable(&host));
    peer.write_all(b"x").unwrap();
    drive(&host, || *data.borrow() == b"x");
    settle(&host);
    assert!(!readable(&host));
}

#[test]
fn data_that_arrives_after_a_short_read_is_seen() {
    let host = host();
    let (io, mut peer) = pair(&host);
    let (data, _) = reader(&host, io);
    for round in 1..=50 {
        // A short read each time: the socket counts as drained without asking it.
        peer.write_all(b"abc").unwrap();
        drive(&host, || data.borrow().len() == round * 3);
    }
}

#[test]
fn data_between_a_short_read_and_the_next_poll() {
    let host = host();
    let (io, mut peer) = pair(&host);
    peer.write_all(b"one").unwrap();
    await_work(&host);
    let (mut second, seen) = (peer.try_clone().unwrap(), Rc::new(RefCell::new(Vec::new())));
    let got = Rc::clone(&seen);
    host.spawn(async move {
        let mut buffer = [0; 16];
        let count = read(&io, &mut buffer).await.unwrap();
        got.borrow_mut().extend_from_slice(&buffer[..count]);
        // Within the same poll of the task: the edge comes while nobody waits for it.
        second.write_all(b"two").unwrap();
        let count = read(&io, &mut buffer).await.unwrap();
        got.borrow_mut().extend_from_slice(&buffer[..count]);
    });
    drive(&host, || *seen.borrow() == b"onetwo");
}

#[test]
fn an_end_together_with_data() {
    let host = host();
    let (io, mut peer) = pair(&host);
    peer.write_all(b"last words").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let (data, end) = reader(&host, io);
    drive(&host, || end.borrow().is_some());
    assert_eq!(*data.borrow(), b"last words");
    assert!(matches!(*end.borrow(), Some(Ok(()))));
}

#[test]
fn an_end_after_a_short_read() {
    let host = host();
    let (io, mut peer) = pair(&host);
    let (data, end) = reader(&host, io);
    peer.write_all(b"abc").unwrap();
    drive(&host, || data.borrow().len() == 3);
    settle(&host);
    peer.shutdown(Shutdown::Write).unwrap();
    drive(&host, || end.borrow().is_some());
    assert!(matches!(*end.borrow(), Some(Ok(()))));
}

#[test]
fn an_end_behind_more_data_than_one_read_takes() {
    let host = host();
    let (io, mut peer) = pair(&host);
    peer.write_all(&[7; 16 * 5]).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let (data, end) = reader(&host, io);
    drive(&host, || end.borrow().is_some());
    assert_eq!(data.borrow().len(), 16 * 5);
}

#[test]
fn a_reset_is_an_error_and_a_hang_up() {
    let host = host();
    let (io, peer) = pair(&host);
    let io = Rc::new(io);
    let (watched, ended) = (Rc::clone(&io), Rc::new(RefCell::new(None)));
    let end = Rc::clone(&ended);
    host.spawn(async move {
        let mut buffer = [0; 16];
        *end.borrow_mut() = Some(read(&watched, &mut buffer).await);
    });
    settle(&host);
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    drive(&host, || ended.borrow().is_some());
    assert_eq!(ended.take().unwrap().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(io.is_hung_up());
}

#[test]
fn a_half_close_leaves_the_other_direction() {
    let host = host();
    let (io, mut peer) = pair(&host);
    peer.shutdown(Shutdown::Write).unwrap();
    let hung_up = run(&host, async move {
        let mut buffer = [0; 16];
        assert_eq!(read(&io, &mut buffer).await.unwrap(), 0);
        assert_eq!(read(&io, &mut buffer).await.unwrap(), 0, "the end stays the end");
        assert_eq!(write(&io, b"still here").await.unwrap(), 10);
        io.is_hung_up()
    });
    assert!(!hung_up);
    let mut text = String::new();
    peer.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still here");
}

#[test]
fn connecting() {
    let host = host();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let io = TcpIo::connect(&host, listener.local_addr().unwrap()).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    peer.write_all(b"hello").unwrap();
    let text = run(&host, async move {
        io.connected().await.unwrap();
        assert_eq!(write(&io, b"ping").await.unwrap(), 4);
        let mut buffer = [0; 16];
        let count = read(&io, &mut buffer).await.unwrap();
        buffer[..count].to_vec()
    });
    assert_eq!(text, b"hello");
    let mut sent = [0; 4];
    peer.read_exact(&mut sent).unwrap();
    assert_eq!(&sent, b"ping");
}

#[test]
fn a_refused_connection() {
    let host = host();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Refusal may be reported by the call itself or afterwards.
    let error = match TcpIo::connect(&host, address) {
        Err(error) => error,
        Ok(io) => run(&host, async move { io.connected().await }).unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn vectored_writes_through_a_tiny_socket_buffer() {
    let host = host();
    let (io, mut peer) = pair_with(&host, |ours, _| {
        socket2::SockRef::from(ours).set_send_buffer_size(4096).unwrap();
    });
    let data: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    let expected = data.clone();
    let thread = std::thread::spawn(move || {
        let mut got = Vec::new();
        peer.read_to_end(&mut got).unwrap();
        got
    });
    let partial = run(&host, async move {
        let (mut done, mut partial) = (0, 0);
        while done < data.len() {
            let (head, rest) = data[done..].split_at((data.len() - done).min(1000));
            let (middle, tail) = rest.split_at(rest.len().min(30_000));
            let slices = [IoSlice::new(head), IoSlice::new(middle), IoSlice::new(tail)];
            let count = std::future::poll_fn(|context| io.poll_write_vectored(context, &slices)).await.unwrap();
            partial += u32::from(done + count < data.len());
            done += count;
        }
        partial
    });
    assert!(partial > 1, "the socket took everything at once: nothing was tested");
    assert!(thread.join().unwrap() == expected);
}

#[test]
fn the_accept_queue_is_taken_over_and_drained() {
    let host = host();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _early = TcpStream::connect(address).unwrap();
    let socket = Rc::new(ListenerIo::from_fd(&host, OwnedFd::from(listener)).unwrap());
    let (inner, accepted) = (Rc::clone(&socket), Rc::new(Cell::new(0)));
    let count = Rc::clone(&accepted);
    host.spawn(async move {
        loop {
            std::future::poll_fn(|context| inner.poll_accept(context)).await.unwrap();
            count.set(count.get() + 1);
        }
    });
    drive(&host, || accepted.get() == 1);
    settle(&host);
    assert!(!readable(&host));
    let _late = TcpStream::connect(address).unwrap();
    drive(&host, || accepted.get() == 2);
    // Stopping: what is queued at that moment is still accepted.
    host.close();
    let _queued = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
    let mut drained = 0;
    while socket.accept_now().is_some() {
        drained += 1;
    }
    assert_eq!(drained, 2);
}

#[test]
fn a_dropped_listener_leaves_the_reactor_though_its_socket_lives() {
    let host = host();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let copy = listener.try_clone().unwrap();
    drop(ListenerIo::from_fd(&host, OwnedFd::from(listener)).unwrap());
    settle(&host);
    let _client = TcpStream::connect(copy.local_addr().unwrap()).unwrap();
    copy.set_nonblocking(false).unwrap();
    copy.accept().unwrap();
    assert!(!readable(&host));
}

#[test]
fn a_busy_task_gives_way_to_others() {
    let host = host();
    let (greedy, mut flood) = pair(&host);
    let (modest, mut small) = pair(&host);
    flood.write_all(&[1; 10_000]).unwrap();
    flood.shutdown(Shutdown::Write).unwrap();
    small.write_all(b"!").unwrap();
    let (taken, served) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    let (count, taken_then, flag) = (Rc::clone(&taken), Rc::clone(&taken), Rc::clone(&served));
    host.spawn(async move {
        let mut byte = [0];
        // Never waits by itself: there is always another byte.
        while read(&greedy, &mut byte).await.unwrap() > 0 {
            count.set(count.get() + 1);
        }
    });
    host.spawn(async move {
        let mut byte = [0];
        read(&modest, &mut byte).await.unwrap();
        flag.set(Some(taken_then.get()));
    });
    drive(&host, || served.get().is_some());
    assert!(served.get().unwrap() < 10_000, "the greedy task was served to its end first");
    drive(&host, || taken.get() == 10_000);
    settle(&host);
    assert!(!readable(&host));
}

#[test]
fn a_forgotten_socket_does_not_disturb_its_successor() {
    let host = host();
    let (first, mut old) = pair(&host);
    let (data, _) = reader(&host, first);
    old.write_all(b"x").unwrap();
    drive(&host, || data.borrow().len() == 1);
    drop(old);
    settle(&host);
    assert_eq!(host.tasks(), 0);
    let (second, mut new) = pair(&host);
    let (data, _) = reader(&host, second);
    assert!(!readable(&host));
    new.write_all(b"y").unwrap();
    drive(&host, || *data.borrow() == b"y");
}

#[test]
fn every_waiting_task_can_be_woken_at_once() {
    let host = host();
    let polls = Rc::new(Cell::new(0));
    let mut peers = Vec::new();
    for _ in 0..3 {
        let (io, peer) = pair(&host);
        peers.push(peer);
        let count = Rc::clone(&polls);
        host.spawn(async move {
            std::future::poll_fn(|context| {
                count.set(count.get() + 1);
                io.poll_readable(context)
            })
            .await;
        });
    }
    settle(&host);
    let before = polls.get();
    host.wake_all();
    assert!(readable(&host));
    settle(&host);
    assert_eq!(polls.get(), before + 3);
}

#[test]
fn pending_input_is_reported_until_it_is_read() {
    let host = host();
    let (io, mut peer) = pair(&host);
    settle(&host);
    assert!(!io.has_pending_input());
    peer.write_all(b"abcd").unwrap();
    drive(&host, || io.has_pending_input());
    let mut context = Context::from_waker(Waker::noop());
    let mut buffer = [0; 4];
    assert!(matches!(io.poll_read(&context, &mut buffer), Poll::Ready(Ok(4))));
    assert!(io.has_pending_input(), "a full buffer says nothing about the rest");
    assert!(io.poll_read(&context, &mut buffer).is_pending());
    assert!(!io.has_pending_input());
    drop(peer);
    drive(&host, || io.has_pending_input());
    context = Context::from_waker(Waker::noop());
    assert!(matches!(io.poll_read(&context, &mut buffer), Poll::Ready(Ok(0))));
    assert!(io.has_pending_input(), "an ended connection is never idle");
}
