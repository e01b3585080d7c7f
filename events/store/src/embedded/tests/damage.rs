//! One flipped bit, anywhere: found when opening or reading, or without any effect at all.

use std::collections::BTreeMap;
use std::ops::Range;

use super::*;

/// A bit of a file.
#[derive(Debug, Clone, Copy)]
struct Flip {
    file: &'static str,
    byte: u64,
    bit: u8,
}

/// How a flip was dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    RefusedToOpen,
    FoundByReading,
    FoundByAppending,
    Harmless,
}

/// A ledger as some end left it, and what it must hold.
struct Image {
    dir: TempDir,
    events: Vec<EventRecord>,
    scripts: Vec<Script>,
}

/// Several streams in many transactions, part of them in the database and part in the log.
async fn image(closed: bool) -> Image {
    let dir = scratch();
    let store = EmbeddedStore::open(dir.path(), Options { checkpoint_frames: 130, ..options() }).unwrap();
    let mut scripts: Vec<Script> = (0..24)
        .map(|n| Script::of_key(n * n).with_data(format!("{{\"n\":\"{}\"}}", "n".repeat(n as usize * 20))))
        .collect();
    for round in 0..9 {
        for (number, script) in scripts.iter_mut().enumerate() {
            script.write(&store, 1 + (round + number) % 3).await;
        }
    }
    // One event that needs overflow pages.
    scripts[0] = scripts[0].clone().with_data(vec![b'o'; 9000]);
    scripts[0].write(&store, 1).await;
    scripts[1].write(&store, 1).await;
    let events = everything(&store).await.unwrap();
    let image = scratch();
    if closed {
        store.close().await;
    }
    copy(dir.path(), image.path());
    Image { dir: image, events, scripts }
}

impl Image {
    fn len(&self, file: &str) -> u64 {
        fs::metadata(self.dir.path().join(file)).unwrap().len()
    }

    /// Opens a copy with one flipped bit and uses it in every way.
    async fn try_with(&self, flip: Flip) -> Outcome {
        let dir = scratch();
        copy(self.dir.path(), dir.path());
        let path = dir.path().join(flip.file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[flip.byte as usize] ^= 1 << flip.bit;
        fs::write(&path, bytes).unwrap();
        let (options, fatal) = recording();
        let Ok(store) = EmbeddedStore::open(dir.path(), options) else { return Outcome::RefusedToOpen };
        if self.read_everything(&store, flip).await.is_err() {
            return Outcome::FoundByReading;
        }
        let store = Arc::new(store);
        let mut appending = tokio::task::JoinSet::new();
        for script in &self.scripts {
            let (store, mut script) = (Arc::clone(&store), script.clone());
            appending.spawn(async move { script.next(3).send(&*store).await });
        }
        let answers = appending.join_all().await;
        if let Some(Err(error)) = answers.iter().find(|answer| answer.is_err()) {
            assert_eq!(fatal.lock().unwrap().len(), 1, "{flip:?}: {error}");
            return Outcome::FoundByAppending;
        }
        let Ok(all) = everything(&store).await else { return Outcome::FoundByAppending };
        assert_eq!(all[..self.events.len()], self.events, "{flip:?}");
        assert_eq!(all.len(), self.events.len() + 3 * self.scripts.len(), "{flip:?}");
        if store.verify(|_| {}).await.is_err() {
            return Outcome::FoundByAppending;
        }
        store.close().await;
        drop(store);
        EmbeddedStore::open(dir.path(), self::options()).unwrap_or_else(|error| panic!("{flip:?}: {error}"));
        Outcome::Harmless
    }

    /// Fails where damage is found; panics where something else than was written comes back.
    async fn read_everything(&self, store: &EmbeddedStore, flip: Flip) -> Result<(), ReadError> {
        assert_eq!(everything(store).await?, self.events, "{flip:?}");
        for script in &self.scripts {
            let mut expected: Vec<_> =
                self.events.iter().filter(|record| record.event.stream == script.stream).cloned().collect();
            assert_eq!(stream(store, &script.stream, Direction::Forwards).await?, expected, "{flip:?}");
            expected.reverse();
            assert_eq!(stream(store, &script.stream, Direction::Backwards).await?, expected, "{flip:?}");
        }
        Ok(())
    }

    /// Tries all flips on a few threads and counts the outcomes.
    fn try_all(&self, flips: &[Flip]) -> BTreeMap<Outcome, usize> {
        let counts: Mutex<BTreeMap<Outcome, usize>> = Mutex::default();
        let counted = &counts;
        std::thread::scope(|scope| {
            for part in flips.chunks(flips.len().div_ceil(3)) {
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    for flip in part {
                        let outcome = runtime.block_on(self.try_with(*flip));
                        *counted.lock().unwrap().entry(outcome).or_default() += 1;
                    }
                });
            }
        });
        counts.into_inner().unwrap()
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, range: Range<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start + self.0 % (range.end - range.start)
    }

    fn flips(&mut self, file: &'static str, range: Range<u64>, count: usize) -> Vec<Flip> {
        (0..count)
            .map(|_| Flip { file, byte: self.roll(range.clone()), bit: self.roll(0..8) as u8 })
            .collect()
    }
}

fn every_bit(file: &'static str, bytes: Range<u64>) -> impl Iterator<Item = Flip> {
    bytes.flat_map(move |byte| (0..8).map(move |bit| Flip { file, byte, bit }))
}

const DATABASE: &str = "ledger.sqlite3";
const LOG: &str = "ledger.sqlite3-wal";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_the_database_is_never_silent() {
    for closed in [true, false] {
        let image = image(closed).await;
        let pages = image.len(DATABASE) / 4096;
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        let mut flips: Vec<Flip> =
            (0..112).flat_map(|byte| dice.flips(DATABASE, byte..byte + 1, 2)).collect();
        for page in 0..pages {
            let start = page * 4096;
            // Header, cell pointers, free space and cells of each page, whatever its kind.
            flips.extend(dice.flips(DATABASE, start..start + 12, 3));
            flips.extend(dice.flips(DATABASE, start + 12..start + 60, 2));
            flips.extend(dice.flips(DATABASE, start + 60..start + 4096, 3));
        }
        let outcomes = image.try_all(&flips);
        println!("closed: {closed}, {pages} pages, {} flips: {outcomes:?}", flips.len());
        assert!(outcomes[&Outcome::RefusedToOpen] > 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_the_log_is_never_silent() {
    let image = image(false).await;
    let frames = (image.len(LOG) - 32) / 4120;
    let used = u64::from(wal::inspect(&image.dir.path().join(LOG)).unwrap().committed);
    assert!(used > 20 && used <= frames, "{used} of {frames}");
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut flips: Vec<Flip> = every_bit(LOG, 0..32).collect();
    for frame in 0..frames {
        let start = 32 + frame * 4120;
        // Page, commit mark, salts and checksum; then the page itself.
        for field in [0..4, 4..8, 8..16, 16..24] {
            flips.extend(dice.flips(LOG, start + field.start..start + field.end, 1));
        }
        flips.extend(dice.flips(LOG, start + 24..start + 4120, 3));
    }
    let last = 32 + (used - 1) * 4120;
    flips.extend(every_bit(LOG, last..last + 24));
    flips.extend(dice.flips(LOG, last + 24..last + 4120, 60));
    let in_use = |flip: &Flip| flip.byte < 32 + used * 4120;
    let (live, stale): (Vec<Flip>, Vec<Flip>) = flips.into_iter().partition(in_use);
    let outcomes = image.try_all(&live);
    println!("{used} live frames, {} flips: {outcomes:?}", live.len());
    assert_eq!(
        outcomes.keys().copied().collect::<Vec<_>>(),
        [Outcome::RefusedToOpen],
        "every one is found at once"
    );
    if !stale.is_empty() {
        println!("{} stale frames, {} flips: {:?}", frames - used, stale.len(), image.try_all(&stale));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_the_watermark_loses_nothing() {
    let image = image(true).await;
    let mut dice = Dice(0x1234_5678_9abc_def1);
    let flips = [dice.flips("watermark", 0..64, 20), dice.flips("watermark", 4096..4160, 20)].concat();
    let outcomes = image.try_all(&flips);
    println!("{} flips: {outcomes:?}", flips.len());
    assert_eq!(outcomes.keys().copied().collect::<Vec<_>>(), [Outcome::Harmless], "the other slot serves");
}

#[tokio::test]
async fn damage_behind_a_running_stores_back_is_found_by_verifying() {
    let dir = scratch();
    let store = open(dir.path());
    let mut script = Script::of_key(1);
    for _ in 0..50 {
        script.write(&store, 10).await;
    }
    store.close().await;
    let store = open(dir.path());
    let path = dir.path().join(DATABASE);
    let mut bytes = fs::read(&path).unwrap();
    let needle = b"\"kind\":\"virtual_key\"";
    let places = bytes.windows(needle.len()).enumerate().filter(|(_, window)| window == needle);
    let place = places.map(|(place, _)| place).nth(200).unwrap();
    bytes[place + 2] ^= 1;
    fs::write(&path, bytes).unwrap();
    let found = store.verify(|_| {}).await.unwrap_err();
    assert!(
        matches!(&found, ReadError::Damaged { place, .. } if place.contains("key-00000000001@")),
        "{found}"
    );
    assert!(matches!(
        stream(&store, &script.stream, Direction::Forwards).await,
        Err(ReadError::Damaged { .. })
    ));
}
