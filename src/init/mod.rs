//! `nemo init`: a guided first set-up. Writes a configuration file in which every key is explained and, if
//! wanted, makes the data directory and its secrets.
//!
//! - Nothing that is there is overwritten, and everything is checked before the first file is written.
//! - Off a terminal nothing is asked: the options and `--yes` say what is wanted.
//! - No secret is asked for, and none is written into the configuration: only where one is found.

mod file;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Error as AnyError;

use crate::auth::secrets::Secrets;
use crate::cli::screen::Screen;
use crate::cli::{CommandError, Exit, InitArgs};
use crate::config::{Config, Environment, well_known_providers};
use file::Wish;

/// Sets up a gateway.
///
/// # Errors
/// What is there already, what cannot be written, and where nobody can be asked.
pub fn run(args: &InitArgs) -> Result<(), CommandError> {
    let mut screen = Screen::of_process();
    let asks = must_ask(args, &screen)?;
    must_not_be_there(&args.config)?;
    let (wish, with_secrets) = if asks { asked(args, &mut screen)? } else { (wish(args), args.secrets) };
    let text = file::text(&wish);
    let config = Config::from_toml(&text, &args.config, &Environment::default())
        .map_err(|error| CommandError::usage(AnyError::from(error).to_string()))?;
    let secrets_dir = config.server.secrets_dir();
    if with_secrets {
        make_private(&wish.data_dir)?;
        let made = Secrets::create(&secrets_dir);
        let (_, first) = made.map_err(|error| {
            CommandError::new(Exit::Failed, format!("No secrets were made: {:#}.", AnyError::from(error)))
        })?;
        let file = first.master_key_file.display().to_string();
        screen.say(&format!("Made {} with new secrets; the master key is in {file}.", secrets_dir.display()));
    }
    write_new(&args.config, &text)?;
    screen.say(&format!("Wrote {}.", args.config.display()));
    say_next(args, &wish, &mut screen);
    Ok(())
}

fn must_ask(args: &InitArgs, screen: &Screen) -> Result<bool, CommandError> {
    if args.yes {
        return Ok(false);
    }
    if screen.interactive {
        return Ok(true);
    }
    let what = "There is no terminal to ask on.";
    Err(CommandError::usage(what)
        .next("Say what you want with options (`nemo init --help`) and add --yes.".to_owned()))
}

fn must_not_be_there(path: &Path) -> Result<(), CommandError> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let what = format!("{} is there already, and is not overwritten.", path.display());
    Err(CommandError::usage(what).next("Edit it, or name another file with --config.".to_owned()))
}

/// What the options say.
fn wish(args: &InitArgs) -> Wish {
    let providers = if args.providers.is_empty() { found() } else { args.providers.clone() };
    Wish { listen: args.listen, data_dir: args.data_dir.clone(), providers }
}

/// Well-known providers whose keys are in the environment.
fn found() -> Vec<String> {
    let set = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    well_known_providers().filter(|(_, variable)| set(variable)).map(|(name, _)| name.to_owned()).collect()
}

/// What somebody answers, the options being what is proposed.
fn asked(args: &InitArgs, screen: &mut Screen) -> Result<(Wish, bool), CommandError> {
    let proposed = wish(args);
    screen.say("A few questions; Enter takes what is in brackets, Ctrl-C ends this and nothing is written.");
    let listen: SocketAddr = loop {
        let answer = screen.ask("Where should the gateway listen?", &proposed.listen.to_string())?;
        match answer.parse() {
            Ok(address) => break address,
            Err(_) => screen.say("That is no address such as 127.0.0.1:4141."),
        }
    };
    let data_dir =
        screen.ask("Where should the ledger be kept?", &proposed.data_dir.display().to_string())?;
    let names: Vec<_> = well_known_providers().map(|(name, _)| name).collect();
    screen.say(&format!("Well-known providers: {}. Others can be added to the file.", names.join(", ")));
    let providers = loop {
        let answer = screen.ask("Which of them (separated by commas)?", &proposed.providers.join(","))?;
        let chosen: Vec<_> =
            answer.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match chosen.iter().find(|name| !names.contains(&name.as_str())) {
            None => break chosen,
            Some(unknown) => screen.say(&format!("{unknown} is not among them.")),
        }
    };
    let secrets = screen.ask("Make the data directory and its secrets now (yes or no)?", "yes")?;
    let with_secrets = matches!(secrets.to_ascii_lowercase().as_str(), "y" | "yes");
    Ok((Wish { listen, data_dir: PathBuf::from(data_dir), providers }, with_secrets))
}

fn make_private(dir: &Path) -> Result<(), CommandError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| CommandError::new(Exit::Failed, format!("Cannot make {}: {error}.", dir.display())))
}

fn write_new(path: &Path, text: &str) -> Result<(), CommandError> {
    let write = || -> std::io::Result<()> {
        let mut file: File = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => CommandError::usage(format!("{} is there already.", path.display())),
        _ => CommandError::new(Exit::Failed, format!("Cannot write {}: {error}.", path.display())),
    })
}

fn say_next(args: &InitArgs, wish: &Wish, screen: &mut Screen) {
    let config = args.config.display();
    screen.say("Next:");
    for (name, variable) in well_known_providers() {
        if wish.providers.iter().any(|chosen| chosen == name) {
            screen.say(&format!("  export {variable}=…           the key of {name}, for the gateway alone"));
        }
    }
    screen.say(&format!("  nemo doctor --config {config}     looks whether everything is in order"));
    screen
        .say(&format!("  nemo serve --config {config}      and then `nemo orgs create`, `nemo keys create`"));
}
