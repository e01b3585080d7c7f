//! What an auditor sees with a stock tool, and what stays verbatim.

use rusqlite::Connection;

use super::*;

#[tokio::test]
async fn a_stock_tool_shows_hex_ids_and_readable_times() {
    let dir = scratch();
    let store = open(dir.path());
    let mut script = Script::of_key(7);
    let append = script.next(1);
    append.send(&store).await.unwrap();
    store.close().await;
    let db = Connection::open(dir.path().join(EmbeddedStore::FILE_NAME)).unwrap();
    let sql = "SELECT stream, recorded_at, data ->> 'text', id, hash, typeof(data) FROM events_readable";
    let row: [String; 6] = db
        .query_row(sql, [], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?])
        })
        .unwrap();
    let event = &append.events[0];
    let (id, hash) = (event.id.as_uuid().simple().to_string(), event.hash.to_string());
    let time = event.recorded_at.to_string();
    assert_eq!(row, ["key-00000000007", &time, "Grüße", &id, &hash, "text"]);
}

#[tokio::test]
async fn bytes_that_are_no_text_come_back_verbatim() {
    let dir = scratch();
    let store = open(dir.path());
    let payloads = [vec![0xff, 0x00, 0xfe], Vec::new(), vec![0], b"a\0b".to_vec()];
    let mut script = Script::of_key(1);
    for payload in &payloads {
        script = script.with_data(payload.clone());
        script.write(&store, 1).await;
    }
    let read = everything(&store).await.unwrap();
    assert!(read.iter().map(|record| record.event.data.to_vec()).eq(payloads));
}

#[tokio::test]
async fn opening_and_verifying_report_how_far_they_are() {
    let dir = scratch();
    let store = open(dir.path());
    let mut script = Script::of_key(1);
    for _ in 0..20 {
        script.write(&store, 1000).await;
    }
    Script::of_key(2).write(&store, 1).await;
    store.close().await;
    let seen: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let record = Arc::clone(&seen);
    let on_progress = Box::new(move |progress| record.lock().unwrap().push(progress));
    let store = EmbeddedStore::open(dir.path(), Options { on_progress, ..options() }).unwrap();
    let last = seen.lock().unwrap().iter().map(|progress| progress.done).max();
    assert_eq!(last, Some(20_001));
    let ends = Mutex::new(None);
    let verified = store.verify(|progress| *ends.lock().unwrap() = Some(progress)).await.unwrap();
    assert_eq!(verified, Verified { events: 20_001, streams: 2, head: Some(Position(20_001)) });
    assert_eq!(*ends.lock().unwrap(), Some(Progress { done: 40_002, total: 40_002 }));
}

#[tokio::test]
async fn a_glance_tells_when_a_stopped_ledger_was_written_last_and_changes_nothing() {
    let home = scratch();
    let dir = home.path().join("100 % of it? #1");
    assert_eq!(EmbeddedStore::glance_at_last(&dir), None);
    let store = open(&dir);
    let append = Script::of_key(7).next(3);
    append.send(&store).await.unwrap();
    store.close().await;
    let files = || {
        let all = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
        all.map(|path| (path.clone(), fs::read(path).unwrap())).collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = files();
    assert_eq!(EmbeddedStore::glance_at_last(&dir), Some(append.events[2].recorded_at));
    assert_eq!(files(), before);
    fs::write(dir.join(EmbeddedStore::FILE_NAME), "no database").unwrap();
    assert_eq!(EmbeddedStore::glance_at_last(&dir), None);
}
