//! Create a key: what it is for, what it may do, and then its secret, once.
//!
//! The form carries the public id that its key will have. Sending it again, by a reload or a second click, is
//! refused by the key's own stream, on any node and after any restart.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use maud::{Markup, html};
use nemo_events::{KeyId, OrgId};
use nemo_projections::decide::{CreateOrg, validate_labels, validate_limits};
use nemo_projections::org::Standing;
use nemo_read_model::{Limit, OrgFilter, OrgRow, PageRequest};
use uuid::Uuid;

use super::limits_form::Use;
use super::secret::{self, Made};
use super::wrong::Wrong;
use super::{bounds_in_words, caps_in_words, labels_form, limits_form, limits_read, rates_in_words};
use crate::auth::token::VirtualKeyText;
use crate::dashboard::components::{Choice, Field, csrf, hidden, select, tick};
use crate::dashboard::{Fields, Page, Place, Shows, Visit};
use crate::error::{Failure, FailureReply};
use crate::management::failures::of_command;
use crate::management::key_secrets::{NewId, NewKey, issue};

/// `GET /keys/new`
pub(in crate::dashboard) async fn form(visit: Visit) -> Shows {
    let sent = visit.query().clone();
    let form = Form::new(&visit).await?;
    let defaults = form.chosen(&sent).is_some_and(|org| org.limits.key_defaults.is_some());
    let sent = if defaults { sent.with("use_defaults", Some("yes")) } else { sent };
    Ok(form.page(&visit, &sent, StatusCode::OK, &Wrong::default()))
}

/// `POST /keys/new`: the answer holds the secret, once.
pub(in crate::dashboard) async fn submit(visit: Visit, sent: Fields) -> Shows {
    let Ok(id) = sent.text("id").parse::<KeyId>() else {
        return Form::new(&visit)
            .await
            .map(|form| form.page(&visit, &sent, StatusCode::OK, &Wrong::default()));
    };
    if is_there(&visit, id).await? {
        return Ok(secret::shown_already(&visit, id, Made::Created));
    }
    let (wish, sent) = match wish(&visit, &sent).await {
        Ok(ready) => ready,
        Err((status, wrong)) => return Ok(Form::of(&visit, id).await?.page(&visit, &sent, status, &wrong)),
    };
    match issue(&visit.asked, wish, NewId::Only(id)).await {
        Ok(issued) => Ok(secret::page(&visit, &issued, Made::Created)),
        Err(reply) if reply.code() == "key_exists" => Ok(secret::shown_already(&visit, id, Made::Created)),
        Err(reply) => {
            let (status, wrong) = refused(reply.failure());
            Ok(Form::of(&visit, id).await?.page(&visit, &sent, status, &wrong))
        }
    }
}

async fn is_there(visit: &Visit, id: KeyId) -> Result<bool, FailureReply> {
    let look = visit.asked.app().ledger.look(id, |account, _| account.key.is_some()).await;
    Ok(look.map_err(|error| visit.asked.not_executed(&error))?.answer)
}

fn refused(failure: &Failure) -> (StatusCode, Wrong) {
    let mut fields = labels_form::NAMES.to_vec();
    fields.extend(limits_read::NAMES);
    (failure.status, Wrong::refused(failure, &fields))
}

/// The key that a form asks for. An org that it asks for as well is made last, once nothing else is wrong.
async fn wish(visit: &Visit, sent: &Fields) -> Result<(NewKey, Fields), (StatusCode, Wrong)> {
    let labels = labels_form::read(sent);
    let limits = if sent.is_set("use_defaults") { None } else { Some(limits_read::read(sent, None)) };
    let limits = limits.transpose().map_err(|wrong| (StatusCode::UNPROCESSABLE_ENTITY, wrong))?;
    let checked = validate_labels(&labels).and_then(|()| limits.as_ref().map_or(Ok(()), validate_limits));
    checked.map_err(|refusal| refused(&Failure::from(&refusal)))?;
    let org = org(visit, sent).await?;
    let sent = sent.with("org", Some(&org.to_string())).with("org_name", None);
    let nemo_events::key::Labels { name, app, job, env, cost_centre, tags } = labels;
    Ok((NewKey { org, name, app, job, env, cost_centre, tags, limits }, sent))
}

/// The org that is chosen, or the new one that is named.
async fn org(visit: &Visit, sent: &Fields) -> Result<OrgId, (StatusCode, Wrong)> {
    let wrong = |field, why: String| {
        let mut wrong = Wrong::default();
        wrong.with(field, why);
        wrong
    };
    if let Some(chosen) = sent.given("org") {
        let no_org = |_| (StatusCode::UNPROCESSABLE_ENTITY, wrong("org", "There is no such org.".to_owned()));
        return chosen.parse().map_err(no_org);
    }
    let Some(name) = sent.given("org_name") else {
        let why = "Name the org that owns the key: it cannot be changed later.".to_owned();
        return Err((StatusCode::UNPROCESSABLE_ENTITY, wrong("org_name", why)));
    };
    let id = OrgId::from_uuid(Uuid::now_v7());
    let command = CreateOrg { name, limits: Default::default() };
    match visit.asked.app().ledger.manage_org(id, command, visit.asked.context()).await {
        Ok(_) => Ok(id),
        Err(error) => {
            let failure = of_command(&error);
            Err((failure.status, wrong("org_name", failure.message)))
        }
    }
}

/// The form: the id that its key will have, and the orgs to choose from.
struct Form {
    id: KeyId,
    orgs: Vec<OrgRow>,
}

impl Form {
    async fn new(visit: &Visit) -> Result<Self, FailureReply> {
        let text = VirtualKeyText::generate().map_err(|_| visit.asked.refused(Failure::internal()))?;
        Self::of(visit, text.key_id()).await
    }

    async fn of(visit: &Visit, id: KeyId) -> Result<Self, FailureReply> {
        let filter = OrgFilter { standing: Some(Standing::Active), ..OrgFilter::default() };
        let page = PageRequest { after: None, limit: Limit::at_most(Limit::MAX) };
        let orgs = visit.asked.read(None, move |reader| reader.orgs(&filter, &page)).await?.value.rows;
        Ok(Self { id, orgs })
    }

    fn chosen(&self, sent: &Fields) -> Option<&OrgRow> {
        let named = self.orgs.iter().find(|org| org.org.to_string() == sent.text("org"));
        named.or_else(|| self.orgs.first().filter(|_| sent.text("org_name").is_empty()))
    }

    fn page(&self, visit: &Visit, sent: &Fields, status: StatusCode, wrong: &Wrong) -> HttpResponse {
        let form = html! {
            form .fields method="post" action="/keys/new" data-once {
                (csrf(&visit.viewer.csrf))
                (hidden("id", &self.id.to_string()))
                @if let Some(why) = wrong.whole() { p .wrong role="alert" { (why) } }
                section .card { h2 { "What it is for" } div .fields.inner { (self.org(sent, wrong)) (labels_form::show(sent, wrong)) } }
                section .card { h2 { "What it may do" } div .fields.inner { (self.defaults(sent)) (self.bounds(sent)) (limits_form::show(Use::Key, sent, wrong)) } }
                div .buttons {
                    span .hint { "The full key is shown once, on the next page." }
                    a .button href="/keys" { "Cancel" }
                    button .main { "Create key" }
                }
            }
        };
        Page::new(Place::Keys, "Create a key")
            .status(status)
            .under("/keys", "Keys")
            .lede(html! { "Make one key for each use: then a leak is limited to one job, and its spend is counted for you." })
            .sheets(&["keys.css"])
            .modules(&["keys.js"])
            .reply(&visit.viewer, &html! { div .middling { (form) } })
    }

    fn org(&self, sent: &Fields, wrong: &Wrong) -> Markup {
        let new = Field {
            name: "org_name",
            label: if self.orgs.is_empty() { "Org" } else { "Name of the new org" },
            hint: "Who owns the key and pays for it. It is created with the key.",
            value: sent.as_sent("org_name"),
            wrong: wrong.of("org_name"),
            required: self.orgs.is_empty(),
            maxlength: Some(128),
            ..Field::default()
        };
        if self.orgs.is_empty() {
            return new.show();
        }
        let chosen = self.chosen(sent).map(|org| org.org);
        let texts: Vec<_> = self.orgs.iter().map(|org| (org.org.to_string(), org)).collect();
        let mut choices: Vec<_> = texts
            .iter()
            .map(|(id, org)| Choice { value: id, text: &org.name, chosen: chosen == Some(org.org) })
            .collect();
        choices.push(Choice { value: "", text: "A new org …", chosen: chosen.is_none() });
        html! {
            (select("org", "Org", "It owns the key for life.", &choices, wrong.of("org")))
            div data-new-org { (new.show()) }
        }
    }

    /// What orgs bound their keys to, for those that do.
    fn bounds(&self, sent: &Fields) -> Markup {
        let bounded = self.orgs.iter().filter_map(|org| Some((org.org, org.limits.key_bounds.as_ref()?)));
        let chosen = self.chosen(sent).map(|org| org.org);
        html! {
            @for (org, bounds) in bounded {
                p .hint data-org=(org) hidden[chosen != Some(org)] { (bounds_in_words(bounds)) }
            }
        }
    }

    /// What orgs give new keys, for those that give anything.
    fn defaults(&self, sent: &Fields) -> Markup {
        let given = self.orgs.iter().filter_map(|org| Some((org, org.limits.key_defaults.as_ref()?)));
        let chosen = self.chosen(sent).map(|org| org.org);
        html! {
            @if given.clone().next().is_some() {
                div .field data-defaults {
                    (tick("use_defaults", "yes", &html! { "Take the limits that its org gives new keys" }, sent.is_set("use_defaults")))
                    @for (org, limits) in given {
                        p .hint data-org=(org.org) hidden[chosen != Some(org.org)] {
                            (org.name) " gives: " (caps_in_words(limits))
                            @if let Some(rates) = rates_in_words(limits) { "; at most " (rates) }
                            "."
                        }
                    }
                }
            }
        }
    }
}
