//! The secrets directory: made whole or not at all, refused when others can read it, never quoted.

#![allow(clippy::unwrap_used, reason = "a test may stop at its first surprise")]

use std::error::Error;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use nemo_events::Timestamp;
use tempfile::TempDir;

use super::place::Draft;
use super::*;
use crate::auth::master_keys::Recognised;
use crate::auth::pepper::Pepper;
use crate::auth::provider_key::ProviderKey;
use crate::auth::secret_files::{FileFault, read_master_key};
use crate::auth::token::VirtualKeyText;

struct Place {
    /// Removed with everything in it when the test ends.
    home: TempDir,
    dir: PathBuf,
}

fn place() -> Place {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("secrets");
    Place { home, dir }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn refusal(dir: &Path) -> SecretsError {
    Secrets::open(dir).unwrap_err()
}

/// Everything that a log could show of an error.
fn told(error: &dyn Error) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.map(|error| format!("{error} {error:?} ")).collect()
}

#[test]
fn a_first_start_makes_secrets_that_the_next_start_opens() {
    let Place { dir, .. } = &place();
    let (made, first_start) = Secrets::open_or_create(dir).unwrap();
    let (opened, second_start) = Secrets::open_or_create(dir).unwrap();
    assert!(second_start.is_none());
    assert_eq!(opened.fingerprints(), made.fingerprints());

    let master_key = read_master_key(&first_start.unwrap().master_key_file).unwrap();
    let recognised = opened.master_keys().recognise(&master_key, Timestamp::EPOCH);
    assert_eq!(recognised, Some(Recognised::InForce(master_key.id().clone())));
    let key = VirtualKeyText::generate().unwrap();
    assert_eq!(opened.peppers().present(&key), made.peppers().present(&key));
}

#[test]
fn only_the_owner_can_read_what_is_made() {
    let Place { home, dir } = &place();
    Secrets::create(dir).unwrap();
    assert_eq!(mode(dir), 0o700);
    for name in [MASTER_KEY, MASTER, PEPPERS] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "the draft is gone");
}

#[test]
fn the_master_key_is_in_its_file_and_in_no_other() {
    let Place { dir, .. } = &place();
    let (secrets, first_start) = Secrets::create(dir).unwrap();
    let written = fs::read_to_string(first_start.master_key_file).unwrap();
    let master_key = written.strip_suffix('\n').unwrap();
    let stored =
        fs::read_to_string(dir.join(MASTER)).unwrap() + &fs::read_to_string(dir.join(PEPPERS)).unwrap();
    assert!(!stored.contains(master_key));
    assert!(!format!("{secrets:?}").contains(master_key));
}

#[test]
fn the_master_key_file_is_nagged_about_until_it_is_moved() {
    let Place { dir, .. } = &place();
    let (secrets, first_start) = Secrets::create(dir).unwrap();
    let file = first_start.master_key_file;
    assert_eq!(secrets.master_key_file_still_there().as_ref(), Some(&file));
    fs::remove_file(file).unwrap();
    assert_eq!(secrets.master_key_file_still_there(), None);
    assert!(Secrets::open(dir).is_ok());
}

#[test]
fn existing_secrets_are_never_replaced() {
    let Place { dir, .. } = &place();
    let (made, _) = Secrets::create(dir).unwrap();
    assert!(matches!(Secrets::create(dir), Err(SecretsError::AlreadyThere { .. })));
    let late = Draft::beside(dir).unwrap();
    assert!(matches!(late.publish(dir), Err(SecretsError::AlreadyThere { .. })));
    assert_eq!(Secrets::open(dir).unwrap().fingerprints(), made.fingerprints());
}

#[test]
fn an_empty_directory_is_taken_for_none_and_a_file_is_not() {
    let Place { home, dir } = &place();
    fs::create_dir(dir).unwrap();
    assert!(Secrets::open_or_create(dir).unwrap().1.is_some());
    assert_eq!(mode(dir), 0o700);

    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(Secrets::open_or_create(&file), Err(SecretsError::NotAPlace { .. })));
    assert!(matches!(refusal(&file), SecretsError::NotAPlace { .. }));
}

#[test]
fn a_crash_before_the_rename_leaves_nothing_in_the_way() {
    let Place { dir, .. } = &place();
    let draft = Draft::beside(dir).unwrap();
    draft.write(PEPPERS, "half a fi").unwrap();
    std::mem::forget(draft);
    assert!(matches!(refusal(dir), SecretsError::NoDirectory { .. }));
    assert!(Secrets::open_or_create(dir).unwrap().1.is_some());
}

#[test]
fn of_many_first_starts_at_once_one_makes_the_secrets_and_all_open_them() {
    let Place { home, dir } = &place();
    let starts: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Secrets::open_or_create(dir).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(starts.iter().filter(|(_, first_start)| first_start.is_some()).count(), 1);
    let current = Secrets::open(dir).unwrap().fingerprints();
    assert!(starts.iter().all(|(secrets, _)| secrets.fingerprints() == current));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "no draft is left");
}

#[test]
fn what_others_can_read_is_refused_with_the_command_that_mends_it() {
    let Place { dir, .. } = &place();
    Secrets::create(dir).unwrap();
    for (path, bad, good) in
        [(dir.clone(), 0o750, 0o700), (dir.join(PEPPERS), 0o640, 0o600), (dir.join(MASTER), 0o604, 0o600)]
    {
        set_mode(&path, bad);
        let shown = path.display();
        assert_eq!(
            refusal(dir).to_string(),
            format!("{shown} can be read by others (mode {bad:04o}): chmod {good:o} '{shown}'")
        );
        set_mode(&path, good);
    }
    let master_key = dir.join(MASTER_KEY);
    set_mode(&master_key, 0o644);
    assert!(matches!(read_master_key(&master_key), Err(SecretsError::Exposed { .. })));
}

#[test]
fn a_missing_or_empty_file_is_named() {
    for name in [MASTER, PEPPERS] {
        let Place { dir, .. } = &place();
        Secrets::create(dir).unwrap();
        fs::write(dir.join(name), "").unwrap();
        assert!(
            matches!(refusal(dir), SecretsError::File { path, fault: FileFault::Empty, .. } if path == dir.join(name))
        );
        fs::remove_file(dir.join(name)).unwrap();
        assert!(
            matches!(refusal(dir), SecretsError::File { path, fault: FileFault::Missing, .. } if path == dir.join(name))
        );
    }
}

#[test]
fn a_garbled_file_is_named_with_its_line_and_nothing_that_it_holds() {
    let Place { dir, .. } = &place();
    Secrets::create(dir).unwrap();
    let path = dir.join(PEPPERS);
    let canary = "c0ffee".repeat(10);
    for (contents, fault) in [
        (format!("current = \"a\"\npepper = \"{canary}\""), "line 2"),
        (format!("current = \"a\"\n[[pepper]]\nid = \"a\"\nsecret = \"{canary}\""), "line 4"),
        (format!("current = \"a\"\n\n{canary}"), "line 3"),
        (
            format!("current = \"a\"\n[[pepper]]\nid = \"b\"\nsecret = \"{}\"", &"c0ffee00".repeat(8)),
            "the current one is not listed",
        ),
    ] {
        fs::write(&path, contents).unwrap();
        let told = told(&refusal(dir));
        assert!(told.contains(&format!("peppers.toml is damaged ({fault})")), "{told}");
        assert!(!told.contains("c0ffee"), "{told}");
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(refusal(dir).to_string().contains("peppers.toml is damaged (not text)"));
}

#[test]
fn older_entries_are_read_and_doubled_ones_refused() {
    let Place { dir, .. } = &place();
    Secrets::create(dir).unwrap();
    let entry = |table: &str, id: &str, digit: &str| {
        let field = if table == "pepper" { "secret" } else { "digest" };
        format!("[[{table}]]\nid = \"{id}\"\n{field} = \"{}\"\n", digit.repeat(64))
    };
    for (file, table) in [(PEPPERS, "pepper"), (MASTER, "master_key")] {
        let (old, new) = (entry(table, "old", "1"), entry(table, "new", "2"));
        for twice in [format!("{old}{old}{new}"), format!("{old}{new}{new}")] {
            fs::write(dir.join(file), format!("current = \"new\"\n{twice}")).unwrap();
            assert!(refusal(dir).to_string().contains("occurs twice"));
        }
        fs::write(dir.join(file), format!("current = \"new\"\n{old}{new}")).unwrap();
    }
    let Fingerprints { peppers, master_keys, .. } = Secrets::open(dir).unwrap().fingerprints();
    assert!(peppers.iter().map(|(id, _)| id.as_str()).eq(["old", "new"]));
    assert!(master_keys.iter().map(|key| key.id.as_str()).eq(["old", "new"]));
}

/// Compiles only while no listed type has the trait: with it, the call would have two candidates.
macro_rules! never {
    ($unwanted:path => $($secret:ty),*) => {{
        trait Ambiguous<Marker> {
            fn candidate() {}
        }
        struct Unwanted;
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + $unwanted> Ambiguous<Unwanted> for T {}
        $(<$secret as Ambiguous<_>>::candidate();)*
    }};
}

#[test]
fn no_secret_can_be_serialised_displayed_compared_or_cloned() {
    never!(serde::Serialize => VirtualKeyText, MasterKeyText, Pepper, Peppers, ProviderKey, Secrets);
    never!(fmt::Display => VirtualKeyText, MasterKeyText, Pepper, Peppers, ProviderKey, Secrets);
    never!(PartialEq => VirtualKeyText, MasterKeyText, Pepper, Peppers, ProviderKey, Secrets);
    never!(Clone => VirtualKeyText, MasterKeyText, Pepper, Peppers, ProviderKey, Secrets);
}
