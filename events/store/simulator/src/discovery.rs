//! What a client asks before its first call: what the server can do, and who leads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::protocol as wire;
use crate::protocol::gossip::gossip_server::Gossip;
use crate::protocol::gossip::member_info::VNodeState;
use crate::protocol::gossip::{ClusterInfo, EndPoint, MemberInfo};
use crate::protocol::server_features::server_features_server::ServerFeatures;
use crate::protocol::server_features::{SupportedMethod, SupportedMethods};
use crate::shared::Shared;

/// The last version under a free licence, and the one whose behaviour is simulated.
const VERSION: &str = "24.6.0";

/// What the server can do, of what is simulated.
const METHODS: [&str; 3] = ["append", "batchappend", "read"];

#[derive(Clone)]
pub(crate) struct Discovery(pub(crate) Arc<Shared>);

#[tonic::async_trait]
impl ServerFeatures for Discovery {
    async fn get_supported_methods(&self, _: Request<()>) -> Result<Response<SupportedMethods>, Status> {
        let methods = METHODS.map(|method| SupportedMethod {
            method_name: method.to_owned(),
            service_name: "event_store.client.streams.streams".to_owned(),
            features: Vec::new(),
        });
        Ok(Response::new(SupportedMethods {
            methods: methods.to_vec(),
            event_store_server_version: VERSION.to_owned(),
        }))
    }
}

#[tonic::async_trait]
impl Gossip for Discovery {
    async fn read(&self, _: Request<()>) -> Result<Response<ClusterInfo>, Status> {
        let shared = &self.0;
        let leader = shared.leader();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() / 100);
        let members = shared.members.iter().enumerate().map(|(node, member)| MemberInfo {
            instance_id: Some(wire::Uuid {
                value: Some(wire::uuid::Value::String(Uuid::from_u128(node as u128 + 1).to_string())),
            }),
            time_stamp: i64::try_from(now).unwrap_or(i64::MAX),
            state: if node == leader { VNodeState::Leader } else { VNodeState::Follower } as i32,
            is_alive: member.is_up.load(Ordering::SeqCst),
            http_end_point: Some(EndPoint {
                address: shared.options.host.clone(),
                port: u32::from(member.port),
            }),
        });
        Ok(Response::new(ClusterInfo { members: members.collect() }))
    }
}
