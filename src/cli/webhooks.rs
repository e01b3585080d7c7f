//! `nemo webhooks`: who is told of alerts and of what managers do, and whether they take a message.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::exit::{CommandError, Exit};
use super::remote::{RemoteOptions, Session};
use super::render::Rows;
use super::render::webhooks::{TESTED, WEBHOOKS};
use super::reply::Verbatim;
use super::views::{TestedWebhook, WebhookRow};

/// Webhooks: who is told of alerts, and whether they take a message
#[derive(Debug, Args)]
pub struct WebhooksArgs {
    /// Where and how.
    #[command(flatten)]
    pub remote: RemoteOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: WebhooksCommand,
}

/// What can be done with webhooks. They are made in the configuration.
#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// List webhooks, how far each has come, and what keeps it from going on
    List,
    /// Send a signed test message to a webhook's receiver, once
    Test(TestArgs),
}

/// Which webhook is tested.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Its name in the configuration
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// All webhooks.
#[derive(Deserialize)]
struct All {
    webhooks: Vec<Verbatim<WebhookRow>>,
}

/// Runs a command on webhooks.
///
/// # Errors
/// Why it did not work; of a test also that the receiver did not take the message.
pub async fn run(command: WebhooksCommand, session: &mut Session) -> Result<(), CommandError> {
    match command {
        WebhooksCommand::List => list(session).await,
        WebhooksCommand::Test(TestArgs { name }) => test(&name, session).await,
    }
}

async fn list(session: &mut Session) -> Result<(), CommandError> {
    let All { webhooks } = session.client.get(&["api", "webhooks"], &[]).await?;
    let mut rows = Rows::new(&WEBHOOKS, session.output, session.screen.look);
    session.screen.data(&rows.page(&webhooks))?;
    session.screen.data(&rows.end())?;
    if webhooks.is_empty() {
        session.screen.say(WEBHOOKS.none);
    }
    for WebhookRow { name, failing, .. } in webhooks.iter().map(|row| &row.view) {
        if let Some(failing) = failing {
            session.screen.say(&format!("{name} is tried again: {}.", failing.error));
        }
    }
    Ok(())
}

async fn test(name: &str, session: &mut Session) -> Result<(), CommandError> {
    let path = ["api", "webhooks", name, "test"];
    let reply: Verbatim<TestedWebhook> = session.client.send(Method::POST, &path, &json!({})).await?;
    session.row(&TESTED, &reply.view, reply.json())?;
    match &reply.view.error {
        None => {
            session.screen.say(&format!("{name} took a test message."));
            Ok(())
        }
        Some(why) => {
            let next =
                "Its URL and secret stand in the configuration; what it says of the message, in its own log.";
            let what = format!("{name} did not take a test message: {why}.");
            Err(CommandError::new(Exit::Failed, what).next(next.to_owned()))
        }
    }
}
