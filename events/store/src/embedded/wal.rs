//! Our own reader of SQLite's write-ahead log (<https://sqlite.org/fileformat2.html#walformat>).
//!
//! SQLite takes the first invalid frame for the end of the log and drops everything behind it without
//! a word, committed or not. So before SQLite sees the file, this looks at what it would drop.
//!
//! A frame's checksum continues that of the frame before, as *stored* in that frame's header; so each
//! link can be checked on its own, and the frames behind a damaged one still show themselves as
//! genuine. What may lie behind the last good commit of a healthy log:
//! - frames of earlier generations of the file (other salts);
//! - one transaction that was being written when power failed, in any state, and never acknowledged;
//! - frames of transactions that failed on a full disk, without a commit frame.
//!
//! The writer starts a transaction only when the one before is synced. Hence a genuine frame behind a
//! later commit frame means that an acknowledged transaction is damaged: refuse. A damaged *last*
//! transaction looks like the unfinished one; the [`super::watermark`] tells them apart.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::error::OpenError;
use super::files::{failed, length};

const HEADER_LEN: usize = 32;
const FRAME_HEADER_LEN: usize = 24;
const MAGIC_LITTLE: u32 = 0x377f_0682;
const MAGIC_BIG: u32 = 0x377f_0683;
const VERSION: u32 = 3_007_000;

/// What a log holds that SQLite will use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WalReport {
    /// Frames up to and including the last good commit.
    pub(super) committed: u32,
    /// The first bad frame, if what follows the last good commit looks like a transaction.
    pub(super) suspect: Option<Place>,
}

/// A frame, from 1, and the byte where it starts. Frame 0 is the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) frame: u32,
    pub(super) offset: u64,
}

/// Reads the log beside the database; a missing one is an empty one.
pub(super) fn inspect(path: &Path) -> Result<WalReport, OpenError> {
    if length(path)? <= HEADER_LEN as u64 {
        return Ok(WalReport::default());
    }
    let file = File::open(path).map_err(failed("open", path))?;
    let scanned = scan(&mut BufReader::with_capacity(1 << 20, file)).map_err(failed("read", path))?;
    scanned.map_err(|Place { frame, offset }| OpenError::DamagedWal { path: path.to_owned(), frame, offset })
}

type Checksum = (u32, u32);

struct Header {
    big_endian: bool,
    page_size: usize,
    salts: [u8; 8],
    checksum: Checksum,
}

struct FrameHeader {
    page: u32,
    /// The database's size in pages after the commit; 0 in a frame that commits nothing.
    commit_size: u32,
    salts: [u8; 8],
    checksum: Checksum,
}

/// The report, or the place of damage that SQLite would hide.
fn scan(file: &mut impl Read) -> io::Result<Result<WalReport, Place>> {
    let mut header = [0; HEADER_LEN];
    file.read_exact(&mut header)?;
    let header = Header::parse(&header);
    let page_size = header.as_ref().map_or(512, |header| header.page_size);
    let mut frame = vec![0; FRAME_HEADER_LEN + page_size];
    let mut walk = header.as_ref().map(Walk::new);
    let mut number = 0_u32;
    while read_whole(file, &mut frame)? {
        // Without a header SQLite drops every frame there is.
        let Some(walk) = &mut walk else { return Ok(Err(Place { frame: 0, offset: 0 })) };
        number = number.saturating_add(1);
        if let Err(place) = walk.step(number, &frame) {
            return Ok(Err(place));
        }
    }
    Ok(Ok(walk.map(|walk| walk.report).unwrap_or_default()))
}

/// The state of a walk from frame to frame.
struct Walk<'a> {
    header: &'a Header,
    report: WalReport,
    /// The first frame that is not genuine.
    first_bad: Option<Place>,
    /// Whether a commit frame of this generation was seen at or behind the first bad frame.
    commit_behind_bad: bool,
    /// The frame before: its page, if it is of this generation, and its stored checksum.
    previous: (Option<u32>, Checksum),
}

impl<'a> Walk<'a> {
    fn new(header: &'a Header) -> Self {
        let previous = (None, header.checksum);
        Self { header, report: WalReport::default(), first_bad: None, commit_behind_bad: false, previous }
    }

    fn step(&mut self, number: u32, frame: &[u8]) -> Result<(), Place> {
        let Some((head, page)) = frame.split_at_checked(FRAME_HEADER_LEN) else { return Ok(()) };
        let head_fields = FrameHeader::parse(head);
        let ours = head_fields.salts == self.header.salts && head_fields.page != 0;
        let genuine = ours && self.links(head, page, head_fields.checksum);
        let commits = ours && head_fields.commit_size != 0;
        match (genuine, self.first_bad) {
            (true, None) if commits => self.report.committed = number,
            (true, None) => {}
            (false, None) => {
                let offset = HEADER_LEN as u64 + u64::from(number - 1) * frame.len() as u64;
                self.first_bad = Some(Place { frame: number, offset });
                self.report.suspect = self.first_bad.filter(|_| ours);
            }
            (true, Some(place)) => {
                // Within a transaction SQLite writes each page once, in ascending order.
                let new_transaction = self.previous.0.is_some_and(|page| head_fields.page <= page);
                if self.commit_behind_bad || new_transaction {
                    return Err(place);
                }
                self.report.suspect = self.first_bad;
            }
            (false, Some(_)) => {}
        }
        self.commit_behind_bad |= self.first_bad.is_some() && commits;
        self.previous = (ours.then_some(head_fields.page), head_fields.checksum);
        Ok(())
    }

    /// Whether the stored checksum continues the one stored before.
    fn links(&self, head: &[u8], page: &[u8], stored: Checksum) -> bool {
        let (first_eight, _) = head.split_at_checked(8).unwrap_or_default();
        let sum = checksum(self.header.big_endian, self.previous.1, first_eight);
        checksum(self.header.big_endian, sum, page) == stored
    }
}

impl Header {
    fn parse(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let big_endian = match word(bytes, 0) {
            MAGIC_LITTLE => false,
            MAGIC_BIG => true,
            _ => return None,
        };
        let checksum = checksum(big_endian, (0, 0), bytes.get(..24)?);
        let page_size = usize::try_from(word(bytes, 8)).ok()?;
        let sound = checksum == (word(bytes, 24), word(bytes, 28))
            && word(bytes, 4) == VERSION
            && page_size.is_power_of_two()
            && (512..=65_536).contains(&page_size);
        let salts = bytes.get(16..24)?.try_into().ok()?;
        sound.then_some(Self { big_endian, page_size, salts, checksum })
    }
}

impl FrameHeader {
    fn parse(bytes: &[u8]) -> Self {
        Self {
            page: word(bytes, 0),
            commit_size: word(bytes, 4),
            salts: bytes.get(8..16).and_then(|salts| salts.try_into().ok()).unwrap_or_default(),
            checksum: (word(bytes, 16), word(bytes, 20)),
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(<[u8]>::first_chunk);
    word.map_or(0, |word| u32::from_be_bytes(*word))
}

/// SQLite's checksum: two interleaved sums over pairs of 32-bit words.
fn checksum(big_endian: bool, seed: Checksum, bytes: &[u8]) -> Checksum {
    let read = if big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
    bytes.as_chunks::<8>().0.iter().fold(seed, |(a, b), [p, q, r, s, t, u, v, w]| {
        let a = a.wrapping_add(read([*p, *q, *r, *s])).wrapping_add(b);
        (a, b.wrapping_add(read([*t, *u, *v, *w])).wrapping_add(a))
    })
}

/// Fills the buffer, or finds that the file ends before that.
fn read_whole(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
