//! The `Streams` service: which call does what.

mod append;
mod batch;
mod read;
mod record;
mod subscription;

use std::sync::Arc;

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::call::Call;
use crate::protocol::streams as wire;
use crate::shared::Shared;

/// How many answers wait for a slow client before the call waits too.
const ANSWERS: usize = 32;

/// The service on one node.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) shared: Arc<Shared>,
    pub(crate) node: usize,
}

type Answers<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl wire::streams_server::Streams for Streams {
    type ReadStream = Answers<wire::ReadResp>;
    type BatchAppendStream = Answers<wire::BatchAppendResp>;

    async fn read(&self, request: Request<wire::ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        let call = Call::of(&request, &self.shared.options);
        self.start_read(call, request.into_inner()).map(Response::new)
    }

    async fn append(
        &self,
        request: Request<Streaming<wire::AppendReq>>,
    ) -> Result<Response<wire::AppendResp>, Status> {
        let call = Call::of(&request, &self.shared.options);
        self.append_one(call, request.into_inner()).await.map(Response::new)
    }

    async fn batch_append(
        &self,
        request: Request<Streaming<wire::BatchAppendReq>>,
    ) -> Result<Response<Self::BatchAppendStream>, Status> {
        let call = Call::of(&request, &self.shared.options);
        Ok(Response::new(self.start_batch(call, request.into_inner())))
    }

    async fn delete(&self, _: Request<wire::DeleteReq>) -> Result<Response<wire::DeleteResp>, Status> {
        Err(Status::unimplemented("the simulator deletes no streams"))
    }

    async fn tombstone(
        &self,
        _: Request<wire::TombstoneReq>,
    ) -> Result<Response<wire::TombstoneResp>, Status> {
        Err(Status::unimplemented("the simulator deletes no streams"))
    }
}
