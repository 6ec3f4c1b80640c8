//! HTTP/2 on the other side of the gateway: the `h2` crate, on a runtime per thread.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use super::STALLED_MS;
use super::upstream::Upstream;
use super::wire::Answer;

/// Runs `work` to its end in this thread. Work that stalls is a failed test.
pub(crate) fn block_on<R>(work: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bounded = async { tokio::time::timeout(Duration::from_millis(STALLED_MS), work).await };
    LocalSet::new().block_on(&runtime, bounded).expect("an HTTP/2 peer waits for something that never comes")
}

/// A connection to the gateway, and the task that drives it to its end.
pub(crate) struct Talk {
    pub(crate) send: SendRequest<Bytes>,
    pub(crate) end: JoinHandle<Result<(), h2::Error>>,
}

impl Talk {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream).await
    }

    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Self {
        let (send, connection) = client::handshake(stream).await.unwrap();
        Self { send, end: spawn_local(connection) }
    }

    /// Starts a request; `end` says that nothing follows its head.
    pub(crate) async fn start(&self, head: Request<()>, end: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let mut send = self.send.clone().ready().await.unwrap();
        send.send_request(head, end).unwrap()
    }

    /// A whole request without a body.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, h2::Error> {
        let (response, _) = self.start(get(path), true).await;
        receive(response).await
    }
}

/// One connection to the gateway for `work`.
pub(crate) fn talk<R>(address: SocketAddr, work: impl AsyncFnOnce(&Talk) -> R) -> R {
    block_on(async { work(&Talk::connect(address).await).await })
}

pub(crate) fn get(path: &str) -> Request<()> {
    Request::get(format!("http://h{path}")).body(()).unwrap()
}

pub(crate) fn post(path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let builder = Request::post(format!("http://h{path}"));
    fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
}

fn lines(headers: &HeaderMap) -> String {
    headers.iter().fold(String::new(), |text, (name, value)| text + &format!("{name}: {}\r\n", value.to_str().unwrap()))
}

/// Takes a whole answer, written down as HTTP/1.1 would say it.
pub(crate) async fn receive(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (parts, mut body) = response.await?.into_parts();
    let (body, trailers) = read(&mut body).await?;
    let head = format!("HTTP/2 {} \r\n{}\r\n", parts.status.as_str(), lines(&parts.headers));
    Ok(Answer { head, body, trailers })
}

/// Reads a body and its trailers.
pub(crate) async fn read(body: &mut RecvStream) -> Result<(Vec<u8>, String), h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        all.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len())?;
    }
    let trailers = body.trailers().await?.map_or(String::new(), |map| lines(&map));
    Ok((all, trailers))
}

/// Writes as the window allows, in pieces of 16 KiB at most; `wrote` hears of each.
pub(crate) async fn write(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    wrote: impl Fn(usize),
) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len().min(16 * 1024));
        let Some(room) = poll_fn(|context| stream.poll_capacity(context)).await else {
            return Err(poll_fn(|context| stream.poll_reset(context)).await?.into());
        };
        let room = room?;
        let piece = data.split_to(room.min(data.len()));
        let count = piece.len();
        stream.send_data(piece, false)?;
        wrote(count);
    }
    Ok(())
}

/// Ends a stream with trailers, or without.
pub(crate) fn finish(stream: &mut SendStream<Bytes>, trailers: &[(&str, &str)]) -> Result<(), h2::Error> {
    if trailers.is_empty() {
        return stream.send_data(Bytes::new(), true);
    }
    let pairs = trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    stream.send_trailers(pairs.collect())
}

/// A request as it came out of the gateway, its body still to be read.
pub(crate) struct Stream {
    /// Number of its connection, from 0.
    pub(crate) connection: usize,
    /// The head as HTTP/1.1 would say it.
    pub(crate) head: String,
    pub(crate) body: RecvStream,
    pub(crate) respond: SendResponse<Bytes>,
}

impl Stream {
    pub(crate) fn new(connection: usize, (request, respond): (Request<RecvStream>, SendResponse<Bytes>)) -> Self {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().unwrap();
        let host = parts.uri.authority().unwrap();
        let head = format!("{} {path} HTTP/2\r\nhost: {host}\r\n{}\r\n", parts.method, lines(&parts.headers));
        Self { connection, head, body, respond }
    }

    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// Answers with a head.
    pub(crate) fn answer(&mut self, status: u16, fields: &[(&str, &str)], end: bool) -> SendStream<Bytes> {
        let builder = http::Response::builder().status(status);
        let builder = fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        self.respond.send_response(builder.body(()).unwrap(), end).unwrap()
    }

    /// Answers 200 with a text.
    pub(crate) fn ok(&mut self, text: &str) {
        let mut body = self.answer(200, &[], false);
        body.send_data(Bytes::copy_from_slice(text.as_bytes()), true).unwrap();
    }

    /// Waits until the gateway breaks the stream off.
    pub(crate) async fn reset(&mut self) -> Result<Reason, h2::Error> {
        poll_fn(|context| self.respond.poll_reset(context)).await
    }
}

pub(crate) type Incoming = server::Connection<TcpStream, Bytes>;

/// Gives every connection, with its number, to `serve` in a thread of its own.
pub(crate) fn connections(
    settings: server::Builder,
    serve: impl AsyncFn(Incoming, usize) + Send + Sync + 'static,
) -> Upstream {
    Upstream::raw(move |wire, number| {
        let stream = wire.stream;
        stream.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let stream = TcpStream::from_std(stream).unwrap();
            // A gateway that goes away before it has greeted is no failure of the endpoint.
            if let Ok(connection) = settings.handshake(stream).await {
                serve(connection, number).await;
            }
        });
    })
}

/// Gives every request to `serve`, all of a connection at the same time.
pub(crate) fn streams(serve: impl AsyncFn(Stream) + Send + Sync + 'static) -> Upstream {
    streams_with(server::Builder::new(), serve)
}

pub(crate) fn streams_with(settings: server::Builder, serve: impl AsyncFn(Stream) + Send + Sync + 'static) -> Upstream {
    let serve = Arc::new(serve);
    connections(settings, async move |mut connection, number| drive(&mut connection, number, &serve).await)
}

/// Serves every request that is still to come, until the connection ends.
pub(crate) async fn drive(connection: &mut Incoming, number: usize, serve: &Arc<impl AsyncFn(Stream) + 'static>) {
    while let Some(Ok(accepted)) = connection.accept().await {
        let serve = Arc::clone(serve);
        spawn_local(async move { serve(Stream::new(number, accepted)).await });
    }
}

/// Serves until `end` comes true; the connection goes on.
pub(crate) async fn drive_until(
    connection: &mut Incoming,
    number: usize,
    serve: &Arc<impl AsyncFn(Stream) + 'static>,
    end: impl Future<Output = ()>,
) {
    let (mut driving, mut end) = (pin!(drive(connection, number, serve)), pin!(end));
    poll_fn(|context| {
        let ended = end.as_mut().poll(context);
        if ended.is_ready() { Poll::Ready(()) } else { driving.as_mut().poll(context) }
    })
    .await;
}
