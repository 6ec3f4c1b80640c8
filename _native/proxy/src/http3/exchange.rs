//! One request of a connection, from the first byte of its stream.

use std::cell::Cell;
use std::rc::Rc;

use quinn::{RecvStream, SendStream};
use sluice_http1::{Framing, Method, RejectReason, RequestError, RequestHead, parse_request};
use sluice_http3::{Code, kind};
use sluice_snapshot::Compiled;

use super::body::Http3Body;
use super::connection::Arrival;
use super::frames::{Broken, Frames};
use super::head::{self, Refusal};
use super::stream::StreamClient;
use crate::client::Client;
use crate::downstream::{After, Busy, Downstream};
use crate::request::Request;

/// Serves one stream.
pub(super) async fn serve(arrival: Rc<Arrival>, send: SendStream, receive: RecvStream) {
    let shared = &arrival.shared;
    let ending = Ending { arrival: Rc::clone(&arrival), start_ns: shared.host.now_ns(), reset: Cell::new(true) };
    let mut frames = Frames::new(shared, receive);
    let downstream = Downstream {
        shared: Rc::clone(shared),
        client: Client::Http3(Box::new(StreamClient::new(send, arrival.section_limit.get()))),
        peer: arrival.peer,
        direct: arrival.peer.ip(),
        listener: Rc::clone(&arrival.listener),
        slot: arrival.slot,
        termination: arrival.termination,
        deadlines: shared.scratch.deadlines(&shared.host),
    };
    let options = shared.compiled();
    let limit = options.options.head_limits.max_head_bytes;
    let until = shared.host.now_ns().saturating_add(options.options.request_head_timeout_ns);
    drop(options);
    downstream.deadlines.wait_until(until);
    let mut text = shared.scratch.out();
    let read = downstream.deadlines.within(Box::pin(read_head(&arrival, &mut frames, limit, &mut text))).await;
    // The configuration of the moment the head is complete.
    let compiled = shared.compiled();
    let mut parsed = shared.scratch.request();
    let busy = Busy::new(shared);
    let broken = matches!(read, Some(Err(Unread::Broken(_))));
    let after = match read {
        Some(Ok(connects)) => {
            if let Client::Http3(client) = &downstream.client {
                client.connects.set(connects);
            }
            let options = &compiled.options;
            match parse_request(&text, &options.head_limits, &options.normalize, &mut parsed) {
                Ok(Some(length)) => match frame(&arrival, &downstream, frames, &mut parsed, limit).await {
                    Ok(()) => Request::new(&downstream, &compiled, &parsed, &text, length).serve().await,
                    Err(unread) => unserved(&arrival, &downstream, &compiled, unread).await,
                },
                Ok(None) => refuse(&downstream, &compiled, RejectReason::InvalidTarget.into()).await,
                Err(error) => refuse(&downstream, &compiled, error).await,
            }
        }
        Some(Err(unread)) => unserved(&arrival, &downstream, &compiled, unread).await,
        None => downstream.refuse(&compiled, 408, "request_timeout").await,
    };
    drop(busy);
    shared.scratch.put_request(parsed);
    shared.scratch.put_out(text);
    if let Client::Http3(client) = &downstream.client {
        if matches!(after, After::Abort) {
            client.abort();
        }
        ending.reset.set(client.was_reset() || broken);
    }
    shared.scratch.put_deadlines(downstream.deadlines);
}

/// What becomes of a stream that has no request that could be served.
async fn unserved(arrival: &Arrival, downstream: &Downstream, compiled: &Compiled, unread: Unread) -> After {
    match unread {
        Unread::Refused(reason) => refuse(downstream, compiled, reason.into()).await,
        Unread::Nothing => {
            if let Client::Http3(client) = &downstream.client {
                client.sender.reset(Code::H3_REQUEST_INCOMPLETE);
            }
            After::Close
        }
        Unread::Broken(broken) => {
            arrival.broken(broken);
            After::Abort
        }
    }
}

async fn refuse(downstream: &Downstream, compiled: &Compiled, error: RequestError) -> After {
    downstream.shared.count_reject(error.reason as usize);
    downstream.refuse(compiled, error.status, error.reason.as_str()).await
}

/// How the body of a request is framed: the end of the stream ends it, a length only announces it. Some clients end a
/// stream a moment after its head; for a method that hardly ever has a body, or an announced length of 0, that moment is
/// waited for, so that the upstream is not told of a body that is none, nor of none where one follows.
async fn frame(
    arrival: &Rc<Arrival>,
    downstream: &Downstream,
    mut frames: Frames,
    head: &mut RequestHead,
    limit: usize,
) -> Result<(), Unread> {
    if let Client::Http3(client) = &downstream.client
        && client.connects.get()
    {
        // What follows is the tunnel's, not a body.
        client.set_body(Http3Body::new(arrival, frames, None, None, limit));
        head.framing = Framing::None;
        return Ok(());
    }
    let announced = match head.framing {
        Framing::Length(length) => Some(length),
        _ => None,
    };
    let mut first = None;
    let mut ended = announced.unwrap_or(0) == 0 && frames.has_ended();
    let rare = matches!(head.method, Method::Get | Method::Head | Method::Options | Method::Delete);
    if !ended && (announced == Some(0) || (announced.is_none() && rare)) {
        // The time of the head still runs; a client that leaves its stream open has a body, however late.
        if let Some(next) = downstream.deadlines.within(Box::pin(frames.next())).await {
            first = next?;
            ended = first.is_none();
        }
        if announced == Some(0) && first.is_some_and(|frame| frame.kind == kind::DATA && frame.length > 0) {
            return Err(Unread::Refused(RejectReason::InvalidContentLength));
        }
    }
    if ended {
        head.framing = Framing::None;
        return Ok(());
    }
    head.framing = announced.map_or(Framing::Chunked, Framing::Length);
    if let Client::Http3(client) = &downstream.client {
        client.set_body(Http3Body::new(arrival, frames, first, announced, limit));
    }
    Ok(())
}

/// Why there is no request to be served.
#[derive(Clone, Copy)]
enum Unread {
    /// The stream ended before it.
    Nothing,
    Refused(RejectReason),
    Broken(Broken),
}

impl From<Broken> for Unread {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

/// Reads the field section of a request and writes it down as text. Tells whether it is an extended CONNECT.
async fn read_head(arrival: &Arrival, frames: &mut Frames, limit: usize, text: &mut Vec<u8>) -> Result<bool, Unread> {
    let header = frames.next().await?.ok_or(Unread::Nothing)?;
    if header.kind != kind::HEADERS {
        return Err(Broken::Protocol(Code::H3_FRAME_UNEXPECTED).into());
    }
    if header.length > limit as u64 {
        return Err(Unread::Refused(RejectReason::HeaderTooLarge));
    }
    let section = frames.collect().await?;
    let key = || arrival.shared.random_key();
    head::request_text(&section, limit, key, text).map_err(|refusal| match refusal {
        Refusal::Connection(broken) => Unread::Broken(broken),
        Refusal::Message(reason) => Unread::Refused(reason),
    })
}

/// Settles a stream however its task ends.
struct Ending {
    arrival: Rc<Arrival>,
    start_ns: u64,
    reset: Cell<bool>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let arrival = &self.arrival;
        let lived = arrival.shared.host.now_ns().saturating_sub(self.start_ns);
        arrival.judge.borrow_mut().ended(self.reset.get(), lived);
        arrival.ended();
    }
}
