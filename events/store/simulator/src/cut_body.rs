//! A request's body whose arrival may cut the connection before anything of it is understood.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tonic::Status;
use tonic::body::Body;

use crate::shared::Shared;
use crate::wire::Link;

pub(crate) struct CutBody {
    body: Body,
    link: Link,
    shared: Arc<Shared>,
}

impl CutBody {
    pub(crate) fn new(body: Body, link: Link, shared: Arc<Shared>) -> Self {
        Self { body, link, shared }
    }
}

impl http_body::Body for CutBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let has_data = matches!(&frame, Some(Ok(frame)) if frame.is_data());
        if has_data && self.shared.faults.take_before_reading() {
            self.shared.counters.count(|counts| counts.faults += 1);
            self.link.cut();
            return Poll::Ready(Some(Err(Status::aborted("the connection is cut"))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
