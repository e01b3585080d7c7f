//! Histories of real events: each is folded as it is added, so that none is one that could not be.

use std::collections::BTreeMap;

use bytes::Bytes;
use nemo_events::gateway::{MasterKeyInstalled, NodeStarted, NodeStopped, PepperAdded, PresentationsRefused};
use nemo_events::key::{
    BoundBasis, CallAuthorized, CallCorrected, CallForfeited, CallSettled, CallVoided, CallsRefused, Client,
    Ending, Evidence, ForfeitReason, Hold, KeyBlocked, KeyCreated, KeyDigestRenewed, KeyLimitsSet,
    KeyRelabelled, KeyRevoked, KeySecret, KeySecretRotated, KeyUnblocked, Labels, RefusalCount, VoidReason,
};
use nemo_events::limits::{Endpoint, KeyLimits};
use nemo_events::org::{OrgCreated, OrgLimits, OrgRenamed};
use nemo_events::price::{PriceCard, PriceCardPublished, Rates};
use nemo_events::{
    Actor, BootId, CallId, Digest, EventId, EventRecord, GatewayEvent, KeyEvent, KeyId, Metadata, Nanos,
    NodeId, OrgEvent, OrgId, PepperId, Position, PriceCardId, PriceEvent, RequestId, Revision, Sealed,
    StreamHead, StreamName, Timestamp, Usage,
};
use nemo_projections::{At, KeyState, OrgState};
use uuid::Uuid;

/// What every call may cost at most.
pub const HOLD: Nanos = Nanos::from_nanos(1_000_000);

pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn key(number: usize) -> KeyId {
    KeyId::from_digits(&format!("{number:011}")).unwrap()
}

pub fn org(number: usize) -> OrgId {
    OrgId::from_uuid(Uuid::from_u128(number as u128 + 1))
}

pub fn labels(app: &str, tags: &[&str]) -> Labels {
    Labels {
        name: format!("the {app} key"),
        app: Some(app.to_owned()),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..Labels::default()
    }
}

pub fn usage(input: u64, output: u64) -> Usage {
    Usage { input, output, ..Usage::default() }
}

/// A person who manages.
pub fn operator() -> Actor {
    serde_json::from_value(serde_json::json!({"kind": "operator", "id": Uuid::from_u128(7)})).unwrap()
}

pub fn boot(number: u128) -> BootId {
    BootId::from_uuid(Uuid::from_u128(number))
}

pub fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

pub struct History {
    pub records: Vec<EventRecord>,
    pub now: Timestamp,
    pub node: NodeId,
    pub boot: BootId,
    /// Who causes what is added next.
    pub actor: Actor,
    /// Calls by key, with what they are charged once they ended.
    pub calls: Vec<Call>,
    heads: BTreeMap<StreamName, StreamHead>,
    keys: BTreeMap<KeyId, Option<KeyState>>,
    orgs: BTreeMap<OrgId, Option<OrgState>>,
}

#[derive(Clone)]
pub struct Call {
    pub id: CallId,
    pub key: KeyId,
    pub authorized_at: Timestamp,
    pub ended: Option<(Revision, Nanos)>,
}

/// What a call is asked for.
pub struct Ask<'a> {
    pub model: &'a str,
    pub provider_model: &'a str,
    pub claims: &'a [&'a str],
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self { model: "gpt", provider_model: "gpt", claims: &[] }
    }
}

impl History {
    pub fn starting(at: &str) -> Self {
        Self {
            records: Vec::new(),
            now: time(at),
            node: node("n1"),
            boot: boot(1),
            actor: Actor::System,
            calls: Vec::new(),
            heads: BTreeMap::new(),
            keys: BTreeMap::new(),
            orgs: BTreeMap::new(),
        }
    }

    /// One org with so many keys, and nothing else.
    pub fn with_keys(at: &str, keys: usize) -> Self {
        let mut history = Self::starting(at);
        history.create_org(0);
        for number in 0..keys {
            history.create_key(number, 0);
        }
        history
    }

    pub fn state(&self, id: KeyId) -> &KeyState {
        self.keys[&id].as_ref().unwrap()
    }

    pub fn create_org(&mut self, number: usize) {
        let event = OrgCreated { name: format!("Org {number}"), limits: OrgLimits::default() };
        self.org(number, event);
    }

    pub fn rename_org(&mut self, number: usize, name: &str) {
        self.org(number, OrgRenamed { name: name.to_owned() });
    }

    pub fn create_key(&mut self, number: usize, owner: usize) {
        let limits = KeyLimits { unlimited: true, ..KeyLimits::default() };
        let (org, labels, secret) = (org(owner), labels("first", &["a"]), secret(1, number));
        self.key(key(number), KeyCreated { org, labels, limits, secret });
    }

    pub fn relabel(&mut self, key: KeyId, labels: Labels) {
        self.key(key, KeyRelabelled { labels });
    }

    pub fn set_limits(&mut self, key: KeyId, limits: KeyLimits) {
        self.key(key, KeyLimitsSet { limits });
    }

    pub fn block(&mut self, key: KeyId) {
        self.key(key, KeyBlocked { reason: None });
    }

    pub fn unblock(&mut self, key: KeyId) {
        self.key(key, KeyUnblocked {});
    }

    pub fn revoke(&mut self, key: KeyId) {
        self.key(key, KeyRevoked { reason: None });
    }

    pub fn rotate(&mut self, key: KeyId, leaked: bool) {
        let version = self.state(key).current_secret().unwrap().version + 1;
        let (secret, previous_valid_until) = (secret(version, version as usize), self.now);
        self.key(key, KeySecretRotated { secret, previous_valid_until, leaked });
    }

    /// Digests a key's current secret under another pepper.
    pub fn renew(&mut self, key: KeyId, pepper: &PepperId) {
        let current = self.state(key).current_secret().unwrap().clone();
        let secret = KeySecret { pepper: pepper.clone(), digest: Digest::of(b"again"), ..current };
        self.key(key, KeyDigestRenewed { secret });
    }

    pub fn refuse(&mut self, key: KeyId, code: &str, count: u64) {
        let refusals = vec![refused(code, count)];
        self.key(key, CallsRefused { since: self.now, refusals, alerts: Vec::new() });
    }

    pub fn authorize(&mut self, key: KeyId, ask: &Ask<'_>) -> CallId {
        let id = CallId::from_uuid(Uuid::from_u128((1 << 64) + self.calls.len() as u128));
        let labels_revision = self.state(key).labels_revision;
        let at = self.key(
            key,
            CallAuthorized {
                call: id,
                request: RequestId::from_uuid(Uuid::from_u128(7)),
                attempt: 1,
                secret_version: 1,
                endpoint: Endpoint::ChatCompletions,
                model: ask.model.into(),
                provider: "openai".into(),
                provider_model: ask.provider_model.into(),
                price_card: PriceCardId(Digest::ZERO),
                hold: Hold {
                    amount: HOLD,
                    input_amount: Nanos::from_nanos(1000),
                    input_tokens: 1000,
                    output_tokens: 1000,
                    basis: BoundBasis::Bytes,
                },
                output_limit: 1000,
                output_limit_set: false,
                deadline: self.now.plus_secs(600),
                labels_revision,
                client: Client { address: Some("10.1.2.3".into()), user_agent: Some("curl/8".into()) },
                tags: ask.claims.iter().map(|claim| (*claim).to_owned()).collect(),
                streams: false,
                hidden_output: false,
                idempotency_key: None,
                body: None,
                allotted: false,
            },
        );
        self.calls.push(Call { id, key, authorized_at: at.time, ended: None });
        id
    }

    pub fn settle(&mut self, id: CallId, cost: i64, usage: Usage, evidence: Evidence) {
        let cost = Nanos::from_nanos(cost);
        self.end(
            id,
            cost,
            CallSettled {
                call: id,
                usage,
                cost,
                evidence,
                ending: Ending::Completed,
                over_hold: cost > HOLD,
                provider_request: Some("req_1".into()),
                status: Some(200),
                first_byte_ms: Some(120),
                duration_ms: 900,
            },
        );
    }

    pub fn void(&mut self, id: CallId) {
        let (reason, status, duration_ms) = (VoidReason::ProviderRefused, Some(429), 30);
        self.end(id, Nanos::ZERO, CallVoided { call: id, reason, status, duration_ms });
    }

    pub fn forfeit(&mut self, id: CallId, charged: i64) {
        let (charged, reason) = (Nanos::from_nanos(charged), ForfeitReason::NodeDied);
        self.end(id, charged, CallForfeited { call: id, charged, reason });
    }

    pub fn correct(&mut self, id: CallId, charged: i64, usage: Option<Usage>) {
        let call = self.calls.iter().find(|call| call.id == id).unwrap().clone();
        let (ended_at, charged_before) = call.ended.unwrap();
        let charged = Nanos::from_nanos(charged);
        self.key(
            call.key,
            CallCorrected {
                call: id,
                charged_before,
                charged,
                ended_at,
                authorized_at: call.authorized_at,
                allotted: false,
                usage,
                reason: "on evidence".into(),
            },
        );
        self.calls.iter_mut().find(|call| call.id == id).unwrap().ended = Some((ended_at, charged));
    }

    pub fn publish_card(&mut self, model: &str) -> PriceCardId {
        let card = PriceCard {
            provider: "openai".into(),
            model: model.into(),
            rates: Rates { input: "2.5".parse().unwrap(), ..Rates::default() },
            tiers: vec![],
            context_window: 1000,
            max_output_tokens: 100,
            reasoning: false,
            tokenizer: None,
            source: "test".into(),
        };
        let id = card.id().unwrap();
        let event = PriceEvent::from(PriceCardPublished { id, card });
        self.append(StreamName::Prices, event.type_name(), event.version(), event.encode().unwrap());
        id
    }

    pub fn start_node(&mut self, name: &str, number: u128) {
        (self.node, self.boot) = (node(name), boot(number));
        self.gateway(NodeStarted { node: node(name), boot: boot(number), program: "0.1.0".into() });
    }

    pub fn stop_node(&mut self, name: &str, number: u128) {
        self.gateway(NodeStopped { node: node(name), boot: boot(number) });
    }

    pub fn install_secrets(&mut self) {
        let pepper: PepperId = "pepper1".parse().unwrap();
        self.gateway(PepperAdded { pepper, fingerprint: Digest::of(b"pepper") });
        let (fingerprint, replaces) = (Digest::of(b"master"), None);
        let master_key = "AAAAAAAAAAA".parse().unwrap();
        self.gateway(MasterKeyInstalled { master_key, fingerprint, replaces });
    }

    pub fn refuse_presentations(&mut self, count: u64) {
        let refusals = vec![refused("invalid_api_key", count)];
        self.gateway(PresentationsRefused { since: self.now, refusals });
    }

    pub fn checkpoint(&mut self) {
        self.append(StreamName::Checkpoints, "CheckpointSigned", 1, b"{}".to_vec());
    }

    /// Adds an event as it is, without a fold.
    pub fn append(
        &mut self,
        stream: StreamName,
        event_type: &'static str,
        version: u16,
        data: Vec<u8>,
    ) -> At {
        let head = self.heads.entry(stream.clone()).or_insert(StreamHead::EMPTY);
        let metadata = Metadata {
            actor: self.actor.clone(),
            request: None,
            call: None,
            node: self.node.clone(),
            boot: self.boot,
        };
        let event = Sealed {
            stream,
            revision: head.next_revision(),
            id: EventId::from_uuid(Uuid::from_u128(self.records.len() as u128)),
            event_type: event_type.into(),
            version,
            recorded_at: self.now.max(head.recorded_at),
            data: data.into(),
            metadata: Bytes::from(serde_json::to_vec(&metadata).unwrap()),
            prev_hash: head.hash,
            hash: Digest::ZERO,
        }
        .with_hash();
        *head = event.head();
        let at = At { revision: event.revision, time: event.recorded_at };
        // Positions need not be dense.
        let position = Position(self.records.last().map_or(3, |last| last.position.0 + 2));
        self.records.push(EventRecord { position, event });
        at
    }

    fn end(&mut self, id: CallId, charged: Nanos, event: impl Into<KeyEvent>) {
        let owner = self.calls.iter().find(|call| call.id == id).unwrap().key;
        let at = self.key(owner, event);
        let call = self.calls.iter_mut().find(|call| call.id == id).unwrap();
        call.ended = Some((at.revision, charged));
    }

    fn key(&mut self, id: KeyId, event: impl Into<KeyEvent>) -> At {
        let event = event.into();
        let at =
            self.append(StreamName::Key(id), event.type_name(), event.version(), event.encode().unwrap());
        KeyState::evolve(self.keys.entry(id).or_default(), &event, at).unwrap();
        at
    }

    fn org(&mut self, number: usize, event: impl Into<OrgEvent>) {
        let (id, event) = (org(number), event.into());
        let at =
            self.append(StreamName::Org(id), event.type_name(), event.version(), event.encode().unwrap());
        OrgState::evolve(self.orgs.entry(id).or_default(), &event, at).unwrap();
    }

    pub fn gateway(&mut self, event: impl Into<GatewayEvent>) {
        let event = event.into();
        self.append(StreamName::Gateway, event.type_name(), event.version(), event.encode().unwrap());
    }
}

fn refused(code: &str, count: u64) -> RefusalCount {
    RefusalCount { code: code.to_owned(), address: None, other_addresses: None, count }
}

fn secret(version: u32, number: usize) -> KeySecret {
    let (digest, pepper) = (Digest::of(&version.to_be_bytes()), "pepper1".parse().unwrap());
    KeySecret { version, digest, pepper, last_four: format!("{number:04}") }
}
