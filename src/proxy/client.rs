//! The two ends between a call's task and its client's connection: a head, then bytes.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{mpsc, oneshot};

use super::headers::{self, Headers};
use crate::error::{Failure, FailureReply};
use crate::ledger::EndAnswer;

/// Buffers on their way to a client; a slow client slows its provider down.
const BUFFERS: usize = 32;

/// What a client is told.
pub(super) struct Head {
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Body,
}

/// What follows the headers.
pub(super) enum Body {
    /// The whole answer.
    Whole { status: StatusCode, content_type: HeaderValue, bytes: Bytes },
    /// A stream of events.
    Stream(mpsc::Receiver<Bytes>),
    /// It did not work.
    Failure(Failure),
}

/// The call's end.
pub(super) struct Ours {
    head: Option<oneshot::Sender<Head>>,
    body: Option<mpsc::Sender<Bytes>>,
}

/// The connection's end. Dropping it tells the call that the client left.
pub(super) struct Theirs(oneshot::Receiver<Head>);

/// The client is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

pub(super) fn pair() -> (Ours, Theirs) {
    let (sender, receiver) = oneshot::channel();
    (Ours { head: Some(sender), body: None }, Theirs(receiver))
}

impl Ours {
    /// Answers with a failure, and nothing else.
    pub(super) fn fail(&mut self, failure: Failure, headers: Vec<(HeaderName, HeaderValue)>) {
        self.answer(Head { headers, body: Body::Failure(failure) });
    }

    /// Answers as a whole.
    pub(super) fn answer(&mut self, head: Head) {
        if let Some(sender) = self.head.take() {
            // A client that left needs no answer.
            let _ = sender.send(head);
        }
    }

    /// Starts a stream.
    pub(super) fn start_stream(&mut self, headers: Vec<(HeaderName, HeaderValue)>) {
        let (sender, receiver) = mpsc::channel(BUFFERS);
        self.body = Some(sender);
        self.answer(Head { headers, body: Body::Stream(receiver) });
    }

    /// Sends bytes of a stream; waits while the client is slow.
    pub(super) async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        match &self.body {
            Some(body) => body.send(bytes).await.map_err(|_| Gone),
            None => Err(Gone),
        }
    }

    /// Whether the client is slower than its stream: what is sent next will wait for it.
    pub(super) fn is_slow(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.capacity() == 0)
    }

    /// Waits until the client leaves; for ever once it has its whole answer.
    pub(super) async fn gone(&mut self) {
        if let Some(head) = &mut self.head {
            head.closed().await;
        } else if let Some(body) = &self.body {
            body.closed().await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the client has left already.
    pub(super) fn is_gone(&self) -> bool {
        self.head.as_ref().is_some_and(oneshot::Sender::is_closed)
            || self.body.as_ref().is_some_and(mpsc::Sender::is_closed)
    }
}

impl Theirs {
    /// Waits for the head and turns it into a reply.
    pub(super) async fn reply(self, request: &HttpRequest) -> Result<HttpResponse, FailureReply> {
        match self.0.await {
            Ok(head) => reply(request, head),
            Err(_) => Err(FailureReply::to(request, Failure::internal())),
        }
    }
}

fn reply(request: &HttpRequest, head: Head) -> Result<HttpResponse, FailureReply> {
    let mut reply = match head.body {
        Body::Failure(failure) => FailureReply::to(request, failure).into_response(),
        Body::Whole { status, content_type, bytes } => {
            HttpResponseBuilder::new(status).insert_header((CONTENT_TYPE, content_type)).body(bytes)
        }
        Body::Stream(receiver) => HttpResponseBuilder::new(StatusCode::OK)
            .insert_header((CONTENT_TYPE, "text/event-stream; charset=utf-8"))
            .insert_header(("cache-control", "no-cache"))
            // Keeps nginx and the like from collecting a stream.
            .insert_header(("x-accel-buffering", "no"))
            .streaming(Received(receiver)),
    };
    for (name, value) in head.headers {
        reply.headers_mut().insert(name, value);
    }
    Ok(reply)
}

/// Answers with a failure, with what the call was charged all the same.
pub(super) fn fail_settled(ours: &mut Ours, failure: Failure, end: Option<&EndAnswer>, mut told: Headers) {
    if let Some(end) = end {
        headers::cost(&mut told, end.charged);
        headers::room(&mut told, &end.room);
    }
    ours.fail(failure, told);
}

/// A receiver as the stream that a response body is made of.
struct Received(mpsc::Receiver<Bytes>);

impl Stream for Received {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(Ok))
    }
}
