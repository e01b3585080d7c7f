//! A running gateway, its directory, its provider, and what a manager does with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, OnceLock};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::answer::{Answer, Raw};
use super::key::Key;
use super::process::{Exited, Log, Process, nemo};
use super::setup::Setup;
use super::store::Server;
use super::{PATIENCE, until};
use crate::fake_provider::{Behaviour, FakeProvider, UsdPerMillion};

/// A gateway. Clones are the same one; it is killed, and its directory removed, with the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Nemo(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Before the directory, so that it ends first.
    process: Mutex<Option<Process>>,
    /// Where its ledger is, unless that is its directory or the test knows.
    server: Option<Server>,
    home: TempDir,
    setup: Setup,
    provider: FakeProvider,
    http: reqwest::Client,
    master_key: OnceLock<String>,
    org: OnceCell<String>,
}

/// Its life.
impl Nemo {
    /// Starts one with the default [`Setup`].
    pub(crate) async fn start() -> Nemo {
        Setup::default().start().await
    }

    pub(super) async fn start_with(setup: Setup) -> Result<Nemo, Exited> {
        let provider = Setup::new_provider().await;
        let home = new_home();
        let server = setup.place(home.path());
        let setup = server.as_ref().map_or(setup.clone(), |server| server.under(setup));
        std::fs::write(home.path().join("provider-key"), provider.key()).unwrap();
        std::fs::write(home.path().join("nemo.toml"), setup.toml(home.path(), &provider)).unwrap();
        setup.prepare(home.path());
        let http = reqwest::Client::builder().no_proxy().retry(reqwest::retry::never()).timeout(PATIENCE);
        // Connections are never used twice, so that each test knows what a new one means.
        let http = match &setup.authority {
            Some(authority) => http.tls_certs_only(reqwest::Certificate::from_pem_bundle(authority).unwrap()),
            None => http,
        };
        let http =
            http.redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0).build().unwrap();
        let nemo = Nemo(Arc::new(Inner {
            process: Mutex::default(),
            server,
            home,
            setup,
            provider,
            http,
            master_key: OnceLock::new(),
            org: OnceCell::new(),
        }));
        nemo.try_restart().await.map(|()| nemo)
    }

    /// Ends it as a crash would, and waits until it is gone.
    pub(crate) async fn kill9(&self) {
        self.signal(Signal::KILL);
        self.until_exit().await;
    }

    /// Asks it to stop in good order (SIGTERM) and waits until it is gone.
    pub(crate) async fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.until_exit().await.status
    }

    /// Sends a signal, and does not wait.
    pub(crate) fn signal(&self, signal: Signal) {
        self.with_process(|process| process.signal(signal));
    }

    /// Waits until it is gone.
    pub(crate) async fn until_exit(&self) -> Exited {
        let process = self.0.process.lock().unwrap().take();
        process.expect("it runs").until_exit().await
    }

    /// Whether it was seen to be gone, and not started again.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.process.lock().unwrap().is_none()
    }

    /// Waits until it takes calls.
    pub(crate) async fn until_ready(&self) {
        let ready =
            || async { (Answer::of(self.http().get(self.url("/readyz"))).await.status == 200).then_some(()) };
        until("it takes calls", ready).await;
    }

    /// Starts it again in the same directory, on another port.
    pub(crate) async fn restart(&self) {
        self.try_restart().await.unwrap_or_else(|exited| panic!("nemo did not start again: {exited}"));
    }

    /// As [`Nemo::restart`]; or how it refused.
    pub(crate) async fn try_restart(&self) -> Result<(), Exited> {
        let process = self.serve().await?;
        *self.0.process.lock().unwrap() = Some(process);
        Ok(())
    }

    /// Starts a second process in the same directory while the first one runs, and expects it to refuse.
    pub(crate) async fn second_refused(&self) -> Exited {
        self.serve().await.map_or_else(|exited| exited, |_| panic!("a second process started"))
    }

    async fn serve(&self) -> Result<Process, Exited> {
        let process = Process::serve(&self.home().join("nemo.toml"), self.0.setup.environment()).await?;
        if self.0.server.is_none() {
            return Ok(process);
        }
        self.started(process).await
    }

    /// A process whose ledger is on a server listens before it has read it; here it is as if it did not.
    async fn started(&self, process: Process) -> Result<Process, Exited> {
        let process = tokio::sync::Mutex::new(process);
        let ready = self.http().get(format!("http://{}/readyz", process.lock().await.management));
        let started = until("it takes calls, or has ended", || async {
            let answer = ready.try_clone().expect("it has no body").send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return Some(true);
            }
            process.lock().await.has_ended().then_some(false)
        });
        let started = started.await;
        let mut process = process.into_inner();
        if started { Ok(process) } else { Err(process.until_exit().await) }
    }

    fn with_process<T>(&self, look: impl FnOnce(&Process) -> T) -> T {
        look(self.0.process.lock().unwrap().as_ref().expect("nemo runs"))
    }
}

/// Where things are.
impl Nemo {
    /// The directory with `nemo.toml`, `provider-key` and `data`.
    pub(crate) fn home(&self) -> &Path {
        self.0.home.path()
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    pub(super) fn place(&self) -> Option<&Server> {
        self.0.server.as_ref()
    }

    /// The file that the first start wrote the master key to.
    pub(crate) fn master_key_file(&self) -> PathBuf {
        self.data().join("secrets/master-key")
    }

    /// The master key.
    pub(crate) fn master_key(&self) -> &str {
        let read = || std::fs::read_to_string(self.master_key_file()).unwrap().trim().to_owned();
        self.0.master_key.get_or_init(read)
    }

    /// Where it listens now: for inference, and for all else unless `management_listen` is set.
    pub(crate) fn address(&self) -> SocketAddr {
        self.with_process(|process| process.address)
    }

    /// The same; nothing while it does not run.
    pub(crate) fn address_if_running(&self) -> Option<SocketAddr> {
        self.0.process.lock().unwrap().as_ref().map(|process| process.address)
    }

    /// Where it listens for management.
    pub(crate) fn management_address(&self) -> SocketAddr {
        self.with_process(|process| process.management)
    }

    /// `http://127.0.0.1:PORT` (or `https`) and a path, on the listener that has the path.
    pub(crate) fn url(&self, path: &str) -> String {
        let address = if path.starts_with("/v1") { self.address() } else { self.management_address() };
        let scheme = if self.with_process(|process| process.has_tls) { "https" } else { "http" };
        format!("{scheme}://{address}{path}")
    }

    /// Its provider.
    pub(crate) fn provider(&self) -> &FakeProvider {
        &self.0.provider
    }

    /// Standard output of the running process.
    pub(crate) fn stdout(&self) -> Log {
        self.with_process(|process| process.stdout.clone())
    }

    /// Standard error of the running process: its log.
    pub(crate) fn stderr(&self) -> Log {
        self.with_process(|process| process.stderr.clone())
    }

    /// A client without a connection; for requests that the methods here do not make.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.0.http
    }

    /// The program as a command that speaks to this gateway: `nemo.cli().args(["orgs", "list"])`.
    pub(crate) fn cli(&self) -> Command {
        let mut command = nemo();
        command.env("NEMO_SERVER", self.url("")).env("NEMO_MASTER_KEY_FILE", self.master_key_file());
        command.current_dir(self.home());
        command
    }

    /// The running process.
    pub(crate) fn pid(&self) -> u32 {
        self.with_process(Process::pid)
    }

    /// The program as a command that needs no gateway to run.
    pub(crate) fn local_cli(&self) -> Command {
        let mut command = nemo();
        command.current_dir(self.home());
        command
    }

    /// Adds lines to the end of the configuration, for the next start.
    pub(crate) fn append_to_config(&self, lines: &str) {
        let file = self.home().join("nemo.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text + "\n" + lines).unwrap();
    }

    /// What a provider with this behaviour answers to the bytes that ours was sent last: the body, as it is.
    pub(crate) async fn twin_of_provider(&self, behaviour: Behaviour) -> String {
        let twin = FakeProvider::start().await;
        twin.set_price_of_others(UsdPerMillion { input: "1", cached: "1", output: "1" });
        twin.script(behaviour);
        let body = self.provider().requests().last().expect("a request").body.clone();
        let request =
            self.http().post(format!("{}/chat/completions", twin.base_url())).bearer_auth(twin.key());
        Answer::of_provider(request.header("content-type", "application/json").body(body))
            .await
            .text()
            .to_owned()
    }

    /// Sends bytes as they are, over a connection of their own.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> Raw {
        Raw::send(self.address(), bytes.as_ref()).await
    }

    /// The same, over a connection that takes only a few kilobytes before they are read.
    pub(crate) async fn narrow(&self, bytes: impl AsRef<[u8]>) -> Raw {
        Raw::send_narrow(self.address(), bytes.as_ref()).await
    }
}

/// What a manager does.
impl Nemo {
    /// A management request with the master key.
    pub(crate) async fn manage(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.http().request(method, self.url(path)).bearer_auth(self.master_key());
        let request = if body.is_null() { request } else { request.json(&body) };
        Answer::of(request).await
    }

    /// `GET` of a management path; what it answers.
    pub(crate) async fn ask(&self, path: &str) -> Value {
        self.manage(Method::GET, path, Value::Null).await.ok()
    }

    /// `POST` of a management path; what it answers.
    pub(crate) async fn tell(&self, path: &str, body: Value) -> Value {
        self.manage(Method::POST, path, body).await.ok()
    }

    /// The org that keys belong to unless a test says otherwise.
    pub(crate) async fn org(&self) -> &str {
        self.0.org.get_or_init(|| self.new_org("acme")).await
    }

    /// Creates an org; its id.
    pub(crate) async fn new_org(&self, name: &str) -> String {
        let created = self.tell("/api/orgs", json!({ "name": name })).await;
        created["org"]["id"].as_str().unwrap().to_owned()
    }

    /// Creates a key with these limits in the default org.
    pub(crate) async fn key(&self, limits: Value) -> Key {
        let org = self.org().await.to_owned();
        self.key_in(&org, limits).await
    }

    /// Creates a key with ten dollars in all and no other limit.
    pub(crate) async fn rich_key(&self) -> Key {
        self.key(json!({"budgets": [{"window": "total", "limit": "10"}]})).await
    }

    /// Creates a key with these limits in an org.
    pub(crate) async fn key_in(&self, org: &str, limits: Value) -> Key {
        let wish = json!({ "org": org, "name": "test", "limits": limits });
        let created = self.tell("/api/keys", wish).await;
        Key::new(self, created["key"]["id"].as_str().unwrap(), created["secret"].as_str().unwrap())
    }
}

/// A directory in memory if there is one: a busy disk takes seconds for a sync, and these tests are about order
/// and not about speed. `TMPDIR` puts it elsewhere.
pub(crate) fn new_home() -> TempDir {
    let in_memory = std::env::var_os("TMPDIR").is_none().then(|| tempfile::tempdir_in("/dev/shm").ok());
    in_memory.flatten().unwrap_or_else(|| tempfile::tempdir().unwrap())
}
