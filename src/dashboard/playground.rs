//! `/playground`: a conversation with a model, on whatever virtual key somebody pastes into it. The page is the
//! same for everybody and knows nothing of them: it reads no session, and the key goes from the browser straight
//! to `/v1`, on the admission path of any application.
//!
//! - It is served where `/v1` is, because a page can call its own origin alone (CORS is closed).
//! - Its policy lets it speak to `/v1/` of this gateway and to nothing else, and submit no form.
//! - What it says about each code of an error comes from the reference of errors.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, HOST, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};

use super::page::{Page, Place};
use super::routes::{get, mount};
use crate::error::{Failure, FailureReply};
use crate::openapi::errors::{CODES, ErrorCode};
use crate::reference::markdown;

/// Its path.
pub const PATH: &str = "/playground";
/// What people who use a key may be told, by its place in the page of errors: not what managers are told.
const LAST_CODE_OF_CALLERS: &str = "internal_error";
/// What happens between the browser and the gateway, which no reply can tell.
const OWN_CODES: &[(&str, &str, &str)] = &[
    (
        "gateway_unreachable",
        "Gateway unreachable",
        "It does not run, or something on the way refuses it. Is this page still served? A proxy in front of it must \
         hand on the header `Host` as the browser sent it.",
    ),
    (
        "connection_lost",
        "Connection lost",
        "What had been made of the answer is billed. Nothing was sent twice: ask again if you still want it.",
    ),
];

/// Where a visitor can go from a listener that has the dashboard too, and from one that has not.
const PLACES: &[(&str, &str)] =
    &[("/", "Dashboard"), (PATH, "Playground"), ("/docs", "HTTP interface"), ("/docs/errors", "Errors")];
const PLACES_ALONE: &[(&str, &str)] = &[(PATH, "Playground")];

/// The playground, for a listener that has everything.
pub fn beside_the_dashboard(config: &mut web::ServiceConfig) {
    mount(
        vec![get(PATH, |request: HttpRequest| async move { show(&request, PLACES) }).for_anybody()],
        config,
    );
}

/// The playground, for a listener that has `/v1` alone.
pub fn alone(config: &mut web::ServiceConfig) {
    mount(
        vec![get(PATH, |request: HttpRequest| async move { show(&request, PLACES_ALONE) }).for_anybody()],
        config,
    );
}

/// What says so, for a listener that has no `/v1`.
pub fn elsewhere(config: &mut web::ServiceConfig) {
    mount(vec![get(PATH, || async { not_here() }).for_anybody()], config);
}

fn not_here() -> HttpResponse {
    let page = Page::new(Place::Playground, "Playground").status(StatusCode::NOT_FOUND);
    page.reply_alone(&html! {
        p { "This address is for management alone. The playground makes calls, so it is where applications make theirs: open "
            code { (PATH) } " there." }
        p { a href="/" { "To the dashboard" } }
    })
}

fn show(request: &HttpRequest, places: &[(&str, &str)]) -> Result<HttpResponse, FailureReply> {
    let refused = || {
        let why = "The request names no host, so the page cannot be bound to it.";
        FailureReply::to(request, Failure::invalid_request(why))
    };
    let policy = policy(host(request).ok_or_else(refused)?);
    let page = Page::new(Place::Playground, "Playground")
        .lede(html! { p { "Try a model with a virtual key. Calls are billed to that key, under its own limits." } })
        .sheets(&["playground.css"])
        .modules(&["playground/page.js"]);
    let mut reply = page.reply_to_anybody(places, &content());
    let policy = HeaderValue::try_from(policy).map_err(|_| refused())?;
    reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(reply)
}

/// The host that the browser asked for.
fn host(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = header.or_else(|| request.uri().authority().map(|authority| authority.as_str()))?;
    // It becomes part of a policy, where a blank or a semicolon would begin something else.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    (!host.is_empty() && host.len() <= 255 && host.chars().all(plain)).then_some(host)
}

/// Without a scheme: that of the page, whatever stands in front of the gateway.
fn policy(host: &str) -> String {
    let calls = if matches_by_name(host) { format!("{host}/v1/") } else { "'self'".to_owned() };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src {calls}; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'"
    )
}

/// Whether a policy can name this host: of addresses it knows 127.0.0.1 alone (CSP 3, 6.7.2.8).
fn matches_by_name(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let other_address = name.parse::<Ipv4Addr>().is_ok_and(|address| address != Ipv4Addr::LOCALHOST);
    let is_v6 = host.starts_with('[') || host.parse::<Ipv6Addr>().is_ok();
    !other_address && !is_v6
}

fn content() -> Markup {
    html! {
        noscript {
            div .notice.warning { strong { "This page needs its scripts" } p { "They are this gateway's own, and few." } }
        }
        div .playground {
            section .card.conversation aria-labelledby="conversation-title" {
                h2 .out-of-sight #conversation-title { "Conversation" }
                (talk())
                (composer())
                (figures())
            }
            aside aria-label="Key and settings" {
                (own_key())
                (settings())
            }
        }
        div #codes hidden {
            @for (code, title, fix) in OWN_CODES { (explained(code, title, fix)) }
            @for known in codes_of_callers() { (explained(known.code, &title(known.code), known.meaning)) }
        }
    }
}

fn talk() -> Markup {
    html! {
        div #talk-box .talk tabindex="0" role="group" aria-label="What was said" {
            div #begin .nothing {
                h3 { "Nothing has been said yet" }
                p { "The conversation stays in this page: it is neither stored nor logged, and a refresh clears it." }
            }
            div #talk .turns {}
        }
        p #status .out-of-sight role="status" {}
    }
}

fn composer() -> Markup {
    html! {
        div .composer {
            div .field {
                label for="message" { "Message" }
                textarea #message rows="4" autocomplete="off" placeholder="Why does one key for each job make a leak survivable?" {}
            }
            div .go {
                label .out-of-sight for="model" { "Model" }
                select #model disabled { option value="" { "Paste a key first" } }
                button #run .main type="button" disabled { "Run" }
                button #stop .danger.main type="button" hidden { "Stop" }
                span .hint { kbd { "Ctrl" } kbd { "Enter" } " runs, " kbd { "Esc" } " stops" }
                span .last {
                    button #clear .quiet type="button" disabled { "Clear" }
                    button #curl .quiet type="button" { "Copy as curl" }
                }
            }
        }
    }
}

fn figures() -> Markup {
    let figures =
        [("cost", "Cost"), ("tokens", "Tokens"), ("left", "Left on this key"), ("event", "Ledger event")];
    html! {
        dl .figures {
            @for (id, name) in figures { div { dt { (name) } dd id={ "figure-" (id) } { "–" } } }
        }
    }
}

fn own_key() -> Markup {
    html! {
        section .card.own-key aria-labelledby="own-key-title" {
            h2 #own-key-title { "Your key" }
            p #key-gone .notice.info role="status" {}
            div #no-key .own-key {
                div .field {
                    label for="key" { "Virtual key" }
                    div .put {
                        input #key type="password" autocomplete="off" autocapitalize="none" spellcheck="false"
                            placeholder="sk-nemo-…" aria-describedby="key-wrong key-hint" disabled;
                        button #use .main type="button" disabled { "Use" }
                    }
                    p #key-wrong .wrong role="alert" {}
                    p #key-hint .hint {
                        "It stays in this tab and is sent only with your calls, straight to this gateway. Never paste the master key."
                    }
                }
                div #no-key-refused {}
            }
            div #has-key .own-key hidden {
                div .notice.good {
                    strong { "Key ending " span #key-ending .mono {} " is in this tab" }
                    p #key-name .anywhere {}
                    p .small { "It is sent only with your calls, straight to this gateway. " span #kept {} }
                }
                div #budgets .budgets {}
                div #key-refused {}
                button #forget type="button" { "Forget key now" }
            }
        }
    }
}

fn settings() -> Markup {
    html! {
        section .card.settings aria-labelledby="settings-title" {
            h2 #settings-title { "Settings" }
            div .field {
                label for="system" { "System prompt" }
                textarea #system rows="3" autocomplete="off" {}
            }
            div .row {
                div .field {
                    label for="temperature" { "Temperature" }
                    input #temperature type="number" min="0" max="2" step="any" autocomplete="off" placeholder="the model’s";
                }
                div .field {
                    label for="limit" { "Output limit" }
                    input #limit type="number" min="1" step="1" autocomplete="off" placeholder="the key’s" aria-describedby="limit-hint";
                }
            }
            p #limit-hint .hint { "In tokens, hidden reasoning included. The call holds what its whole limit would cost." }
            label .tick { input #streams type="checkbox" checked; span { "Stream the answer" } }
        }
    }
}

fn explained(code: &str, title: &str, fix: &str) -> Markup {
    html! {
        div data-code=(code) { span data-title { (title) } div data-fix { (markdown(fix)) } }
    }
}

/// `budget_exceeded` in words.
fn title(code: &str) -> String {
    let words = code.replace('_', " ").replace("api", "API");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn codes_of_callers() -> impl Iterator<Item = &'static ErrorCode> {
    let end = CODES.iter().position(|known| known.code == LAST_CODE_OF_CALLERS);
    CODES.iter().take(end.map_or(0, |end| end.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_host_where_a_policy_can() {
        for host in ["nemo.example.org", "127.0.0.1:4141", "localhost:80", "x"] {
            assert!(policy(host).contains(&format!("connect-src {host}/v1/;")), "{host}");
        }
        for host in ["10.1.2.3:4141", "10.1.2.3", "[::1]:4141", "::1"] {
            assert!(policy(host).contains("connect-src 'self';"), "{host}");
        }
    }

    #[test]
    fn every_code_that_a_caller_may_get_is_explained() {
        let codes: Vec<_> = codes_of_callers().map(|known| known.code).collect();
        for code in
            ["missing_api_key", "budget_exceeded", "unknown_field", "provider_timeout", "internal_error"]
        {
            assert!(codes.contains(&code), "{code}");
        }
        assert!(!codes.contains(&"master_key_not_found"));
        assert_eq!(title("invalid_api_key"), "Invalid API key");
        let html = content().into_string();
        assert!(codes.iter().all(|code| html.contains(&format!("data-code=\"{code}\""))));
        assert!(!html.contains(" style=") && !html.contains("<form"));
    }
}
