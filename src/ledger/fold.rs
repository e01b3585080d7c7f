//! Which streams are folded into what: the one list that ties a stream's events to its state.

use std::collections::HashSet;
use std::hash::Hash;

use nemo_events::price::PriceCardPublished;
use nemo_events::{
    BootId, CodecError, GatewayEvent, KeyEvent, KeyId, OperatorEvent, OrgEvent, OrgId, PriceCardId,
    PriceEvent, StreamName,
};
use nemo_projections::attribution::{Attribution, UNCERTAIN_KEPT};
use nemo_projections::{At, CorruptLog, KeyState, Operators, OrgState};
use serde::{Deserialize, Serialize};

use super::allotment::Slack;
use super::counted;
use crate::metrics::ledger::OfCall;

/// A kind of stream with its events and its state.
pub trait Fold: Send + Sync + 'static {
    /// What tells streams of this kind apart.
    type Id: Copy + Eq + Hash + Send + Sync + 'static;
    /// The state; its default is that of a stream without events.
    type State: Default + Send + 'static;
    /// The events.
    type Event: Clone + Send + Sync + 'static;

    /// The stream's name.
    fn stream(id: Self::Id) -> StreamName;

    /// Folds one event.
    ///
    /// # Errors
    /// An event that no decision could have written at this place.
    fn evolve(state: &mut Self::State, event: &Self::Event, at: At) -> Result<(), CorruptLog>;

    /// Reads stored bytes.
    ///
    /// # Errors
    /// An unknown type or version, or malformed bytes.
    fn decode(event_type: &str, version: u16, data: &[u8]) -> Result<Self::Event, CodecError>;

    /// Type, version and bytes to store.
    ///
    /// # Errors
    /// Where the event cannot be written.
    fn encode(event: &Self::Event) -> Result<(&'static str, u16, Vec<u8>), CodecError>;

    /// About how many bytes the state takes in memory.
    fn weight(state: &Self::State) -> usize;

    /// A state that was kept, should streams of this kind be kept; `None` where it cannot be read.
    fn thaw(_kept: &[u8]) -> Option<Self::State> {
        None
    }

    /// Something was folded: notes what helps to find money.
    #[expect(private_interfaces, reason = "nobody outside of the ledger folds")]
    fn noted(_id: Self::Id, _state: &Self::State, _slack: &Slack) {}

    /// What is counted of an event besides its type, should it become durable.
    fn of_call(_before: &Self::State, _event: &Self::Event) -> Option<OfCall> {
        None
    }
}

macro_rules! codec_of {
    ($event:ty) => {
        type Event = $event;

        fn decode(event_type: &str, version: u16, data: &[u8]) -> Result<$event, CodecError> {
            <$event>::decode(event_type, version, data)
        }

        fn encode(event: &$event) -> Result<(&'static str, u16, Vec<u8>), CodecError> {
            Ok((event.type_name(), event.version(), event.encode()?))
        }
    };
}

/// What is known of one key: what decides, and what is told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAccount {
    /// What decides; `None` for a key that does not exist.
    pub key: Option<KeyState>,
    /// Who used it for what.
    pub attribution: Attribution,
}

impl KeyAccount {
    /// The same, having forgotten every call that has ended.
    #[must_use]
    pub fn without_ended_calls(&self) -> Self {
        let key = self.key.as_ref().map(KeyState::without_ended_calls);
        Self { key, attribution: self.attribution.clone() }
    }
}

/// Folds keys.
#[derive(Debug)]
pub struct KeyFold;

impl Fold for KeyFold {
    type Id = KeyId;
    type State = KeyAccount;
    codec_of!(KeyEvent);

    fn stream(id: KeyId) -> StreamName {
        StreamName::Key(id)
    }

    fn evolve(state: &mut KeyAccount, event: &KeyEvent, at: At) -> Result<(), CorruptLog> {
        KeyState::evolve(&mut state.key, event, at)?;
        state.attribution.evolve(event, at)
    }

    fn weight(state: &KeyAccount) -> usize {
        const KEY: usize = 2_048;
        const CALL: usize = 200;
        const UNCERTAIN: u64 = 80;
        const SLICE: usize = 80;
        let calls = state.key.as_ref().map_or(0, |key| {
            key.open_calls.len().saturating_add(key.ended_calls.len()).saturating_add(key.repeats.len())
        });
        let attribution = &state.attribution;
        let uncertain =
            attribution.estimated.saturating_add(attribution.unconfirmed).min(UNCERTAIN_KEPT as u64);
        let uncertain = usize::try_from(uncertain.saturating_mul(UNCERTAIN)).unwrap_or(usize::MAX);
        let slices = state.key.as_ref().map_or(0, |key| key.slices.all().count());
        let more = calls.saturating_mul(CALL).saturating_add(slices.saturating_mul(SLICE));
        KEY.saturating_add(more).saturating_add(uncertain)
    }

    fn thaw(kept: &[u8]) -> Option<KeyAccount> {
        serde_json::from_slice(kept).ok()
    }

    #[expect(private_interfaces, reason = "nobody outside of the ledger folds")]
    fn noted(id: KeyId, state: &KeyAccount, slack: &Slack) {
        if let Some(key) = &state.key {
            slack.note(id, key);
        }
    }

    fn of_call(before: &KeyAccount, event: &KeyEvent) -> Option<OfCall> {
        counted::of_call(before, event)
    }
}

/// Folds orgs.
#[derive(Debug)]
pub struct OrgFold;

impl Fold for OrgFold {
    type Id = OrgId;
    type State = Option<OrgState>;
    codec_of!(OrgEvent);

    fn stream(id: OrgId) -> StreamName {
        StreamName::Org(id)
    }

    fn evolve(state: &mut Option<OrgState>, event: &OrgEvent, at: At) -> Result<(), CorruptLog> {
        OrgState::evolve(state, event, at)
    }

    fn weight(state: &Option<OrgState>) -> usize {
        const ORG: usize = 1_024;
        const SLICE: usize = 48;
        let slices = state.as_ref().map_or(0, |org| org.allotted.slices());
        ORG.saturating_add(slices.saturating_mul(SLICE))
    }
}

/// Folds the one stream of prices into the cards that may be cited.
#[derive(Debug)]
pub struct PriceFold;

impl Fold for PriceFold {
    type Id = ();
    type State = HashSet<PriceCardId>;
    codec_of!(PriceEvent);

    fn stream((): ()) -> StreamName {
        StreamName::Prices
    }

    fn evolve(state: &mut HashSet<PriceCardId>, event: &PriceEvent, _at: At) -> Result<(), CorruptLog> {
        let PriceEvent::PriceCardPublished(PriceCardPublished { id, .. }) = event;
        if state.insert(*id) { Ok(()) } else { Err(CorruptLog("a price card was published twice")) }
    }

    fn weight(state: &HashSet<PriceCardId>) -> usize {
        state.len().saturating_mul(64)
    }
}

/// Folds the one stream of the gateway into the secrets it has seen.
#[derive(Debug)]
pub struct GatewayFold;

/// What the ledger knows of the nodes: the secrets that they were started with, and who started last.
#[derive(Debug, Clone, Default)]
pub struct GatewayState {
    /// Those of peppers and master keys, as events of the gateway.
    pub secrets: Vec<GatewayEvent>,
    /// The last start of a node.
    pub started: Option<BootId>,
}

impl Fold for GatewayFold {
    type Id = ();
    type State = GatewayState;
    codec_of!(GatewayEvent);

    fn stream((): ()) -> StreamName {
        StreamName::Gateway
    }

    fn evolve(state: &mut GatewayState, event: &GatewayEvent, _at: At) -> Result<(), CorruptLog> {
        match event {
            GatewayEvent::PepperAdded(_)
            | GatewayEvent::PepperRetired(_)
            | GatewayEvent::MasterKeyInstalled(_)
            | GatewayEvent::MasterKeyRetired(_) => state.secrets.push(event.clone()),
            GatewayEvent::NodeStarted(started) => state.started = Some(started.boot),
            GatewayEvent::NodeStopped(_) | GatewayEvent::PresentationsRefused(_) => {}
        }
        Ok(())
    }

    fn weight(state: &GatewayState) -> usize {
        state.secrets.len().saturating_mul(256)
    }
}

/// Folds the one stream of people who log in.
#[derive(Debug)]
pub struct OperatorFold;

impl Fold for OperatorFold {
    type Id = ();
    type State = Operators;
    codec_of!(OperatorEvent);

    fn stream((): ()) -> StreamName {
        StreamName::Operators
    }

    fn evolve(state: &mut Operators, event: &OperatorEvent, at: At) -> Result<(), CorruptLog> {
        state.evolve(event, at)
    }

    fn weight(state: &Operators) -> usize {
        state.iter().count().saturating_mul(256)
    }
}
