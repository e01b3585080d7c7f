//! How far the ledger is known to reach, in a small file beside it.
//!
//! SQLite takes a damaged last transaction for one that was never finished and drops it without a
//! word; a leaf page that has lost its last cell is not noticed either. So after each durable commit
//! the position and hash of the last event go into this file, and a ledger that ends earlier does not
//! open.
//!
//! The file is made in one piece (8 KiB, synced, renamed) before the first append. Afterwards 64 bytes
//! are overwritten in place, in two slots in turn, each within one sector and in a page of its own,
//! **without** a sync: that costs a microsecond instead of a disk's turn. So
//! - after the process dies, the file is exact;
//! - after a power loss it may be older than the ledger, never newer, since the commit was synced
//!   first; it cannot be empty, since its length never changes; and one torn slot leaves the other.
//!
//! It is synced with each checkpoint and when the store closes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nemo_events::{Digest, Position};

use super::EmbeddedStore;
use super::error::OpenError;
use super::files::{failed, private_file, sync_dir};

const MAGIC: &[u8; 8] = b"nemo-wm1";
const SLOT_LEN: usize = 64;
/// Apart by a page, so that one torn page spoils one slot.
const SLOT_OFFSETS: [u64; 2] = [0, 4096];
const FILE_LEN: usize = 8192;

/// An event that is known to be durable. Position 0: none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: Position,
    pub(super) hash: Digest,
}

impl Mark {
    pub(super) const NONE: Self = Self { position: Position(0), hash: Digest::ZERO };

    fn encode(&self) -> [u8; SLOT_LEN] {
        let mut bytes = [0; SLOT_LEN];
        let fields = [MAGIC.as_slice(), &self.position.0.to_le_bytes(), self.hash.as_bytes()].concat();
        let checksum = crc32fast::hash(&fields).to_le_bytes();
        for (byte, value) in bytes.iter_mut().zip(fields.iter().chain(&checksum)) {
            *byte = *value;
        }
        bytes
    }

    /// The mark in a slot, if the slot is what some mark encodes to.
    fn decode(slot: &[u8; SLOT_LEN]) -> Option<Self> {
        let (magic, rest) = slot.split_first_chunk::<8>()?;
        let (position, rest) = rest.split_first_chunk::<8>()?;
        let (hash, _) = rest.split_first_chunk::<32>()?;
        let mark =
            Self { position: Position(u64::from_le_bytes(*position)), hash: Digest::from_bytes(*hash) };
        (magic == MAGIC && mark.encode() == *slot).then_some(mark)
    }
}

/// What the file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Missing,
    /// Neither slot can be used.
    Damaged,
    Mark(Mark),
}

/// The open file.
#[derive(Debug)]
pub(super) struct Watermark {
    file: File,
    next_slot: usize,
}

impl Watermark {
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join(EmbeddedStore::WATERMARK_NAME)
    }

    pub(super) fn read(dir: &Path) -> Result<Found, OpenError> {
        let path = Self::path(dir);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        Ok(slots(&bytes)
            .into_iter()
            .flatten()
            .max_by_key(|mark| mark.position)
            .map_or(Found::Damaged, Found::Mark))
    }

    /// Puts a new file with this mark in place of whatever is there.
    pub(super) fn create(dir: &Path, mark: Mark) -> Result<Self, OpenError> {
        let (path, draft) = (Self::path(dir), dir.join("watermark.new"));
        let file = private_file(&draft)?;
        let written = || {
            file.set_len(0)?;
            file.write_all_at(&[0; FILE_LEN], 0)?;
            for offset in SLOT_OFFSETS {
                file.write_all_at(&mark.encode(), offset)?;
            }
            file.sync_all()
        };
        written().map_err(failed("write", &draft))?;
        std::fs::rename(&draft, &path).map_err(failed("replace", &path))?;
        sync_dir(dir)?;
        Ok(Self { file, next_slot: 0 })
    }

    /// Overwrites the older slot.
    pub(super) fn advance(&mut self, mark: Mark) -> io::Result<()> {
        let offset = SLOT_OFFSETS.get(self.next_slot).copied().unwrap_or_default();
        self.next_slot = 1 - self.next_slot.min(1);
        self.file.write_all_at(&mark.encode(), offset)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn slots(bytes: &[u8]) -> [Option<Mark>; 2] {
    SLOT_OFFSETS.map(|offset| {
        let slot = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..))?;
        Mark::decode(slot.first_chunk()?)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

    use super::*;

    fn mark(position: u64) -> Mark {
        Mark { position: Position(position), hash: Digest::of(&position.to_le_bytes()) }
    }

    #[test]
    fn one_spoilt_slot_leaves_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut watermark = Watermark::create(dir.path(), mark(1)).unwrap();
        for position in 2..5 {
            watermark.advance(mark(position)).unwrap();
            assert_eq!(Watermark::read(dir.path()).unwrap(), Found::Mark(mark(position)));
        }
        // 4 went into the first slot, 3 is in the second.
        watermark.file.write_all_at(b"?", 20).unwrap();
        assert_eq!(Watermark::read(dir.path()).unwrap(), Found::Mark(mark(3)));
        watermark.file.write_all_at(b"?", 4096 + 63).unwrap();
        assert_eq!(Watermark::read(dir.path()).unwrap(), Found::Damaged);
    }

    #[test]
    fn every_flipped_bit_of_a_slot_spoils_it() {
        let slot = mark(7).encode();
        for bit in 0..SLOT_LEN * 8 {
            let mut bad = slot;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::decode(&bad), None, "bit {bit}");
        }
    }

    #[test]
    fn a_short_or_empty_file_is_damaged_and_none_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Watermark::read(dir.path()).unwrap(), Found::Missing);
        std::fs::write(Watermark::path(dir.path()), b"").unwrap();
        assert_eq!(Watermark::read(dir.path()).unwrap(), Found::Damaged);
    }
}
