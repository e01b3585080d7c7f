//! The demo's first words: that it is one, the key for its user, and what to look at.

use super::cast::{NIGHTLY, PARTNER, TRAINEE, YOURS};
use crate::app::App;
use crate::auth::token::VirtualKeyText;
use crate::dashboard::playground;
use crate::server::Addresses;
use crate::welcome::{self, say};

/// Prints them on standard output. The only place that shows the user's key, once.
pub(super) fn print(app: &App, addresses: &Addresses, your_key: Option<&VirtualKeyText>) {
    let dir = app.config.server.data_dir.display();
    say!("");
    welcome::print_addresses(addresses);
    say!("Node {} continues the demo in {dir}\n", app.config.server.node);
    say!(
        "THIS IS A DEMO. Its past, its traffic and its providers are simulated: no model is asked, nobody is"
    );
    say!("billed. The ledger, its holds, prices, refusals and proofs are real.\n");
    your_words(addresses, your_key);
    what_to_see(addresses, &dir);
    say!("\nCtrl-C ends it; started again, it goes on. To be rid of it, delete {dir}.");
}

fn your_words(addresses: &Addresses, your_key: Option<&VirtualKeyText>) {
    match your_key {
        Some(key) => {
            say!("Your key, shown this once. It may spend a (simulated) dollar a day:");
            say!("  export NEMO_API_KEY={}\n", key.expose_secret());
        }
        None => {
            say!(
                "Your key was shown when this demo was new. For another secret, once the lines below are set:"
            );
            say!("  {} keys rotate key_{}\n", program(), YOURS.id);
        }
    }
    say!("A billed call:");
    say!(
        "  curl {}://{}/v1/chat/completions -H \"authorization: Bearer $NEMO_API_KEY\" \\",
        addresses.scheme,
        addresses.inference
    );
    say!("    -H 'content-type: application/json' \\");
    say!(
        "    -d '{{\"model\":\"gpt-4o-mini\",\"messages\":[{{\"role\":\"user\",\"content\":\"Is this real?\"}}]}}'"
    );
    say!("Or paste the key into {}://{}{}\n", addresses.scheme, addresses.inference, playground::PATH);
}

fn what_to_see(addresses: &Addresses, dir: &impl std::fmt::Display) {
    let nemo = program();
    let width = nemo.len().saturating_add(" keys timeline key_12345678901".len());
    let see = |what: &str, why: &str| say!("  {:<width$}  {why}", format!("{nemo} {what}"));
    say!("What the ledger has of it, in another terminal:");
    say!(
        "  export NEMO_SERVER={}://{} NEMO_MASTER_KEY_FILE={dir}/secrets/master-key",
        addresses.scheme,
        addresses.management
    );
    see("keys list", "who spent what, and what is left");
    see("spend --by job --every week", "on what, week by week");
    see(&format!("keys timeline key_{}", YOURS.id), "your call: held, then billed");
    see(&format!("keys timeline key_{}", PARTNER.id), "a key that leaked, until it was revoked");
    see(&format!("keys show key_{}", NIGHTLY.id), "a loop that ran away into its budget");
    see(&format!("keys show key_{}", TRAINEE.id), "a total that is used up");
}

/// The program as it was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "nemo".to_owned())
}
