//! What is known of a log that was read in order: every stream's head, and a hash over all of it.

use std::collections::HashMap;

use nemo_events::{ChainError, Digest, Sealed, StreamHead, StreamName};

use super::Same;

const LOG: &[u8] = b"nemo/copy/log/v1";
const HEADS: &[u8] = b"nemo/copy/heads/v1";

/// The chains of a log, as far as it was read.
#[derive(Debug, Clone)]
pub struct Chains {
    heads: HashMap<StreamName, StreamHead>,
    events: u64,
    bytes: u64,
    log: Digest,
}

impl Chains {
    /// Of a log of which nothing was read yet.
    #[must_use]
    pub fn new() -> Self {
        Self { heads: HashMap::new(), events: 0, bytes: 0, log: Digest::of_fields(LOG, &[]) }
    }

    /// Takes the next event of the log, which must follow its stream's last one.
    ///
    /// # Errors
    /// [`ChainError::Broken`]
    pub fn follow(&mut self, event: &Sealed) -> Result<(), ChainError> {
        match self.heads.get_mut(&event.stream) {
            Some(head) => {
                event.follows(head)?;
                *head = event.head();
            }
            None => {
                event.follows(&StreamHead::EMPTY)?;
                self.heads.insert(event.stream.clone(), event.head());
            }
        }
        self.events = self.events.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes(event) as u64);
        self.log = Digest::of_fields(LOG, &[self.log.as_bytes(), event.hash.as_bytes()]);
        Ok(())
    }

    /// Events so far.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Their bytes of data and metadata.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Each stream's last event so far.
    pub fn heads(&self) -> impl Iterator<Item = (&StreamName, &StreamHead)> {
        self.heads.iter()
    }

    /// All of it in a few numbers.
    #[must_use]
    pub fn same(&self) -> Same {
        let mut heads: Vec<(String, Digest)> =
            self.heads.iter().map(|(stream, head)| (stream.to_string(), head.hash)).collect();
        heads.sort_unstable();
        let fields: Vec<&[u8]> =
            heads.iter().flat_map(|(stream, hash)| [stream.as_bytes(), hash.as_bytes().as_slice()]).collect();
        Same {
            events: self.events,
            bytes: self.bytes,
            streams: self.heads.len() as u64,
            log: self.log,
            heads: Digest::of_fields(HEADS, &fields),
        }
    }
}

impl Default for Chains {
    fn default() -> Self {
        Self::new()
    }
}

/// What an event weighs.
pub(super) fn bytes(event: &Sealed) -> usize {
    event.data.len().saturating_add(event.metadata.len())
}
