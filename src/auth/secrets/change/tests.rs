//! Rotations on disk: after every step, and after every crash, the directory opens and somebody holds its key.

#![allow(clippy::unwrap_used, reason = "a test may stop at its first surprise")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::auth::master_keys::Recognised;
use crate::auth::secrets::MASTER_KEY;

struct Place {
    _home: TempDir,
    dir: PathBuf,
    file: PathBuf,
}

fn place() -> Place {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("secrets");
    Secrets::create(&dir).unwrap();
    Place { file: dir.join(MASTER_KEY), dir, _home: home }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::EPOCH.plus_secs(secs)
}

fn how(now: i64, until: i64, leaked: bool) -> Replacement {
    Replacement { now: at(now), end: Retired { valid_until: at(until), leaked } }
}

fn rotate(place: &Place, how: Replacement) -> Result<Replaced, SecretsError> {
    Change::begin(&place.dir)?.replace_master_key(how, &place.file)
}

fn recognised(place: &Place, key: &MasterKeyText, now: i64) -> Option<Recognised> {
    Secrets::open(&place.dir).unwrap().master_keys().recognise(key, at(now))
}

fn held(place: &Place) -> MasterKeyText {
    read_master_key(&place.file).unwrap()
}

#[test]
fn a_rotation_puts_the_new_key_where_the_old_one_was() {
    let place = place();
    let old = held(&place);
    let replaced = rotate(&place, how(10, 20, false)).unwrap();
    let new = held(&place);
    assert_eq!((&replaced.master_key, replaced.resumed), (new.id(), false));
    let end = Retired { valid_until: at(20), leaked: false };
    assert_eq!(replaced.before, [(old.id().clone(), end)]);
    assert_eq!(recognised(&place, &old, 19), Some(Recognised::InForce(old.id().clone())));
    assert_eq!(recognised(&place, &old, 20), Some(Recognised::Replaced(old.id().clone(), at(20))));
    assert_eq!(recognised(&place, &new, 20), Some(Recognised::InForce(new.id().clone())));
    assert!(!place.dir.join(NEXT).exists());
    for file in fs::read_dir(&place.dir).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
}

#[test]
fn a_rotation_that_was_interrupted_is_finished_with_the_same_key() {
    // After the new key was written, after it was installed, and after it was handed over.
    for steps in 1..=3 {
        let place = place();
        let old = held(&place);
        let key = MasterKeyText::generate().unwrap();
        let next = place.dir.join(NEXT);
        put_file(&next, &key_file(&key)).unwrap();
        if steps > 1 {
            Change::begin(&place.dir).unwrap().install(&key, how(10, 20, false)).unwrap();
        }
        if steps > 2 {
            put_file(&place.file, &key_file(&key)).unwrap();
        }
        // Nobody is locked out meanwhile.
        assert!(matches!(recognised(&place, &old, 15), Some(Recognised::InForce(_))));
        assert!(Change::begin(&place.dir).unwrap().is_unfinished());

        let replaced = rotate(&place, how(12, 30, false)).unwrap();
        assert_eq!((&replaced.master_key, replaced.resumed), (key.id(), steps > 1), "{steps}");
        assert_eq!(held(&place).id(), key.id());
        assert!(!next.exists());
        // An end that was given is not moved later.
        let ends = if steps > 1 { 20 } else { 30 };
        assert!(matches!(recognised(&place, &old, ends - 1), Some(Recognised::InForce(_))));
        assert!(matches!(recognised(&place, &old, ends), Some(Recognised::Replaced(..))));
        assert!(!rotate(&place, how(40, 50, false)).unwrap().resumed, "the next one is another one");
    }
}

#[test]
fn a_leak_ends_every_key_at_once_and_stays_in_hand_until_it_is_handled() {
    let place = place();
    let first = held(&place);
    rotate(&place, how(10, 100, false)).unwrap();
    let second = held(&place);
    rotate(&place, how(20, 20, true)).unwrap();
    for key in [&first, &second] {
        assert!(matches!(recognised(&place, key, 20), Some(Recognised::Replaced(..))));
    }
    let mut change = Change::begin(&place.dir).unwrap();
    assert_eq!(change.leak_in_hand(), [first.id().clone(), second.id().clone()]);
    change.leak_is_handled().unwrap();
    drop(change);
    assert!(Change::begin(&place.dir).unwrap().leak_in_hand().is_empty());
}

#[test]
fn a_leak_of_keys_whose_rotation_was_interrupted_ends_them_too() {
    let place = place();
    let old = held(&place);
    let key = MasterKeyText::generate().unwrap();
    put_file(&place.dir.join(NEXT), &key_file(&key)).unwrap();
    Change::begin(&place.dir).unwrap().install(&key, how(10, 100, false)).unwrap();
    let replaced = rotate(&place, how(20, 20, true)).unwrap();
    assert!(replaced.resumed);
    assert!(matches!(recognised(&place, &old, 20), Some(Recognised::Replaced(..))));
    assert_eq!(Change::begin(&place.dir).unwrap().leak_in_hand(), [old.id().clone()]);
}

#[test]
fn only_a_key_of_this_directory_is_overwritten() {
    let place = place();
    let mine = place.dir.parent().unwrap().join("mine");
    fs::write(&mine, "my notes").unwrap();
    let begin = || Change::begin(&place.dir).unwrap();
    let taken = begin().replace_master_key(how(1, 2, false), &mine);
    assert!(matches!(taken, Err(SecretsError::Taken { .. })));
    let nowhere = begin().replace_master_key(how(1, 2, false), Path::new("/nowhere/at/all"));
    assert!(matches!(nowhere, Err(SecretsError::NoDirectoryFor { .. })));
    assert_eq!(fs::read_to_string(&mine).unwrap(), "my notes");
    assert!(Secrets::open(&place.dir).unwrap().master_keys().earlier().is_empty(), "nothing has changed");

    let elsewhere = place.dir.parent().unwrap().join("elsewhere");
    begin().replace_master_key(how(1, 2, false), &elsewhere).unwrap();
    begin().replace_master_key(how(3, 4, false), &elsewhere).unwrap();
    let key = read_master_key(&elsewhere).unwrap();
    assert!(matches!(recognised(&place, &key, 5), Some(Recognised::InForce(_))));
}

#[test]
fn a_link_goes_on_leading_to_the_key_in_force() {
    let place = place();
    let safe = place.dir.parent().unwrap().join("safe");
    fs::rename(&place.file, &safe).unwrap();
    std::os::unix::fs::symlink(&safe, &place.file).unwrap();
    let replaced = rotate(&place, how(1, 2, false)).unwrap();
    assert!(place.file.is_symlink());
    assert_eq!(read_master_key(&safe).unwrap().id(), &replaced.master_key);
    let pipe =
        Change::begin(&place.dir).unwrap().replace_master_key(how(3, 4, false), Path::new("/dev/null"));
    assert!(matches!(pipe, Err(SecretsError::Taken { .. })));
}

#[test]
fn two_changes_at_once_are_one_too_many() {
    let place = place();
    let first = Change::begin(&place.dir).unwrap();
    assert!(matches!(Change::begin(&place.dir), Err(SecretsError::Busy { .. })));
    drop(first);
    Change::begin(&place.dir).unwrap();
}

#[test]
fn a_new_pepper_becomes_the_current_one_and_an_older_one_can_be_retired() {
    let place = place();
    let begin = || Change::begin(&place.dir).unwrap();
    let first = begin().secrets().peppers().current().id.clone();
    let secrets = begin().add_pepper().unwrap();
    let second = secrets.peppers().current().id.clone();
    let ids: Vec<_> = secrets.fingerprints().peppers.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [first.clone(), second.clone()]);
    assert!(matches!(begin().retire_pepper(&second), Err(SecretsError::NoSuchPepper { .. })));

    let secrets = begin().retire_pepper(&first).unwrap();
    assert_eq!(secrets.fingerprints().retired_peppers, std::slice::from_ref(&first));
    assert_eq!(secrets.peppers().iter().count(), 1);
    begin().retire_pepper(&first).unwrap();
    let third = begin().add_pepper().unwrap();
    assert_eq!(third.fingerprints().retired_peppers, [first], "it stays retired");
    assert_eq!(third.peppers().iter().nth(1).unwrap().id, second);
}
