//! Which server, as whom, and how patient. What is wrong is said when the options are made; no text here
//! ever holds a password.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use eventstore::{ClientSettings, Credentials, NodePreference};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::names::Names;

/// Parameters that the client knows; it would pass over others with a warning.
const PARAMETERS: [&str; 13] = [
    "connectionname",
    "defaultdeadline",
    "discoveryinterval",
    "gossiptimeout",
    "keepaliveinterval",
    "keepalivetimeout",
    "maxdiscoverattempts",
    "nodepreference",
    "tls",
    "tlscafile",
    "tlsverifycert",
    "usercertfile",
    "userkeyfile",
];

/// Why options are refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OptionsError {
    /// Not a connection string.
    #[error(
        "the connection string is not one such as esdb://host:2113, esdb+discover://cluster:2113 or \
         kurrentdb://one:2113,two:2113,three:2113"
    )]
    NotAConnectionString,
    /// User or password in the string cannot be told from the rest.
    #[error(
        "user and password in the connection string cannot be read: write special characters as %XX, or give them apart"
    )]
    Login,
    /// Given in the string and apart.
    #[error("user and password are given twice: in the connection string and apart from it")]
    LoginTwice,
    /// A header would not take them.
    #[error("user and password must not hold control characters, and the user no colon")]
    LoginCharacters,
    /// A parameter that the client does not know.
    #[error("the connection string has an unknown parameter {0:?}; known are {known}", known = PARAMETERS.join(", "))]
    UnknownParameter(String),
    /// Followers may be behind.
    #[error("nodePreference must be leader: other nodes may be behind what was told")]
    NodePreference,
    /// No certificates in it.
    #[error("the CA file {0} cannot be read or holds no PEM certificate")]
    CaFile(String),
    /// Not a prefix.
    #[error("a stream prefix has at most 64 letters, digits, '-', '_' and '.'")]
    Prefix,
}

/// User and password.
#[derive(Clone, PartialEq, Eq)]
struct Login {
    user: String,
    password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Options of [`super::EventStoreDb::connect`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Without user and password.
    connection: String,
    login: Option<Login>,
    names: Names,
    /// How patient.
    pub tuning: Tuning,
}

/// How many at once, and how long anything may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Appends that may be in flight at the same time, each in a session of its own.
    pub sessions: usize,
    /// How long any operation may take before the server counts as hanging.
    pub timeout: Duration,
    /// The same for reads that may have to pass over much that is not the ledger's.
    pub scan_timeout: Duration,
    /// How often an idle connection is tried.
    pub check_every: Duration,
    /// The first pause between two attempts to connect; each is twice as long as the one before.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// The most bytes that one append may have, by [`crate::append_bytes`]. The server's own limit is
    /// 1 MiB, unless its `MaxAppendSize` says otherwise.
    pub max_append_bytes: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            sessions: 32,
            timeout: Duration::from_secs(5),
            scan_timeout: Duration::from_secs(60),
            check_every: Duration::from_secs(5),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(2),
            max_append_bytes: 1_000_000,
        }
    }
}

impl Options {
    /// Options for a server or cluster, by the vendor's connection string.
    ///
    /// # Errors
    /// What is wrong with the string. It is not repeated, since it may hold a password.
    pub fn new(connection: &str) -> Result<Self, OptionsError> {
        let (connection, login) = split_login(connection.trim())?;
        check_parameters(&connection)?;
        let options = Self {
            connection,
            login,
            names: Names::behind("").ok_or(OptionsError::Prefix)?,
            tuning: Tuning::default(),
        };
        match options.settings()?.node_preference() {
            NodePreference::Leader => Ok(options),
            NodePreference::Follower | NodePreference::Random | NodePreference::ReadOnlyReplica => {
                Err(OptionsError::NodePreference)
            }
        }
    }

    /// The same with user and password given apart from the connection string.
    ///
    /// # Errors
    /// If the string had them too, or no header can carry them.
    pub fn with_login(mut self, user: &str, password: &str) -> Result<Self, OptionsError> {
        if self.login.is_some() {
            return Err(OptionsError::LoginTwice);
        }
        self.login = Some(Login::checked(user.to_owned(), password.to_owned())?);
        Ok(self)
    }

    /// The same with the certificates of this PEM file as the only roots of trust.
    ///
    /// # Errors
    /// If the file cannot be read, or holds no certificate.
    pub fn with_ca_file(mut self, file: &Path) -> Result<Self, OptionsError> {
        let unusable = || OptionsError::CaFile(file.display().to_string());
        let pem = std::fs::read_to_string(file).map_err(|_| unusable())?;
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(unusable());
        }
        let path = file.to_str().ok_or_else(unusable)?;
        let path = utf8_percent_encode(path, NON_ALPHANUMERIC).to_string();
        self.connection = with_parameter(&self.connection, "tlsCaFile", &path);
        Ok(self)
    }

    /// The same for a ledger whose streams have a prefix on the server.
    ///
    /// # Errors
    /// If it is not a prefix.
    pub fn with_prefix(mut self, prefix: &str) -> Result<Self, OptionsError> {
        self.names = Names::behind(prefix).ok_or(OptionsError::Prefix)?;
        Ok(self)
    }

    /// The servers, for messages: `host:port`, with commas.
    #[must_use]
    pub fn hosts(&self) -> String {
        let settings = self.settings();
        let hosts = settings.iter().flat_map(ClientSettings::hosts);
        hosts.map(|host| format!("{}:{}", host.host, host.port)).collect::<Vec<_>>().join(",")
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn credentials(&self) -> Option<Credentials> {
        let Login { user, password } = self.login.clone()?;
        Some(Credentials::new(user, password))
    }

    /// The client's own settings.
    pub(super) fn settings(&self) -> Result<ClientSettings, OptionsError> {
        // The client would sleep half a second before every first attempt; the pauses are ours.
        let text = if parameters(&self.connection).any(|(name, _)| name == "discoveryinterval") {
            self.connection.clone()
        } else {
            with_parameter(&self.connection, "discoveryInterval", "1")
        };
        // Its errors repeat the string.
        text.parse().map_err(|_| OptionsError::NotAConnectionString)
    }
}

impl Login {
    fn checked(user: String, password: String) -> Result<Self, OptionsError> {
        let plain = |text: &str| !text.chars().any(char::is_control);
        if user.is_empty() || user.contains(':') || !plain(&user) || !plain(&password) {
            return Err(OptionsError::LoginCharacters);
        }
        Ok(Self { user, password })
    }
}

/// Takes `user:password@` out of a connection string. The client would neither decode them, nor keep them
/// out of its errors.
fn split_login(connection: &str) -> Result<(String, Option<Login>), OptionsError> {
    let (scheme, rest) = connection.split_once("://").ok_or(OptionsError::NotAConnectionString)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at_checked(end).ok_or(OptionsError::NotAConnectionString)?;
    if behind.contains('@') {
        return Err(OptionsError::Login);
    }
    let Some((login, hosts)) = authority.rsplit_once('@') else {
        return Ok((connection.to_owned(), None));
    };
    let (user, password) = login.split_once(':').ok_or(OptionsError::Login)?;
    let decoded = |text| percent_decode_str(text).decode_utf8().map(String::from);
    let (Ok(user), Ok(password)) = (decoded(user), decoded(password)) else {
        return Err(OptionsError::Login);
    };
    Ok((format!("{scheme}://{hosts}{behind}"), Some(Login::checked(user, password)?)))
}

fn check_parameters(connection: &str) -> Result<(), OptionsError> {
    match parameters(connection).find(|(name, _)| !PARAMETERS.contains(&name.as_str())) {
        Some((unknown, _)) => Err(OptionsError::UnknownParameter(unknown)),
        None => Ok(()),
    }
}

/// Names in lower case, and values.
fn parameters(connection: &str) -> impl Iterator<Item = (String, &str)> {
    let query = connection.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_lowercase(), value))
}

fn with_parameter(connection: &str, name: &str, value: &str) -> String {
    let separator = if connection.contains('?') { '&' } else { '?' };
    format!("{connection}{separator}{name}={value}")
}

#[cfg(test)]
mod tests;
