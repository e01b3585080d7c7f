//! `[store]`: where the ledger is kept, if not in the data directory.
//!
//! A password stands neither here nor in the URL, nor on a command line: only the place where it is found.

use std::path::PathBuf;

use super::error::ConfigError;
use super::kind::{Optional, Text, Whole, not_empty};
use super::provider::variable_name;
use super::read::Section;
use super::reference::{KeyDoc, section};

/// Where the ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEntry {
    /// In the data directory.
    Embedded,
    /// On a server.
    Server(ServerStore),
}

/// An EventStoreDB or KurrentDB server or cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStore {
    /// Its connection string, without a user.
    pub url: String,
    /// Certificates that its own is checked against, in place of those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// As whom.
    pub login: Option<StoreLogin>,
    /// Put before every stream's name.
    pub stream_prefix: Option<String>,
    /// How long one operation may take.
    pub timeout_secs: u32,
    /// How long one read may take that passes over what is not the ledger's.
    pub scan_timeout_secs: u32,
    /// Appends that may be in flight at the same time.
    pub sessions: usize,
    /// The largest append.
    pub max_append_bytes: usize,
}

/// A user of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLogin {
    /// The name.
    pub user: String,
    /// Where the password is.
    pub password: PasswordSource,
}

/// Where a password is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// In an environment variable.
    Variable(String),
    /// In a file.
    File(PathBuf),
}

const URL: &str = "the URL of a server, such as \"esdb://db.internal:2113\", `esdb+discover://` for a cluster, or \
                   the same with `kurrentdb`; without a user or password";
const PREFIX: &str = "1 to 64 letters, digits, `-`, `_` or `.`";
const VARIABLE: &str = "the name of a variable: capital letters, digits and `_`";

section! {
    /// `[store]`: where the ledger is kept, if not in `data_dir`.
    struct Stated in "[store]" {
        /// The EventStoreDB or KurrentDB server that keeps the ledger.
        url: Option<String> = Optional(Text(URL, store_url)), "none: the ledger is in `data_dir`";
        /// The PEM file with the certificates that the server's is checked against.
        ca_file: Option<PathBuf> = Optional(Text("a path", not_empty::<PathBuf>)), "those that this machine trusts";
        /// The server's user. With it, one of `password_env` and `password_file`.
        user: Option<String> = Optional(Text("a name without colons", user_name)), "none: the server asks for no login";
        /// The environment variable that holds the user's password.
        password_env: Option<String> = Optional(Text(VARIABLE, variable_name)), "none";
        /// The file that holds the user's password.
        password_file: Option<PathBuf> = Optional(Text("a path", not_empty::<PathBuf>)), "none";
        /// What the name of each stream begins with, where others use the server too. It belongs to the ledger: set once.
        stream_prefix: Option<String> = Optional(Text(PREFIX, prefix)), "none";
        /// How long the server may take for one operation before it counts as hanging.
        timeout_secs: u32 = Whole(1..=60), "5";
        /// The same for reads that pass over events of others.
        scan_timeout_secs: u32 = Whole(1..=3600), "60";
        /// Appends that may be in flight at the same time, each over a session of its own.
        sessions: usize = Whole(1..=64), "8";
        /// Largest append; not above the server's `MaxAppendSize`.
        max_append_bytes: usize = Whole(65_536..=64 * 1024 * 1024), "1000000";
    }
}

impl StoreEntry {
    pub(super) fn keys() -> Vec<KeyDoc> {
        Stated::keys()
    }

    /// Reads the section and checks that its parts fit together.
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let stated = Stated::read(section)?;
        let login = login(&stated, section)?;
        let Some(url) = stated.url else {
            // Nobody writes these for a ledger that is in the data directory.
            let meant = ["ca_file", "user", "stream_prefix"].into_iter().find(|key| section.states(key));
            return match meant {
                Some(key) => Err(section.bad(key, "is for a server: name the server with `url`")),
                None => Ok(Self::Embedded),
            };
        };
        Ok(Self::Server(ServerStore {
            url,
            ca_file: stated.ca_file,
            login,
            stream_prefix: stated.stream_prefix,
            timeout_secs: stated.timeout_secs,
            scan_timeout_secs: stated.scan_timeout_secs,
            sessions: stated.sessions,
            max_append_bytes: stated.max_append_bytes,
        }))
    }

    /// The variable with the password.
    pub(super) fn password_variable(&self) -> Option<&str> {
        match self {
            Self::Server(ServerStore {
                login: Some(StoreLogin { password: PasswordSource::Variable(name), .. }),
                ..
            }) => Some(name),
            Self::Server(_) | Self::Embedded => None,
        }
    }
}

fn login(stated: &Stated, section: &Section<'_>) -> Result<Option<StoreLogin>, ConfigError> {
    let one = "must have exactly one of password_env and password_file";
    let password = match (&stated.password_env, &stated.password_file) {
        (Some(variable), None) => Some(PasswordSource::Variable(variable.clone())),
        (None, Some(path)) => Some(PasswordSource::File(path.clone())),
        (None, None) => None,
        (Some(_), Some(_)) => return Err(section.bad("user", one)),
    };
    match (&stated.user, password) {
        (None, None) => Ok(None),
        (Some(user), Some(password)) => Ok(Some(StoreLogin { user: user.clone(), password })),
        (Some(_), None) => Err(section.bad("user", one)),
        (None, Some(_)) => {
            Err(section.bad("user", "is missing: a password is stated, and nobody whose it is"))
        }
    }
}

/// Only the form. A URL with a user is refused: it would stand in files, process lists and logs.
fn store_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let known = ["esdb", "esdb+discover", "kurrentdb", "kurrentdb+discover", "kdb", "kdb+discover"];
    let plain = !rest.is_empty() && !rest.contains('@') && rest.bytes().all(|byte| byte.is_ascii_graphic());
    (known.contains(&scheme) && plain).then(|| text.to_owned())
}

fn user_name(text: &str) -> Option<String> {
    let plain = !text.is_empty() && !text.contains(':') && !text.chars().any(char::is_control);
    plain.then(|| text.to_owned())
}

fn prefix(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    ((1..=64).contains(&text.len()) && text.bytes().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail loudly")]
    use std::path::Path;

    use super::super::{Config, Environment};
    use super::*;

    fn read(text: &str) -> Result<StoreEntry, String> {
        read_with(text, &Environment::default())
    }

    fn read_with(text: &str, environment: &Environment) -> Result<StoreEntry, String> {
        let config = Config::from_toml(text, Path::new("nemo.toml"), environment);
        config.map(|config| config.store).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_url_the_ledger_is_in_the_data_directory() {
        assert_eq!(read(""), Ok(StoreEntry::Embedded));
        assert_eq!(read("[store]\nsessions = 3"), Ok(StoreEntry::Embedded));
        let refused = read("[store]\nstream_prefix = \"a\"").unwrap_err();
        assert!(refused.contains("`store.stream_prefix` is for a server"), "{refused}");
    }

    #[test]
    fn a_server_has_everything_that_it_needs() {
        let entry = read(
            "[store]\nurl = \"esdb+discover://db.internal:2113\"\nca_file = \"/etc/ca.pem\"\nuser = \"nemo\"\n\
             password_file = \"/run/secrets/db\"\nstream_prefix = \"nemo-\"\ntimeout_secs = 3\nsessions = 4",
        );
        let login =
            StoreLogin { user: "nemo".to_owned(), password: PasswordSource::File("/run/secrets/db".into()) };
        assert_eq!(
            entry,
            Ok(StoreEntry::Server(ServerStore {
                url: "esdb+discover://db.internal:2113".to_owned(),
                ca_file: Some("/etc/ca.pem".into()),
                login: Some(login),
                stream_prefix: Some("nemo-".to_owned()),
                timeout_secs: 3,
                scan_timeout_secs: 60,
                sessions: 4,
                max_append_bytes: 1_000_000,
            }))
        );
    }

    #[test]
    fn a_password_is_refused_wherever_it_would_be_read_by_others_and_never_repeated() {
        let url = "esdb://admin:hunter2@db.internal:2113";
        let in_file = read(&format!("[store]\nurl = \"{url}\"")).unwrap_err();
        let vars = Environment::from_vars([("NEMO_STORE__URL", url)]);
        let in_variable = read_with("", &vars).unwrap_err();
        let flags = Environment::default().with_flag("--store", "store", "url", url.to_owned());
        let in_flag = read_with("", &flags).unwrap_err();
        for told in [in_file, in_variable, in_flag] {
            assert!(told.contains("without a user or password"), "{told}");
            assert!(!told.contains("hunter2") && !told.contains("admin"), "{told}");
        }
    }

    #[test]
    fn a_login_is_whole_or_not_there() {
        let store = "[store]\nurl = \"esdb://db:2113\"\n";
        for (lines, told) in [
            ("user = \"nemo\"", "exactly one of password_env and password_file"),
            ("password_env = \"DB_PASSWORD\"", "`store.user` is missing"),
            ("user = \"nemo\"\npassword_env = \"A\"\npassword_file = \"b\"", "exactly one of"),
            ("user = \"a:b\"\npassword_env = \"A\"", "a name without colons"),
        ] {
            let refused = read(&format!("{store}{lines}")).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn the_variable_with_the_password_may_be_named_like_one_of_ours() {
        let text = "[store]\nurl = \"esdb://db:2113\"\nuser = \"nemo\"\npassword_env = \"NEMO_DB_PASSWORD\"";
        let environment = Environment::from_vars([("NEMO_DB_PASSWORD", "hunter2")]);
        assert!(read_with(text, &environment).is_ok());
        assert!(read_with("", &environment).is_err(), "nobody named it");
        assert!(!format!("{environment:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_connection_string_is_refused() {
        for url in ["", "esdb://", "http://db:2113", "db:2113", "esdb://db 2113"] {
            assert!(read(&format!("[store]\nurl = \"{url}\"")).is_err(), "{url}");
        }
    }
}
