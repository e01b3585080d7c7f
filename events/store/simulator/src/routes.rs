//! Which service a request is for, and whether it may go there.

use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, StatusCode};
use tonic::codegen::{BoxFuture, Service};

use crate::call;
use crate::cut_body::CutBody;
use crate::discovery::Discovery;
use crate::protocol::gossip::gossip_server::GossipServer;
use crate::protocol::server_features::server_features_server::ServerFeaturesServer;
use crate::protocol::streams::streams_server::StreamsServer;
use crate::shared::Shared;
use crate::streams::Streams;
use crate::wire::Link;

/// The largest message in either direction, as the client takes it.
const MAX_MESSAGE: usize = 17 * 1024 * 1024;

/// All services of one node.
#[derive(Clone)]
pub(crate) struct Routes {
    shared: Arc<Shared>,
    streams: StreamsServer<Streams>,
    features: ServerFeaturesServer<Discovery>,
    gossip: GossipServer<Discovery>,
}

impl Routes {
    pub(crate) fn new(shared: &Arc<Shared>, node: usize) -> Self {
        let streams = Streams { shared: Arc::clone(shared), node };
        let discovery = Discovery(Arc::clone(shared));
        Self {
            shared: Arc::clone(shared),
            streams: StreamsServer::new(streams).max_decoding_message_size(MAX_MESSAGE),
            features: ServerFeaturesServer::new(discovery.clone()),
            gossip: GossipServer::new(discovery),
        }
    }
}

impl Service<Request<Body>> for Routes {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if call::is_wrong(authorization, &self.shared.options) {
            return Box::pin(async { Ok(unauthorized()) });
        }
        match service {
            "event_store.client.streams.Streams" => {
                let is_append = path.ends_with("Append");
                self.streams.call(if is_append { self.guard(request) } else { request })
            }
            "event_store.client.server_features.ServerFeatures" => self.features.call(request),
            "event_store.client.gossip.Gossip" => self.gossip.call(request),
            _ => Box::pin(async { Ok(Status::unimplemented("not simulated").into_http()) }),
        }
    }
}

impl Routes {
    /// Lets a fault cut the connection while an append's request arrives.
    fn guard(&self, request: Request<Body>) -> Request<Body> {
        let link = request.extensions().get::<Link>().expect("every connection is a wire").clone();
        let shared = Arc::clone(&self.shared);
        request.map(|body| Body::new(CutBody::new(body, link, shared)))
    }
}

/// What the server's web layer answers before gRPC sees the request.
fn unauthorized() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}
