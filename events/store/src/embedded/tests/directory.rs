//! One process, and nobody else's eyes.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;

#[tokio::test]
async fn a_second_store_in_the_same_process_is_refused_until_the_first_closes() {
    let dir = scratch();
    let first = open(dir.path());
    let refused = EmbeddedStore::open(dir.path(), options()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { holder: Some(pid), .. } if pid == std::process::id()));
    first.close().await;
    open(dir.path()).close().await;
}

/// The other process of the test below.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn opens_the_directory_named_in_the_environment() {
    let dir = std::env::var_os("NEMO_STORE_TEST_DIR").expect("the other test names a directory");
    match EmbeddedStore::open(Path::new(&dir), options()) {
        Ok(_) => println!("opened"),
        Err(error) => println!("refused: {error}"),
    }
}

#[tokio::test]
async fn a_second_process_is_refused_with_the_directory_and_the_holder() {
    let dir = scratch();
    let store = open(dir.path());
    let ask = || {
        let name = "embedded::tests::directory::opens_the_directory_named_in_the_environment";
        let mut other = Command::new(std::env::current_exe().unwrap());
        other.args(["--exact", name, "--ignored", "--nocapture"]).env("NEMO_STORE_TEST_DIR", dir.path());
        String::from_utf8(other.output().unwrap().stdout).unwrap()
    };
    let (place, holder) = (dir.path().canonicalize().unwrap(), std::process::id());
    let message = format!("refused: the data directory {} is in use by process {holder}", place.display());
    let answer = ask();
    assert!(answer.contains(&message), "{answer}");
    store.close().await;
    let answer = ask();
    assert!(answer.contains("opened"), "{answer}");
}

#[tokio::test]
async fn the_directory_and_its_files_are_their_owners_alone() {
    let parent = scratch();
    let dir = parent.path().join("a/b");
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let store = open(&dir);
    Script::of_key(1).write(&store, 1).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for path in names {
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
}

#[test]
fn another_database_is_not_taken_for_a_ledger() {
    let dir = scratch();
    let path = dir.path().join(EmbeddedStore::FILE_NAME);
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let before = fs::read(&path).unwrap();
    let refused = EmbeddedStore::open(dir.path(), options());
    assert!(matches!(refused, Err(OpenError::NotALedger { .. })), "{refused:?}");
    assert_eq!(fs::read(&path).unwrap()[100..], before[100..]);
}
