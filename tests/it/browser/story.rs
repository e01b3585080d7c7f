//! One story: its script under Node, with a Chromium and a profile directory of its own.
//!
//! ```ignore
//! let told = browser::tell("reference", &nemo, json!({})).await;      // a story that needs nothing of the test
//!
//! let mut story = Story::start("playground", &nemo, json!({"key": key.secret()})).await;
//! let told = story.until("streaming").await;                            // the script: `await ask("streaming", …)`
//! story.answer(json!({})).await;                                        // … which returns this
//! let end = story.end().await;                                          // what the script returned
//! ```

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::harness::{Nemo, Setup, until};

/// How many browsers run at the same time: each is a dozen processes.
static BROWSERS: Semaphore = Semaphore::const_new(2);

/// How long a story may say nothing. The script gives up earlier, and knows why.
const PATIENCE: Duration = Duration::from_secs(180);

/// A story that is being told. Its script, and so its browser, ends with it.
pub(crate) struct Story {
    name: String,
    script: Script,
    to: Option<ChildStdin>,
    from: UnboundedReceiver<String>,
    errors: Option<JoinHandle<String>>,
    profile: TempDir,
    _browser: SemaphorePermit<'static>,
}

/// Node, which ends its browser when it ends.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        // Of a process that has ended already, neither says anything new.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tells a story in which the test has no part; what it returned.
pub(crate) async fn tell(name: &str, nemo: &Nemo, more: Value) -> Value {
    Story::start(name, nemo, more).await.end().await
}

impl Story {
    /// Starts `tests/browser/NAME.mjs` and hands it the gateway's addresses, the master key, and this.
    pub(crate) async fn start(name: &str, nemo: &Nemo, more: Value) -> Story {
        let gateway = json!({
            "url": nemo.url(""), "inference": nemo.url("/v1").trim_end_matches("/v1"),
            "master_key": nemo.master_key(),
        });
        Story::start_at(name, gateway, more).await
    }

    /// The same with a gateway that somebody else started: its addresses and master key.
    pub(crate) async fn start_at(name: &str, gateway: Value, more: Value) -> Story {
        let browser = BROWSERS.acquire().await.unwrap();
        let profile = Setup::home();
        let mut script = Command::new("node");
        script.arg(scripts().join(format!("{name}.mjs")));
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut script = Script(script.spawn().expect("node can be run"));
        let mut stderr = script.0.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let from = lines(script.0.stdout.take().unwrap());
        let (to, errors) = (script.0.stdin.take(), Some(errors));
        let mut story = Story { name: name.to_owned(), script, to, from, errors, profile, _browser: browser };
        let mut plan = json!({
            "profile": story.profile(), "pictures": target().join("browser").join(name),
        });
        for members in [gateway, more] {
            plan.as_object_mut().unwrap().extend(members.as_object().expect("members of an object").clone());
        }
        story.answer(plan).await;
        story
    }

    /// Waits until the script asks for this step; what it says with it.
    pub(crate) async fn until(&mut self, step: &str) -> Value {
        let mut said = self.said().await;
        assert_eq!(said["step"], step, "{}: {said}", self.name);
        said["with"].take()
    }

    /// Answers the step that the script waits for.
    pub(crate) async fn answer(&mut self, answer: Value) {
        let line = format!("{answer}\n");
        let to = self.to.as_mut().expect("the script listens");
        if to.write_all(line.as_bytes()).is_err() {
            self.fail();
        }
    }

    /// Waits until the script has ended well; what it returned.
    pub(crate) async fn end(mut self) -> Value {
        let mut said = self.said().await;
        assert!(said.get("step").is_none(), "{} asks for what nobody does: {said}", self.name);
        drop(self.to.take());
        let script = std::sync::Mutex::new(&mut self.script.0);
        let ended = || async { script.lock().unwrap().try_wait().expect("it is our child") };
        let status = until("the script ends", ended).await;
        assert!(status.success(), "{} ended badly: {status}", self.name);
        said["end"].take()
    }

    /// Where the browser keeps what it keeps.
    pub(crate) fn profile(&self) -> &Path {
        self.profile.path()
    }

    async fn said(&mut self) -> Value {
        match tokio::time::timeout(PATIENCE, self.from.recv()).await {
            Ok(Some(line)) => serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}")),
            Ok(None) => self.fail(),
            Err(_) => panic!("{} said nothing for {PATIENCE:?}", self.name),
        }
    }

    /// The script has ended, or soon will, and says why on standard error.
    fn fail(&mut self) -> ! {
        let errors = self.errors.take().expect("it fails once").join().unwrap();
        panic!("the story {} failed:\n{errors}", self.name);
    }
}

/// The lines of the script, as it writes them.
fn lines(source: impl Read + Send + 'static) -> UnboundedReceiver<String> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// `tests/browser`.
pub(super) fn scripts() -> PathBuf {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let installed = scripts.join("node_modules/playwright-core").exists();
    assert!(installed, "what drives the browser is not installed: run scripts/setup");
    scripts
}

fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"))
}
