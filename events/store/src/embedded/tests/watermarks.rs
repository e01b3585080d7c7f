//! The end of the ledger is where it was, or the ledger does not open.

use super::*;

/// A closed ledger with some events.
async fn ledger() -> TempDir {
    let dir = scratch();
    let store = open(dir.path());
    Script::of_key(1).write(&store, 10).await;
    store.close().await;
    dir
}

fn refusal(dir: &Path, watermark: WatermarkRule) -> String {
    EmbeddedStore::open(dir, Options { watermark, ..options() }).map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn a_missing_watermark_needs_somebody_who_knows_better() {
    let dir = ledger().await;
    fs::remove_file(dir.path().join("watermark")).unwrap();
    assert!(refusal(dir.path(), WatermarkRule::Require).contains("watermark is missing"));
    let options = Options { watermark: WatermarkRule::AcceptMissing, ..options() };
    EmbeddedStore::open(dir.path(), options).unwrap().close().await;
    open(dir.path()).close().await;
}

#[tokio::test]
async fn a_damaged_watermark_needs_somebody_who_knows_better() {
    let dir = ledger().await;
    for content in [Vec::new(), vec![0; 8192], b"torn".to_vec()] {
        fs::write(dir.path().join("watermark"), content).unwrap();
        assert!(refusal(dir.path(), WatermarkRule::Require).contains("watermark is damaged"));
    }
    let options = Options { watermark: WatermarkRule::AcceptMissing, ..options() };
    EmbeddedStore::open(dir.path(), options).unwrap().close().await;
    open(dir.path()).close().await;
}

#[tokio::test]
async fn an_empty_ledger_needs_no_watermark() {
    let dir = scratch();
    open(dir.path()).close().await;
    fs::write(dir.path().join("watermark"), b"").unwrap();
    open(dir.path()).close().await;
    fs::remove_file(dir.path().join("watermark")).unwrap();
    open(dir.path()).close().await;
}

#[tokio::test]
async fn an_older_watermark_is_what_a_power_loss_leaves() {
    let dir = scratch();
    let store = open(dir.path());
    let mut script = Script::of_key(1);
    script.write(&store, 1).await;
    let old = fs::read(dir.path().join("watermark")).unwrap();
    for _ in 0..5 {
        script.write(&store, 1).await;
    }
    store.close().await;
    fs::write(dir.path().join("watermark"), &old).unwrap();
    open(dir.path()).close().await;
    assert_ne!(fs::read(dir.path().join("watermark")).unwrap(), old, "brought up to date");
}

#[tokio::test]
async fn an_older_database_is_refused_even_if_a_missing_watermark_were_accepted() {
    let dir = ledger().await;
    let old = scratch();
    copy(dir.path(), old.path());
    let store = open(dir.path());
    let mut script = Script::of_key(2);
    script.write(&store, 2).await;
    store.close().await;
    fs::copy(old.path().join("ledger.sqlite3"), dir.path().join("ledger.sqlite3")).unwrap();
    for rule in [WatermarkRule::Require, WatermarkRule::AcceptMissing] {
        assert!(refusal(dir.path(), rule).contains("ends at position 10 but was written up to 12"));
    }
}

#[tokio::test]
async fn another_history_of_the_same_length_is_refused() {
    let (dir, other) = (ledger().await, ledger().await);
    fs::copy(other.path().join("ledger.sqlite3"), dir.path().join("ledger.sqlite3")).unwrap();
    assert!(refusal(dir.path(), WatermarkRule::Require).contains("not the event that the watermark names"));
}

#[tokio::test]
async fn a_missing_or_emptied_database_is_not_replaced() {
    let dir = ledger().await;
    for content in [None, Some("")] {
        fs::remove_file(dir.path().join("ledger.sqlite3")).unwrap();
        if let Some(content) = content {
            fs::write(dir.path().join("ledger.sqlite3"), content).unwrap();
        }
        assert!(refusal(dir.path(), WatermarkRule::Require).contains("missing or empty"));
        fs::write(dir.path().join("ledger.sqlite3"), "").unwrap();
    }
}

#[tokio::test]
async fn a_log_without_its_database_is_not_thrown_away() {
    let dir = scratch();
    let store = open(dir.path());
    Script::of_key(1).write(&store, 10).await;
    let image = scratch();
    copy(dir.path(), image.path());
    fs::remove_file(image.path().join("ledger.sqlite3")).unwrap();
    fs::remove_file(image.path().join("watermark")).unwrap();
    let log = fs::read(image.path().join("ledger.sqlite3-wal")).unwrap();
    assert!(refusal(image.path(), WatermarkRule::AcceptMissing).contains("missing or empty"));
    assert_eq!(fs::read(image.path().join("ledger.sqlite3-wal")).unwrap(), log);
}
