//! The log's file: one frame for each append, synchronised before it is answered. A file that does not take what
//! is written ends the test.
//!
//! A frame is its length and its CRC-32 (both little-endian u32), then the append as a protocol message of its own.
//! What a kill leaves half-written at the end is cut off when the file is opened, as nothing of it was answered.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use super::Proposed;

/// What is written in one piece: events of one stream, or a record without an event.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) stream: String,
    pub(super) created: u64,
    pub(super) events: Vec<Proposed>,
}

impl Batch {
    pub(super) fn filler() -> Self {
        Self { stream: String::new(), created: 0, events: Vec::new() }
    }
}

pub(super) struct Disk(File);

const HEADER: usize = 8;

impl Disk {
    /// Opens or creates the file, and returns what it holds.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<Batch>)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.try_lock()
            .map_err(|error| io::Error::other(format!("{} is in use: {error}", path.display())))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut batches = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((batch, behind)) = read_frame(rest)? {
            batches.push(batch);
            rest = behind;
        }
        let length = (bytes.len() - rest.len()) as u64;
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        Ok((Self(file), batches))
    }

    pub(super) fn write(&mut self, batch: &Batch) {
        let body = stored(batch).encode_to_vec();
        let mut frame = Vec::with_capacity(HEADER + body.len());
        frame.extend_from_slice(&u32::try_from(body.len()).expect("an append is small").to_le_bytes());
        frame.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        frame.extend_from_slice(&body);
        self.0.write_all(&frame).expect("the log's file takes what is written");
    }

    pub(super) fn sync(&mut self) {
        self.0.sync_data().expect("the log's file becomes durable");
    }
}

/// The next frame and what lies behind it; `None` at the end, or where a write was interrupted.
fn read_frame(bytes: &[u8]) -> io::Result<Option<(Batch, &[u8])>> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Ok(None) };
    let (length, crc) = header.split_at(4);
    let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
    let Some((body, behind)) = rest.split_at_checked(length) else { return Ok(None) };
    if crc32fast::hash(body).to_le_bytes() != crc {
        return Ok(None);
    }
    let stored = Stored::decode(body).map_err(io::Error::other)?;
    Ok(Some((loaded(stored)?, behind)))
}

#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(string, tag = "1")]
    stream: String,
    #[prost(uint64, tag = "2")]
    created: u64,
    #[prost(message, repeated, tag = "3")]
    events: Vec<StoredEvent>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredEvent {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    event_type: String,
    #[prost(bool, tag = "3")]
    is_json: bool,
    #[prost(bytes = "bytes", tag = "4")]
    data: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    metadata: Bytes,
}

fn stored(batch: &Batch) -> Stored {
    let events = batch.events.iter().map(|event| StoredEvent {
        id: event.id.as_bytes().to_vec(),
        event_type: event.event_type.clone(),
        is_json: event.is_json,
        data: event.data.clone(),
        metadata: event.metadata.clone(),
    });
    Stored { stream: batch.stream.clone(), created: batch.created, events: events.collect() }
}

fn loaded(stored: Stored) -> io::Result<Batch> {
    let events = stored.events.into_iter().map(|event| {
        Ok(Proposed {
            id: Uuid::from_slice(&event.id).map_err(io::Error::other)?,
            event_type: event.event_type,
            is_json: event.is_json,
            data: event.data,
            metadata: event.metadata,
        })
    });
    Ok(Batch { stream: stored.stream, created: stored.created, events: events.collect::<io::Result<_>>()? })
}
