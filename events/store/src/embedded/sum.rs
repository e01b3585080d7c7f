//! Whether the stream index holds the same events as the table: the same (stream, revision, position)
//! triples, in order. A sum of their hashes shows it, with one pass over each and no memory.

use std::hash::{Hash, Hasher};
use std::path::Path;

use nemo_events::{Position, Revision, StreamName};

use super::connect::{read_failed, reader};
use crate::ReadError;

/// Answered from the index alone.
const INDEX: &str = "SELECT stream, revision, position FROM events INDEXED BY sqlite_autoindex_events_1 \
                     ORDER BY stream, revision";

/// A sum over (stream, revision, position), the same in whatever order they are added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum(u64);

impl Sum {
    pub(super) fn add(&mut self, stream: &StreamName, revision: Revision, position: Position) {
        let mut mixer = Mixer::default();
        (stream, revision, position).hash(&mut mixer);
        self.0 = self.0.wrapping_add(mixer.finish());
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

/// A quick hash: what it tells apart differs by accident, not on purpose.
#[derive(Default)]
pub(super) struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let tail = rest.iter().fold(rest.len() as u64, |tail, byte| tail << 8 | u64::from(*byte));
        self.write_u64(tail);
    }

    fn write_u64(&mut self, word: u64) {
        // The multiplier and the final mix of splitmix64.
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

pub(super) fn check_index(table: Sum, index: Sum) -> Result<(), ReadError> {
    if table == index {
        return Ok(());
    }
    Err(damaged_index("it does not hold the same events as the table".to_owned()))
}

fn damaged_index(what: String) -> ReadError {
    ReadError::Damaged { place: "the stream index".to_owned(), what }
}

/// The sum over the stream index, which must be in order.
pub(super) fn index_sum(database: &Path) -> Result<Sum, ReadError> {
    let db = reader(database).map_err(read_failed)?;
    let mut statement = db.prepare(INDEX).map_err(read_failed)?;
    let mut rows = statement.query([]).map_err(read_failed)?;
    let (mut sum, mut previous) = (Sum::default(), (String::new(), -1_i64));
    while let Some(row) = rows.next().map_err(read_failed)? {
        let stream = row.get_ref(0).map_err(read_failed)?.as_str().unwrap_or_default();
        let revision: i64 = row.get(1).map_err(read_failed)?;
        let position: i64 = row.get(2).map_err(read_failed)?;
        if (stream, revision) <= (previous.0.as_str(), previous.1) {
            return Err(damaged_index(format!("{stream}@{revision} is out of order")));
        }
        let entry = (stream.parse(), u64::try_from(revision), u64::try_from(position));
        let (Ok(name), Ok(number), Ok(position)) = entry else {
            return Err(damaged_index(format!("{stream}@{revision} is no event")));
        };
        sum.add(&name, Revision(number), Position(position));
        if previous.0 != stream {
            stream.clone_into(&mut previous.0);
        }
        previous.1 = revision;
    }
    Ok(sum)
}
