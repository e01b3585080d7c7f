//! `nemo init`: a first set-up that works at once, and never harms what is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::{Ran, ran};
use crate::harness::{Setup, program};

/// `nemo init` in a directory.
async fn init(home: &Path, line: &[&str]) -> Ran {
    let mut command = program();
    command.current_dir(home).env_remove("OPENAI_API_KEY").arg("init").args(line);
    ran(command).await
}

fn doctor(home: &Path) -> Command {
    let mut command = program();
    command.current_dir(home).args(["doctor", "--config", "nemo.toml", "--offline"]);
    command.env("OPENAI_API_KEY", "sk-test").env("NEMO_SERVER__LISTEN", "127.0.0.1:0");
    command
}

#[tokio::test]
async fn what_it_writes_is_in_order_and_serves() {
    let home = Setup::home();
    let made =
        init(home.path(), &["--yes", "--provider", "openai", "--secrets", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(made.ok(), "", "words go to stderr");
    assert!(made.stderr.contains("OPENAI_API_KEY") && made.stderr.contains("nemo doctor"), "{made:?}");
    let master_key = home.path().join("nemo-data/secrets/master-key");
    for (path, mode) in [(master_key.clone(), 0o600), (home.path().join("nemo-data"), 0o700)] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    let key = fs::read_to_string(&master_key).unwrap();
    assert!(!made.stderr.contains(key.trim()) && key.starts_with("mk-nemo-1"), "{made:?}");
    let examined = ran(doctor(home.path())).await;
    assert_eq!(examined.code, 0, "{examined:?}");

    let mut serve = program();
    serve.current_dir(home.path()).args(["serve", "--config", "nemo.toml"]).env("OPENAI_API_KEY", "sk-test");
    serve.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut server = serve.spawn().unwrap();
    let told = crate::harness::Log::of(server.stdout.take().unwrap());
    told.until("Node node-1 continues a new ledger").await;
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(fs::read_to_string(&master_key).unwrap(), key, "the secrets are those that were made");
}

#[tokio::test]
async fn nothing_that_is_there_is_overwritten() {
    let home = Setup::home();
    let file = home.path().join("nemo.toml");
    fs::write(&file, "mine").unwrap();
    let refused = init(home.path(), &["--yes", "--secrets"]).await;
    assert!(refused.failed(2).contains("is not overwritten"), "{refused:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert!(!home.path().join("nemo-data").exists(), "and nothing else is made");

    fs::create_dir_all(home.path().join("nemo-data/secrets")).unwrap();
    fs::write(home.path().join("nemo-data/secrets/master.toml"), "mine").unwrap();
    let refused = init(home.path(), &["--yes", "--secrets", "--config", "other.toml"]).await;
    assert!(refused.failed(1).contains("there already"), "{refused:?}");
    assert!(!home.path().join("other.toml").exists());
    let kept = fs::read_to_string(home.path().join("nemo-data/secrets/master.toml")).unwrap();
    assert_eq!(kept, "mine");
}

#[tokio::test]
async fn off_a_terminal_it_needs_a_yes_and_asks_nothing() {
    let home = Setup::home();
    assert!(init(home.path(), &[]).await.failed(2).contains("--yes"));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    let unknown = init(home.path(), &["--yes", "--provider", "acme"]).await;
    assert!(unknown.code == 2 && unknown.stderr.contains("openai"), "{unknown:?}");
    init(home.path(), &["--yes", "--listen", "0.0.0.0:4141"]).await.ok();
    let text = fs::read_to_string(home.path().join("nemo.toml")).unwrap();
    assert!(text.contains("management_listen = \"127.0.0.1:4142\""), "{text}");
    assert!(!home.path().join("nemo-data").exists(), "secrets are made if wanted only");
}

#[tokio::test]
async fn on_a_terminal_it_asks_and_takes_what_is_in_brackets() {
    let home = Setup::home();
    let mut command = Command::new("sh");
    let program = program().get_program().to_string_lossy().into_owned();
    command.current_dir(home.path()).env_remove("OPENAI_API_KEY");
    // An address that is none, one that is, the usual directory, one provider, and no secrets.
    let typed = "nowhere\\n127.0.0.1:4199\\n\\nopenai\\nno\\n";
    command.arg("-c").arg(format!("printf '{typed}' | script -qec '{program} init' /dev/null"));
    let ran = ran(command).await;
    assert!(ran.ok().contains("Where should the gateway listen?"), "{ran:?}");
    let text = fs::read_to_string(home.path().join("nemo.toml")).unwrap();
    assert!(text.contains("listen = \"127.0.0.1:4199\"") && text.contains("name = \"openai\""), "{text}");
    assert!(!home.path().join("nemo-data").exists());
}
