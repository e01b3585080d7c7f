//! What a killed process leaves behind opens again with everything that was acknowledged.

use std::collections::HashMap;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_image_has_every_acknowledged_event() {
    let dir = scratch();
    let store = Arc::new(EmbeddedStore::open(dir.path(), options()).unwrap());
    let acknowledged: Arc<Mutex<HashMap<StreamName, Script>>> = Arc::default();
    let mut writing = tokio::task::JoinSet::new();
    for number in 0..16 {
        let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
        writing.spawn(async move {
            let mut script = Script::of_key(number);
            for round in 0..200 {
                script.write(&*store, 1 + round % 3).await;
                acknowledged.lock().unwrap().insert(script.stream.clone(), script.clone());
            }
        });
    }
    let mut images = Vec::new();
    while writing.try_join_next().is_none() {
        let known = acknowledged.lock().unwrap().clone();
        let image = scratch();
        copy(dir.path(), image.path());
        images.push((known, image));
        tokio::task::yield_now().await;
    }
    writing.join_all().await;
    assert!(images.len() > 2);
    for (known, image) in images {
        let store = open(image.path());
        for (name, script) in known {
            let events = stream(&store, &name, Direction::Forwards).await.unwrap();
            let last = script.revision().0 as usize;
            assert_eq!(events[last].event.head(), script.head);
        }
        store.verify(|_| {}).await.unwrap();
    }
}

#[tokio::test]
async fn a_crash_between_checkpoints_loses_nothing() {
    let dir = scratch();
    let store = EmbeddedStore::open(dir.path(), Options { checkpoint_frames: 16, ..options() }).unwrap();
    let mut script = Script::of_key(1);
    for round in 0..60 {
        script.write(&store, 1 + round % 4).await;
        let image = scratch();
        copy(dir.path(), image.path());
        let reopened = open(image.path());
        assert_eq!(everything(&reopened).await.unwrap(), everything(&store).await.unwrap(), "round {round}");
        script.clone().write(&reopened, 1).await;
        reopened.close().await;
    }
}

#[tokio::test]
async fn a_torn_transaction_that_nobody_was_told_of_is_dropped() {
    let dir = scratch();
    let store = open(dir.path());
    let mut script = Script::of_key(1).with_data(vec![b'1'; 900]);
    script.write(&store, 20).await;
    let acknowledged = everything(&store).await.unwrap();
    let before = scratch();
    copy(dir.path(), before.path());
    script.write(&store, 20).await;
    let whole = fs::read(dir.path().join("ledger.sqlite3-wal")).unwrap();
    let start = fs::metadata(before.path().join("ledger.sqlite3-wal")).unwrap().len() as usize;
    assert!(whole.len() > start + 3 * 4120, "the last transaction has several frames");

    let torn_at = |end: usize| whole[..end].to_vec();
    let without_frame = |frame: usize| {
        let mut torn = whole.clone();
        torn[start + frame * 4120..][..4120].fill(0);
        torn
    };
    let cut = [start + 1, start + 24, start + 4120, start + 5000, whole.len() - 4120, whole.len() - 1];
    let torn: Vec<Vec<u8>> = cut.map(torn_at).into_iter().chain([0, 1, 2].map(without_frame)).collect();
    for (case, wal) in torn.into_iter().enumerate() {
        let image = scratch();
        copy(before.path(), image.path());
        fs::write(image.path().join("ledger.sqlite3-wal"), &wal).unwrap();
        let reopened = open(image.path());
        assert_eq!(everything(&reopened).await.unwrap(), acknowledged, "case {case}");

        // The same bytes, had the transaction been acknowledged.
        let image = scratch();
        copy(dir.path(), image.path());
        fs::write(image.path().join("ledger.sqlite3-wal"), &wal).unwrap();
        let refused = EmbeddedStore::open(image.path(), options());
        assert!(matches!(refused, Err(OpenError::Truncated { .. })), "case {case}");
    }
}

#[tokio::test]
async fn a_clean_close_leaves_everything_in_the_database() {
    let dir = scratch();
    let store = open(dir.path());
    let mut script = Script::of_key(1);
    script.write(&store, 10).await;
    let written = everything(&store).await.unwrap();
    store.close().await;
    assert_eq!(fs::metadata(dir.path().join("ledger.sqlite3-wal")).unwrap().len(), 0);
    let reopened = open(dir.path());
    assert_eq!(everything(&reopened).await.unwrap(), written);
    script.write(&reopened, 1).await;
}

#[tokio::test]
async fn a_store_that_is_only_dropped_keeps_what_was_acknowledged() {
    let dir = scratch();
    let store = open(dir.path());
    Script::of_key(1).write(&store, 10).await;
    let thread = store.writer.lock().unwrap().take().unwrap();
    drop(store);
    drop(tokio::task::spawn_blocking(move || thread.join()).await);
    assert_eq!(everything(&open(dir.path())).await.unwrap().len(), 10);
}
