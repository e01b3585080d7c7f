//! The text of a new configuration file: what was wished for, and every other key as a comment with its meaning.
//! Made of the same declarations that read it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::{KeyDoc, reference, well_known_providers};

/// What a new gateway should be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// Where it listens.
    pub(super) listen: SocketAddr,
    /// Where it keeps its ledger.
    pub(super) data_dir: PathBuf,
    /// Well-known providers.
    pub(super) providers: Vec<String>,
}

const INTRODUCTION: &str = "\
# The configuration of Nemo: `nemo serve --config FILE`. Whatever is commented out is at its default, and every
# key is here. Secrets never stand in this file, only the places where they are found. `nemo doctor --config FILE`
# says whether everything is in order.
";

/// The whole file.
pub(super) fn text(wish: &Wish) -> String {
    let mut text = INTRODUCTION.to_owned();
    let keys = reference();
    let mut sections: Vec<&str> = keys.iter().map(|key| key.section).collect();
    sections.dedup();
    for section in sections {
        let of = keys.iter().filter(|key| key.section == section);
        if section.starts_with("[[") {
            text.push_str(&tables(section, of, wish));
        } else {
            text.push_str(&once(section, of, wish));
        }
    }
    text
}

/// A section that is there once.
fn once<'a>(section: &str, keys: impl Iterator<Item = &'a KeyDoc>, wish: &Wish) -> String {
    let mut text = format!("\n{section}\n");
    for key in keys {
        text.push_str(&explained(key));
        let line = match (section, key.key) {
            ("[server]", "listen") => format!("listen = {}\n", quoted(&wish.listen.to_string())),
            ("[server]", "data_dir") => {
                format!("data_dir = {}\n", quoted(&wish.data_dir.display().to_string()))
            }
            // Away from loopback management needs an address of its own; the same machine is the safe one.
            ("[server]", "management_listen") if !wish.listen.ip().is_loopback() => {
                "management_listen = \"127.0.0.1:4142\"\n".to_owned()
            }
            (_, name) => format!("#{name} =\n"),
        };
        text.push_str(&line);
    }
    text
}

/// A section that may be there several times: those that were wished for, then all its keys.
fn tables<'a>(section: &str, keys: impl Iterator<Item = &'a KeyDoc>, wish: &Wish) -> String {
    let mut text = String::new();
    if section == "[[providers]]" {
        for (name, variable) in
            well_known_providers().filter(|(name, _)| wish.providers.iter().any(|w| w == name))
        {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n[[providers]]\nname = \"{name}\"\napi_key_env = \"{variable}\"\n");
        }
    }
    let _ = write!(text, "\n# {section} can have:\n");
    for key in keys {
        text.push_str(&explained(key));
        let _ = writeln!(text, "#   {} =", key.key);
    }
    text
}

fn explained(key: &KeyDoc) -> String {
    format!("# {} ({}; default: {})\n", key.meaning, key.kind, key.default)
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Environment};

    fn read(wish: &Wish) -> (String, Config) {
        let text = text(wish);
        let config = Config::from_toml(&text, Path::new("nemo.toml"), &Environment::default());
        (text, config.unwrap())
    }

    #[test]
    fn the_file_says_what_was_wished_for_and_explains_every_key() {
        let wish = Wish {
            listen: "127.0.0.1:9".parse().unwrap(),
            data_dir: PathBuf::from("a \"b\"\\c"),
            providers: vec!["openai".to_owned(), "groq".to_owned()],
        };
        let (text, config) = read(&wish);
        assert_eq!((config.server.listen, &config.server.data_dir), (wish.listen, &wish.data_dir));
        let names: Vec<_> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
        assert_eq!(names, ["openai", "groq"]);
        for key in reference() {
            assert!(text.contains(key.meaning) && text.contains(&format!("{} =", key.key)), "{}", key.key);
        }
    }

    #[test]
    fn away_from_loopback_management_stays_on_this_machine() {
        let wish =
            Wish { listen: "0.0.0.0:4141".parse().unwrap(), data_dir: "d".into(), providers: Vec::new() };
        let (_, config) = read(&wish);
        assert!(config.server.management_listen.unwrap().ip().is_loopback());
        assert!(config.providers.is_empty());
    }

    #[test]
    fn with_every_comment_made_a_key_nothing_is_unknown() {
        let wish =
            Wish { listen: "127.0.0.1:9".parse().unwrap(), data_dir: "d".into(), providers: Vec::new() };
        let known: Vec<_> = reference().iter().map(|key| key.key).collect();
        for line in text(&wish).lines().filter(|line| line.starts_with('#') && line.ends_with(" =")) {
            let key = line.trim_start_matches(['#', ' ']).trim_end_matches(" =");
            assert!(known.contains(&key), "{line}");
        }
    }
}
