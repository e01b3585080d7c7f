//! Webhooks: their secrets at hand, their names in order. None is sent anything: whoever is told at night should be
//! told of something.

use super::configuration::chain;
use super::finding::Findings;
use crate::config::Config;
use crate::webhooks::Webhooks;

pub(super) fn look(config: &Config, findings: &mut Findings) {
    for entry in &config.webhooks {
        let check = format!("webhook {}", entry.name);
        let alone = Config { webhooks: vec![entry.clone()], ..config.clone() };
        match Webhooks::new(&alone) {
            Err(error) => {
                let next = "Set the variable or write the file that the configuration names for its secret.";
                findings.fail(&check, chain(&error), next);
            }
            Ok(_) if entry.url.scheme() == "http" && !entry.is_near() => {
                let found = format!("{} is not https: others can read what it is told", entry.origin());
                findings.warn(&check, found, "Give its receiver a certificate.");
            }
            Ok(_) => {
                let found =
                    format!("it has a secret; `nemo webhooks test {}` tries {}", entry.name, entry.origin());
                findings.ok(&check, found);
            }
        }
    }
}
