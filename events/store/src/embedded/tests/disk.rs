//! A full disk, a failing one, and a log that must not grow for ever.

use super::*;
use rusqlite::Connection;

#[tokio::test]
async fn a_full_database_refuses_appends_and_goes_on_reading() {
    let dir = scratch();
    let (options, fatal) = recording();
    let store = EmbeddedStore::open(dir.path(), Options { max_pages: Some(40), ..options }).unwrap();
    let mut script = Script::of_key(1).with_data(vec![b'1'; 1000]);
    let refused = loop {
        let before = script.clone();
        let append = script.next(3);
        if let Err(error) = append.send(&store).await {
            script = before;
            break (error, append);
        }
    };
    assert!(matches!(refused.0, AppendError::Unavailable(_)), "{:?}", refused.0);
    let written = everything(&store).await.unwrap();
    assert_eq!(written.last().unwrap().event.head(), script.head);
    assert!(matches!(refused.1.send(&store).await, Err(AppendError::Unavailable(_))));
    assert_eq!(everything(&store).await.unwrap(), written);
    store.verify(|_| {}).await.unwrap();

    let image = scratch();
    copy(dir.path(), image.path());
    let roomy = open(image.path());
    assert_eq!(everything(&roomy).await.unwrap(), written, "nothing refused came back");
    refused.1.send(&roomy).await.unwrap();
    assert_eq!(*fatal.lock().unwrap(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_append_too_many_takes_its_whole_batch_with_it() {
    let dir = scratch();
    let store = EmbeddedStore::open(dir.path(), Options { max_pages: Some(60), ..options() }).unwrap();
    let store = Arc::new(store);
    let mut writing = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = Arc::clone(&store);
        writing.spawn(async move {
            let mut script = Script::of_key(number).with_data(vec![b'1'; 700]);
            let mut acknowledged = 0;
            while let Ok(_position) = script.next(2).send(&*store).await {
                acknowledged += 2;
            }
            (script.stream, acknowledged)
        });
    }
    for (name, acknowledged) in writing.join_all().await {
        let events = stream(&store, &name, Direction::Forwards).await.unwrap();
        assert_eq!(events.len(), acknowledged, "what was refused is not there, what was acknowledged is");
    }
    store.verify(|_| {}).await.unwrap();
}

#[tokio::test]
async fn damage_found_while_appending_is_fatal_and_the_outcome_unknown() {
    let dir = scratch();
    let mut script = Script::of_key(1);
    let store = open(dir.path());
    for _ in 0..100 {
        script.write(&store, 10).await;
    }
    store.close().await;
    let (options, fatal) = recording();
    let store = EmbeddedStore::open(dir.path(), options).unwrap();
    let path = dir.path().join(EmbeddedStore::FILE_NAME);
    let root = index_root(&path);
    let mut bytes = fs::read(&path).unwrap();
    bytes[(root - 1) * 4096..][..4096].fill(0xff);
    fs::write(&path, bytes).unwrap();

    let append = script.next(1);
    assert!(matches!(append.send(&store).await, Err(AppendError::Unknown(_))));
    assert_eq!(fatal.lock().unwrap().len(), 1);
    assert!(matches!(append.send(&store).await, Err(AppendError::Unavailable(_))), "the store stays dead");
    store.close().await;
    assert!(EmbeddedStore::open(dir.path(), self::options()).is_err());
}

/// The real thing: `mount -t tmpfs -o size=6m none DIR`, then run it with `NEMO_STORE_SMALL_DISK=DIR`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a small file system of its own"]
async fn a_disk_that_fills_up_refuses_appends_until_there_is_room() {
    let disk = std::env::var_os("NEMO_STORE_SMALL_DISK").expect("a directory on a small file system");
    let disk = tempfile::tempdir_in(disk).unwrap();
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0; 3 << 20]).unwrap();
    let dir = disk.path().join("data");
    for (checkpoint_frames, ballast_left) in [(16_384, 3 << 19), (40, 0)] {
        let (options, fatal) = recording();
        let store = Arc::new(EmbeddedStore::open(&dir, Options { checkpoint_frames, ..options }).unwrap());
        let mut scripts: Vec<Script> = (0..8)
            .map(|n| Script::of_key(u64::from(checkpoint_frames) * 10 + n).with_data(vec![b'1'; 900]))
            .collect();
        let mut refused = 0;
        while refused < 200 {
            let script = &mut scripts[refused % 8];
            let before = script.clone();
            match script.next(2).send(&*store).await {
                Ok(_) => {}
                Err(AppendError::Unavailable(_)) => {
                    refused += 1;
                    *script = before;
                }
                Err(other) => panic!("{other}"),
            }
        }
        let written = everything(&store).await.unwrap();
        for script in &scripts {
            let last = stream(&store, &script.stream, Direction::Forwards).await.unwrap().pop();
            assert_eq!(last.map(|record| record.event.head()).unwrap_or(script.head), script.head);
        }
        // On another disk, as nothing opens on a full one.
        let image = scratch();
        copy(&dir, image.path());
        let reopened = open(image.path());
        assert_eq!(everything(&reopened).await.unwrap(), written, "nothing refused came back");

        fs::write(&ballast, vec![0; ballast_left]).unwrap();
        for script in &mut scripts {
            script.write(&*store, 2).await;
        }
        store.verify(|_| {}).await.unwrap();
        store.close().await;
        assert_eq!(*fatal.lock().unwrap(), [""; 0]);
    }
}

fn index_root(path: &Path) -> usize {
    let sql = "SELECT rootpage FROM sqlite_schema WHERE type = 'index'";
    let copy = scratch();
    fs::copy(path, copy.path().join("copy")).unwrap();
    let db = Connection::open(copy.path().join("copy")).unwrap();
    db.query_row(sql, [], |row| row.get::<_, u16>(0)).unwrap().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_short_while_everybody_reads_and_writes() {
    let dir = scratch();
    let options = Options { checkpoint_frames: 64, ..options() };
    let store = Arc::new(EmbeddedStore::open(dir.path(), options).unwrap());
    let mut subscription = store.subscribe_all(None).await.unwrap();
    let follower = tokio::spawn(async move {
        let mut seen = 0;
        while let Some(page) = subscription.next().await {
            seen += page.unwrap().len();
            if seen == 8 * 1000 {
                break;
            }
        }
        seen
    });
    let mut writing = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = Arc::clone(&store);
        writing.spawn(async move {
            let mut script = Script::of_key(number);
            for _ in 0..250 {
                script.write(&*store, 4).await;
                stream(&store, &script.stream, Direction::Backwards).await.unwrap();
            }
        });
    }
    writing.join_all().await;
    assert_eq!(follower.await.unwrap(), 8000);
    let length = fs::metadata(dir.path().join("ledger.sqlite3-wal")).unwrap().len();
    assert!(length < 4120 * 4096, "{length} bytes of log");
    store.verify(|_| {}).await.unwrap();
}

#[test]
fn every_query_is_answered_in_index_order() {
    let dir = scratch();
    drop(open(dir.path()));
    let db = connect::reader(&dir.path().join(EmbeddedStore::FILE_NAME)).unwrap();
    for (sql, expected) in super::super::reads::PLANS {
        let plan: String = db
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .query_map(rusqlite::params_from_iter(&vec![0; sql.matches('?').count()]), |row| {
                row.get::<_, String>(3)
            })
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(plan, *expected, "{sql}");
    }
}
