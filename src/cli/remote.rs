//! What the commands share that speak HTTP: where the server is, which key manages it, how to answer.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use nemo_events::OrgId;
use reqwest::Certificate;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::auth::secret_files::read_master_key;
use crate::cli::client::Client;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::output::Output;
use crate::cli::render::{Rows, Shape, rows};
use crate::cli::reply::Verbatim;
use crate::cli::screen::Screen;
use crate::cli::values::{OrgName, ServerUrl};

/// The most rows that the server puts on a page.
const PAGE_MAX: u64 = 200;

/// Options of every command that speaks HTTP.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server and output")]
pub struct RemoteOptions {
    /// Where the server is
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "NEMO_SERVER",
        hide_env_values = true,
        default_value = "http://127.0.0.1:4141"
    )]
    pub server: ServerUrl,
    /// The file that holds the master key, readable by its owner only
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "NEMO_MASTER_KEY_FILE",
        hide_env_values = true,
        default_value = "nemo-data/secrets/master-key"
    )]
    pub master_key_file: PathBuf,
    /// The authorities (PEM) that are trusted to vouch for the server, in place of the system's
    #[arg(long, global = true, value_name = "PATH", env = "NEMO_CA_FILE", hide_env_values = true)]
    pub ca_file: Option<PathBuf>,
    /// How data is written to stdout
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t)]
    pub output: Output,
}

impl RemoteOptions {
    /// Reads the master key and gets ready to talk.
    ///
    /// # Errors
    /// A master key that is not there, not readable, or readable by others.
    pub fn open(self) -> Result<Session, CommandError> {
        let key = read_master_key(&self.master_key_file).map_err(|error| {
            let next = "Name the master key's file with --master-key-file or NEMO_MASTER_KEY_FILE.";
            CommandError::usage(format!("No master key: {:#}.", anyhow::Error::from(error)))
                .next(next.to_owned())
        })?;
        let authorities = self.ca_file.as_deref().map(authorities).transpose()?;
        let mut screen = Screen::of_process();
        if !self.server.is_private() {
            screen.say(&format!(
                "warning: {} is not https; others can read the master key on its way",
                self.server
            ));
        }
        Ok(Session { client: Client::trusting(self.server, &key, authorities)?, output: self.output, screen })
    }
}

/// The certificates in a file; at least one.
fn authorities(path: &Path) -> Result<Vec<Certificate>, CommandError> {
    let cannot = |why: String| {
        let next = "Name a file of certificates (PEM) with --ca-file or NEMO_CA_FILE.";
        CommandError::usage(format!("{}: {why}.", path.display())).next(next.to_owned())
    };
    let text = fs::read(path).map_err(|error| cannot(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&text).map_err(|_| cannot("not a certificate".to_owned()))?;
    if found.is_empty() { Err(cannot("it holds no certificate".to_owned())) } else { Ok(found) }
}

/// A server, and where its answers go.
pub struct Session {
    /// The server.
    pub client: Client,
    /// In which form data is written.
    pub output: Output,
    /// Where to.
    pub screen: Screen,
}

/// A page of a list.
#[derive(Deserialize)]
#[serde(bound = "V: DeserializeOwned")]
pub(in crate::cli) struct Page<V> {
    #[serde(
        alias = "keys",
        alias = "orgs",
        alias = "calls",
        alias = "events",
        alias = "prices",
        alias = "operators"
    )]
    pub(in crate::cli) items: Vec<Verbatim<V>>,
    #[serde(default, alias = "next_from")]
    pub(in crate::cli) next_cursor: Option<Place>,
}

/// Where the next page begins.
#[derive(Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(in crate::cli) enum Place {
    Cursor(String),
    Revision(u64),
}

/// A list on the server.
pub struct List<'a> {
    /// Its path.
    pub path: &'a [&'a str],
    /// What is asked for, paging apart.
    pub query: Vec<(&'static str, String)>,
    /// The parameter that names the next page's beginning.
    pub next: &'static str,
    /// The most rows that are wanted.
    pub limit: Option<u64>,
}

impl Session {
    /// Writes a list, page after page; an empty one is told in words.
    ///
    /// # Errors
    /// As for each request, or where nobody takes the data.
    pub async fn list<V: DeserializeOwned>(
        &mut self,
        shape: &'static Shape<V>,
        list: List<'_>,
    ) -> Result<(), CommandError> {
        self.list_told(shape, list, |_| {}).await
    }

    /// The same where each row is told something first that the list does not say.
    ///
    /// # Errors
    /// As [`Session::list`].
    pub async fn list_told<V: DeserializeOwned>(
        &mut self,
        shape: &'static Shape<V>,
        list: List<'_>,
        tell: impl Fn(&mut V),
    ) -> Result<(), CommandError> {
        let mut rows = Rows::new(shape, self.output, self.screen.look);
        let mut wanted = list.limit.unwrap_or(u64::MAX);
        let mut place = None;
        while wanted > 0 {
            let Page { mut items, next_cursor } = self.page(&list, place.as_ref(), wanted).await?;
            items.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
            items.iter_mut().for_each(|item| tell(&mut item.view));
            wanted = wanted.saturating_sub(u64::try_from(items.len()).unwrap_or(u64::MAX));
            self.screen.data(&rows.page(&items))?;
            let last_page = next_cursor.is_none() || next_cursor == place;
            place = next_cursor;
            if last_page {
                break;
            }
        }
        let (count, more) = (rows.count(), wanted == 0 && place.is_some());
        self.screen.data(&rows.end())?;
        if count == 0 {
            self.screen.say(shape.none);
        } else if more {
            self.screen.say("There are more: --limit sets how many are listed.");
        }
        Ok(())
    }

    /// Writes one row; in JSON the whole reply that it came in.
    ///
    /// # Errors
    /// Where nobody takes the data.
    pub fn row<V>(&mut self, shape: &'static Shape<V>, view: &V, reply: &str) -> Result<(), CommandError> {
        let text = rows::alone(shape, view, reply, self.output, self.screen.look);
        self.screen.data(&text)
    }

    /// The id of an org that was named in either way.
    ///
    /// # Errors
    /// No org of that name, or several.
    pub async fn org_id(&self, name: &OrgName) -> Result<OrgId, CommandError> {
        match name {
            OrgName::Id(id) => Ok(*id),
            OrgName::Named(name) => self.org_named(name).await,
        }
    }

    /// Looks at the orgs as they are now: names change hands, and the list may be a moment behind.
    async fn org_named(&self, name: &str) -> Result<OrgId, CommandError> {
        let Ledger { position } = self.client.get(&["api", "ledger"], &[]).await?;
        let mut query = vec![("q", name.to_owned())];
        query.extend(position.map(|position| ("min_position", position.to_string())));
        let list = List { path: &["api", "orgs"], query, next: "cursor", limit: None };
        let mut found = Vec::new();
        let mut place = None;
        loop {
            let Page { items, next_cursor } = self.page::<NamedOrg>(&list, place.as_ref(), PAGE_MAX).await?;
            found.extend(items.iter().filter(|org| org.view.name == name).map(|org| org.view.id));
            if next_cursor.is_none() || next_cursor == place {
                break;
            }
            place = next_cursor;
        }
        match found.as_slice() {
            [id] => Ok(*id),
            [] => {
                let next = "`nemo orgs list` shows the orgs that there are.";
                let what = format!("There is no org named “{name}”.");
                Err(CommandError::new(Exit::NotFound, what).next(next.to_owned()))
            }
            several => {
                let ids: Vec<_> = several.iter().map(ToString::to_string).collect();
                let what = format!("Several orgs are named “{name}”: {}.", ids.join(", "));
                Err(CommandError::usage(what).next("Name the org by its id.".to_owned()))
            }
        }
    }

    /// One page of a list, beginning at a place.
    pub(in crate::cli) async fn page<V: DeserializeOwned>(
        &self,
        list: &List<'_>,
        place: Option<&Place>,
        wanted: u64,
    ) -> Result<Page<V>, CommandError> {
        let mut query = list.query.clone();
        if let Some(place) = place {
            query.retain(|(name, _)| *name != list.next);
            query.push((list.next, place.to_string()));
        }
        query.push(("limit", wanted.min(PAGE_MAX).to_string()));
        self.client.get(list.path, &query).await
    }
}

/// Where the ledger ends.
#[derive(Deserialize)]
struct Ledger {
    position: Option<u64>,
}

#[derive(Deserialize)]
struct NamedOrg {
    id: OrgId,
    name: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cursor(cursor) => f.write_str(cursor),
            Self::Revision(revision) => revision.fmt(f),
        }
    }
}
