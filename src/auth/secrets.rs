//! The secrets directory: peppers and the master key's digest, kept apart from the ledger and its backups.
//!
//! It comes into being whole or not at all: written beside its place, synced, then renamed into it.
//! What others on the machine can read is refused. Whether these are
//! the ledger's secrets the caller decides, by [`Fingerprints`], before anything is created.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nemo_events::{Digest, MasterKeyId, PepperId};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::pepper::{MasterKeyVerifier, MasterKeys, NamedPepper, Pepper, Peppers};
use super::secret_files::{FileFault, Holds, SecretsError, check_mode, failed};
use super::token::{CannotGenerate, MasterKeyText, random_digits};

const MASTER_KEY: &str = "master-key";
const MASTER: &str = "master.toml";
const PEPPERS: &str = "peppers.toml";

/// The secrets of one ledger, read and checked.
#[derive(Debug)]
pub struct Secrets {
    dir: PathBuf,
    peppers: Peppers,
    master_keys: MasterKeys,
}

/// Secrets were made just now. A start that dies before it says so is not repeated: the next one has
/// [`Secrets::master_key_file_still_there`].
#[derive(Debug)]
pub struct FirstStart {
    /// The file that holds the master key, for its owner to move to a safe place.
    pub master_key_file: PathBuf,
}

/// What tells these secrets from others and opens nothing; the ledger's `gateway` stream holds the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprints {
    /// The master keys in force, the current one first.
    pub master_keys: Vec<(MasterKeyId, Digest)>,
    /// The peppers, the current one first.
    pub peppers: Vec<(PepperId, Digest)>,
}

impl Secrets {
    /// Reads an existing directory.
    ///
    /// # Errors
    /// [`SecretsError`] says which file is missing, garbled or readable by others, and what to do.
    pub fn open(dir: &Path) -> Result<Self, SecretsError> {
        let metadata = look_at_directory(dir)?;
        let peppers = read_toml::<PeppersFile>(&dir.join(PEPPERS))?;
        let master_keys = read_toml::<MasterFile>(&dir.join(MASTER))?;
        // Last, so that nobody is told to close a directory that is not one of secrets.
        check_mode(dir, &metadata, 0o700)?;
        Ok(Self { dir: dir.to_owned(), peppers, master_keys })
    }

    /// Makes the directory with a new master key and a new pepper. Its parent must exist; an empty
    /// directory in its place is replaced.
    ///
    /// # Errors
    /// [`SecretsError::AlreadyThere`] if there is something in its place, even if another process has
    /// just put it there.
    pub fn create(dir: &Path) -> Result<(Self, FirstStart), SecretsError> {
        if !is_vacant(dir)? {
            return Err(SecretsError::AlreadyThere { dir: dir.to_owned() });
        }
        let master_key = MasterKeyText::generate()?;
        let draft = Draft::beside(dir)?;
        draft.write(PEPPERS, &peppers_toml(&Peppers::generate()?))?;
        draft.write(MASTER, &master_toml(&MasterKeyVerifier::of(&master_key)))?;
        draft.write(MASTER_KEY, &joined(&[master_key.expose_secret(), "\n"]))?;
        draft.publish(dir)?;
        // Read back rather than assumed: what cannot be opened now could not be opened tomorrow.
        Ok((Self::open(dir)?, FirstStart { master_key_file: dir.join(MASTER_KEY) }))
    }

    /// Opens the directory, or makes it if there is none. For an empty ledger only: beside a ledger
    /// with keys in it, new secrets would open none of them.
    ///
    /// # Errors
    /// As for [`Self::open`] and [`Self::create`].
    pub fn open_or_create(dir: &Path) -> Result<(Self, Option<FirstStart>), SecretsError> {
        match Self::create(dir) {
            Ok((secrets, first_start)) => Ok((secrets, Some(first_start))),
            Err(SecretsError::AlreadyThere { .. }) => {
                let secrets = Self::open(dir)?;
                // Whoever made them may not have got from the rename to its sync.
                sync_directory(parent(dir))?;
                Ok((secrets, None))
            }
            Err(error) => Err(error),
        }
    }

    /// The peppers.
    #[must_use]
    pub const fn peppers(&self) -> &Peppers {
        &self.peppers
    }

    /// The master keys in force.
    #[must_use]
    pub const fn master_keys(&self) -> &MasterKeys {
        &self.master_keys
    }

    /// What to compare with the ledger.
    #[must_use]
    pub fn fingerprints(&self) -> Fingerprints {
        Fingerprints { master_keys: self.master_keys.fingerprints(), peppers: self.peppers.fingerprints() }
    }

    /// The master key's file, as long as nobody has moved it to a safe place.
    #[must_use]
    pub fn master_key_file_still_there(&self) -> Option<PathBuf> {
        let path = self.dir.join(MASTER_KEY);
        path.symlink_metadata().is_ok().then_some(path)
    }
}

/// `peppers.toml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeppersFile {
    current: PepperId,
    pepper: Vec<PepperEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PepperEntry {
    id: PepperId,
    #[serde(deserialize_with = "pepper_from_hex")]
    secret: Pepper,
}

/// `master.toml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MasterFile {
    current: MasterKeyId,
    master_key: Vec<MasterEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MasterEntry {
    id: MasterKeyId,
    digest: Digest,
}

/// A file's shape and what it stands for.
trait Stored: DeserializeOwned {
    type Value;
    fn into_value(self) -> Result<Self::Value, String>;
}

impl Stored for PeppersFile {
    type Value = Peppers;

    fn into_value(self) -> Result<Peppers, String> {
        let all = self.pepper.into_iter().map(|entry| NamedPepper { id: entry.id, pepper: entry.secret });
        let (current, older) = take_current(all.collect(), |named| named.id == self.current)?;
        Peppers::new(current, older).map_err(|twice| twice.to_string())
    }
}

impl Stored for MasterFile {
    type Value = MasterKeys;

    fn into_value(self) -> Result<MasterKeys, String> {
        let all =
            self.master_key.into_iter().map(|entry| MasterKeyVerifier::from_parts(entry.id, entry.digest));
        let (current, older) = take_current(all.collect(), |verifier| *verifier.id() == self.current)?;
        MasterKeys::new(current, older).map_err(|twice| twice.to_string())
    }
}

fn take_current<T>(mut all: Vec<T>, is_current: impl Fn(&T) -> bool) -> Result<(T, Vec<T>), String> {
    let at = all.iter().position(is_current).ok_or("the current one is not listed")?;
    Ok((all.remove(at), all))
}

fn pepper_from_hex<'de, D: Deserializer<'de>>(from: D) -> Result<Pepper, D::Error> {
    let text = Zeroizing::new(String::deserialize(from)?);
    Pepper::from_hex(&text).ok_or_else(|| D::Error::custom("not 64 hex digits"))
}

fn peppers_toml(peppers: &Peppers) -> Zeroizing<String> {
    let NamedPepper { id, pepper } = peppers.current();
    let head = format!(
        "# Without these peppers no key of this ledger can be verified. Keep a copy apart from the ledger's.\n\
         current = \"{id}\"\n\n[[pepper]]\nid = \"{id}\"\nsecret = \""
    );
    joined(&[&head, &pepper.expose_hex(), "\"\n"])
}

fn master_toml(verifier: &MasterKeyVerifier) -> String {
    let (id, digest) = (verifier.id(), verifier.digest());
    format!(
        "# Recognises the master key and does not hold it.\n\
         current = \"{id}\"\n\n[[master_key]]\nid = \"{id}\"\ndigest = \"{digest}\"\n"
    )
}

/// One allocation: a text that grows leaves copies behind.
fn joined(parts: &[&str]) -> Zeroizing<String> {
    Zeroizing::new(parts.concat())
}

/// A directory under construction beside its place. If it never gets there it is removed; what a crash
/// leaves of it holds secrets that never came into force.
struct Draft(PathBuf);

impl Draft {
    fn beside(dir: &Path) -> Result<Self, SecretsError> {
        let name = dir.file_name().ok_or_else(|| SecretsError::NotAPlace { dir: dir.to_owned() })?;
        let mut draft = OsString::from(".");
        draft.push(name);
        draft.push(".unfinished-");
        draft.push(random_digits(8).map_err(CannotGenerate::from)?.as_str());
        let path = parent(dir).join(draft);
        DirBuilder::new().mode(0o700).create(&path).map_err(failed("create", &path))?;
        Ok(Self(path))
    }

    fn write(&self, name: &str, contents: &str) -> Result<(), SecretsError> {
        let path = self.0.join(name);
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(contents.as_bytes())?;
            file.sync_all()
        };
        write().map_err(failed("write", &path))
    }

    fn publish(self, dir: &Path) -> Result<(), SecretsError> {
        sync_directory(&self.0)?;
        fs::rename(&self.0, dir).map_err(|error| match error.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => {
                SecretsError::AlreadyThere { dir: dir.to_owned() }
            }
            ErrorKind::NotADirectory | ErrorKind::ResourceBusy | ErrorKind::CrossesDevices => {
                SecretsError::NotAPlace { dir: dir.to_owned() }
            }
            _ => failed("put the new secrets in place at", dir)(error),
        })?;
        sync_directory(parent(dir))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once published there is nothing under this name.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_vacant(dir: &Path) -> Result<bool, SecretsError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            Err(SecretsError::NotAPlace { dir: dir.to_owned() })
        }
        Err(error) => Err(failed("look into", dir)(error)),
    }
}

fn look_at_directory(dir: &Path) -> Result<fs::Metadata, SecretsError> {
    match fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => Ok(metadata),
        Ok(_) => Err(SecretsError::NotAPlace { dir: dir.to_owned() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(SecretsError::NoDirectory { dir: dir.to_owned() })
        }
        Err(error) => Err(failed("look at", dir)(error)),
    }
}

fn read_toml<F: Stored>(path: &Path) -> Result<F::Value, SecretsError> {
    let text = Holds::Secrets.read(path)?;
    let garbled = |fault| Holds::Secrets.error(path, FileFault::Garbled(fault));
    // The parser's own message may quote the file, so only the place is taken from it.
    let file: F = toml::from_str(&text).map_err(|error| garbled(fault_line(&text, &error)))?;
    file.into_value().map_err(garbled)
}

fn fault_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!("line {}", before.matches('\n').count().saturating_add(1))
}

fn sync_directory(dir: &Path) -> Result<(), SecretsError> {
    File::open(dir).and_then(|opened| opened.sync_all()).map_err(failed("sync", dir))
}

fn parent(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may stop at its first surprise")]
mod tests {
    use std::error::Error;
    use std::fmt;
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use tempfile::TempDir;

    use super::super::provider_key::ProviderKey;
    use super::super::secret_files::read_master_key;
    use super::super::token::VirtualKeyText;
    use super::*;

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
        assert_eq!(opened.master_keys().verify(&master_key).as_ref(), Some(master_key.id()));
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
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Secrets::open_or_create(dir).unwrap())).collect();
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
        let Fingerprints { peppers, master_keys } = Secrets::open(dir).unwrap().fingerprints();
        assert!(peppers.iter().map(|(id, _)| id.as_str()).eq(["new", "old"]));
        assert!(master_keys.iter().map(|(id, _)| id.as_str()).eq(["new", "old"]));
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
}
