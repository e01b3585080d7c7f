//! The first words on the terminal: what runs where, what was made, and what to do next.

use nemo_events::Position;

use crate::app::App;
use crate::auth::secrets::FirstStart;
use crate::people;
use crate::server::Addresses;

/// A line for people. Whoever started the server may have stopped reading: that must not end it.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}
pub(crate) use say;

/// Prints them on standard output.
pub fn print(app: &App, addresses: &Addresses, first_start: Option<&FirstStart>, events: Option<Position>) {
    print_addresses(addresses);
    let server = &app.config.server;
    let ledger =
        events.map_or_else(|| "a new ledger".to_owned(), |at| format!("the ledger at position {at}"));
    say!("Node {} continues {ledger} in {}", server.node, app.place);
    print_providers(app);
    if let Some(first) = first_start {
        let Addresses { inference, scheme, .. } = addresses;
        say!("\nThis is its first start. Made:");
        say!("  {}  the master key: it manages, and never makes a call", first.master_key_file.display());
        say!("\nNext:");
        say!("  nemo orgs create acme");
        say!("  nemo keys create --org acme --name first --budget month=5");
        say!("\nand then, with the key that is shown once:");
        say!(
            "  curl {scheme}://{inference}/v1/chat/completions -H \"authorization: Bearer $NEMO_API_KEY\" \\"
        );
        say!("    -H 'content-type: application/json' \\");
        say!(
            "    -d '{{\"model\":\"{}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'",
            example_model(app)
        );
        say!("or in a browser: {scheme}://{inference}/playground");
    } else if let Some(file) = app.secrets.now().master_key_file_still_there() {
        say!("The master key is still in {}. Move it to a safe place.", file.display());
    }
}

/// The same for a node whose ledger is on a server, which may not have answered yet.
pub fn print_waiting(app: &App, addresses: &Addresses) {
    print_addresses(addresses);
    say!("Node {} takes calls once it has read the ledger in {}", app.config.server.node, app.place);
    say!("{}://{}/readyz tells whether it has", addresses.scheme, addresses.management);
    print_providers(app);
    if let Some(file) = app.secrets.now().master_key_file_still_there() {
        say!("The master key is still in {}. Move it to a safe place.", file.display());
    }
}

/// The link with which the first person chooses a name and a password, while there is nobody.
pub fn print_first_link(app: &App, addresses: &Addresses) {
    if let Some(path) = people::first_link(app) {
        let Addresses { management, scheme, .. } = addresses;
        say!("\nNobody can sign in yet. Open this link once, in a browser, to become the first admin:");
        say!("  {scheme}://{management}{path}");
    }
}

/// Where it listens.
pub(crate) fn print_addresses(Addresses { inference, management, scheme }: &Addresses) {
    say!("Nemo {} is listening on {scheme}://{inference}", env!("CARGO_PKG_VERSION"));
    if management != inference {
        say!("Management listens on {scheme}://{management}");
    }
}

fn print_providers(app: &App) {
    for provider in app.terms().providers.iter() {
        say!("Provider {} at {}", provider.name, provider.base_url);
    }
    for notice in &app.config.notices {
        say!("Note: {notice}");
    }
}

/// A model that the example can name: a well-known one if it is served, else the first.
fn example_model(app: &App) -> String {
    const WELL_KNOWN: &str = "gpt-4o-mini";
    let models = app.terms().providers.models(&|_| true, app.ledger.now());
    let known = models.iter().find(|entry| entry.id == WELL_KNOWN).or_else(|| models.first());
    known.map_or_else(|| WELL_KNOWN.to_owned(), |entry| entry.id.clone())
}
