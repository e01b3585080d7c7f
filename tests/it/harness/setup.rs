//! How a gateway is configured for a test.

use std::fmt::Write as _;
use std::path::Path;

use tempfile::TempDir;

use super::nemo::Nemo;
use super::process::{Exited, nemo};
use super::store::Server;
use crate::fake_provider::{FakeProvider, UsdPerMillion};

const PRICE: UsdPerMillion<'_> = UsdPerMillion { input: "2.50", cached: "1.25", output: "10" };

/// A configuration: everything at its default but for what a test states, as lines of TOML.
///
/// The provider is called `fake`, knows both names of the output limit, is told the service tier, and serves
/// `gpt-*`. With a price: `gpt-test` (128,000 tokens in and out, 16,384 out), `gpt-think` (the same, and it
/// reasons), `gpt-house` (ours for `gpt-test`). Any other `gpt-…` has none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    server: String,
    calls: String,
    provider: String,
    more: String,
    env: Vec<(String, String)>,
    pub(super) authority: Option<Vec<u8>>,
    makes_secrets: bool,
    store: String,
    nodes: Option<usize>,
}

impl Setup {
    /// Lines for `[server]`.
    pub(crate) fn server(mut self, lines: &str) -> Setup {
        push(&mut self.server, lines);
        self
    }

    /// Lines for `[calls]`.
    pub(crate) fn calls(mut self, lines: &str) -> Setup {
        push(&mut self.calls, lines);
        self
    }

    /// Lines for the provider `fake`.
    pub(crate) fn provider(mut self, lines: &str) -> Setup {
        push(&mut self.provider, lines);
        self
    }

    /// Further tables, such as `[[prices]]` (of the provider `fake`) or `[[providers]]`.
    pub(crate) fn more(mut self, tables: &str) -> Setup {
        push(&mut self.more, tables);
        self
    }

    /// Lines for `[store]`, where the ledger is on a server.
    pub(crate) fn store(mut self, lines: &str) -> Setup {
        push(&mut self.store, lines);
        self
    }

    /// The ledger on a simulated cluster of so many nodes, whatever story this is: see [`Nemo::server`].
    pub(crate) fn on_simulated(mut self, nodes: usize) -> Setup {
        self.nodes = Some(nodes);
        self
    }

    /// The ledger on a server, with secrets made beforehand: a start makes none for a server.
    pub(crate) fn on_server(mut self, url: &str) -> Setup {
        self.makes_secrets = true;
        let lines = self.store.clone();
        self.more(&format!("[store]\nurl = \"{url}\"\n{lines}"))
    }

    /// The same without secrets.
    pub(crate) fn without_secrets(mut self) -> Setup {
        self.makes_secrets = false;
        self
    }

    pub(super) fn prepare(&self, home: &Path) {
        if self.makes_secrets {
            let mut create = nemo();
            create.args(["secrets", "create", "--secrets-dir"]).arg(home.join("data/secrets"));
            let created = create.output().unwrap();
            assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        }
    }

    /// An environment variable of the process. All other `NEMO_…` variables are taken out of it.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Setup {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its clients trust these authorities (PEM), and no others.
    pub(crate) fn authority(mut self, pem: &str) -> Setup {
        self.authority = Some(pem.as_bytes().to_vec());
        self
    }

    /// An empty directory for whatever a test wants to put there itself.
    pub(crate) fn home() -> TempDir {
        super::nemo::new_home()
    }

    /// Starts it on a new ledger, with a new provider.
    pub(crate) async fn start(self) -> Nemo {
        Nemo::start_with(self).await.unwrap_or_else(|exited| panic!("nemo did not start: {exited}"))
    }

    /// Starts it and expects it to refuse.
    pub(crate) async fn refused(self) -> Exited {
        let nemo = Nemo::start_with(self).await;
        nemo.map_or_else(|exited| exited, |_| panic!("nemo started, which it should not"))
    }

    /// The server that the ledger is on, if there is one and the test has none of its own.
    pub(super) fn place(&self, home: &Path) -> Option<Server> {
        self.nodes.map(|nodes| Server::simulate(home, nodes)).or_else(|| Server::for_this_story(home))
    }

    pub(super) fn environment(&self) -> &[(String, String)] {
        &self.env
    }

    /// A provider that charges what the configuration says it does.
    pub(super) async fn new_provider() -> FakeProvider {
        let provider = FakeProvider::start().await;
        provider.set_price("gpt-test", PRICE);
        provider.set_price("gpt-think", PRICE);
        provider
    }

    pub(super) fn toml(&self, home: &Path, provider: &FakeProvider) -> String {
        let Setup { server, calls, provider: lines, more, .. } = self;
        let (home, base_url) = (home.display(), provider.base_url());
        let mut text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{home}/data\"\nworkers = 2\n{server}\n\
             [calls]\n{calls}\n\
             [[providers]]\nname = \"fake\"\nbase_url = \"{base_url}\"\napi_key_file = \"{home}/provider-key\"\n\
             models = [\"gpt-*\"]\nrename = {{ gpt-house = \"gpt-test\" }}\n\
             output_limit_field = \"max_completion_tokens\"\nsends_service_tier = true\n{lines}\n"
        );
        for (model, reasons) in [("gpt-test", false), ("gpt-think", true)] {
            let UsdPerMillion { input, cached, output } = PRICE;
            let _ = write!(
                text,
                "[[prices]]\nprovider = \"fake\"\nmodel = \"{model}\"\ninput = \"{input}\"\n\
                 cache_read = \"{cached}\"\noutput = \"{output}\"\ncontext_window = 128000\n\
                 max_output_tokens = 16384\nreasoning = {reasons}\n"
            );
        }
        text + more
    }
}

fn push(text: &mut String, lines: &str) {
    text.push_str(lines);
    text.push('\n');
}
