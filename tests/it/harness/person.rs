//! A person with a browser, as far as it matters without one: a cookie, and pages' secrets in what is sent.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::nemo::Nemo;
use super::{Answer, until};

/// A password that nobody guesses.
pub(crate) const PASSWORD: &str = "Seven-Quiet-Herons";

const COOKIE: &str = "__Host-nemo-session";

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    nemo: Nemo,
    /// The token in the cookie.
    pub(crate) token: String,
    /// What writes repeat.
    pub(crate) csrf: String,
}

impl Nemo {
    /// The path of the link for the first person, as the running process printed it.
    pub(crate) async fn first_link(&self) -> String {
        let printed = || async {
            let text = self.stdout().text();
            text.lines().find_map(|line| Some(line.split_once("/setup#")?.1.trim().to_owned()))
        };
        format!("/setup#{}", until("the first link is printed", printed).await)
    }

    /// The first person, an admin, who is called Ada.
    pub(crate) async fn ada(&self) -> Person {
        let link = self.first_link().await;
        Person::of(self, &self.join(&link, "Ada", PASSWORD).await).await
    }

    /// Another person, invited with the master key.
    pub(crate) async fn person(&self, name: &str, role: &str) -> Person {
        let link = self.invitation(role).await;
        Person::of(self, &self.join(&link, name, PASSWORD).await).await
    }

    /// The path of an invitation.
    pub(crate) async fn invitation(&self, role: &str) -> String {
        let made = self.tell("/api/operators/links", json!({ "role": role })).await;
        made["path"].as_str().unwrap().to_owned()
    }

    /// Uses a link for a new person.
    pub(crate) async fn join(&self, link: &str, name: &str, password: &str) -> Answer {
        let code = link.split_once('#').unwrap().1;
        let fields = [("code", code), ("name", name), ("password", password), ("again", password)];
        Answer::browsed(self.form("/setup", &fields)).await
    }

    /// Sends the login's form.
    pub(crate) async fn log_in(&self, name: &str, password: &str) -> Answer {
        Answer::browsed(self.form("/login", &[("name", name), ("password", password)])).await
    }

    /// A form, as a page of this gateway sends it.
    pub(crate) fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let encoded: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let request = self.http().post(self.url(path)).header("origin", self.url(""));
        request.header("content-type", "application/x-www-form-urlencoded").body(encoded.join("&"))
    }

    /// The id of an operator.
    pub(crate) async fn operator_id(&self, name: &str) -> String {
        let people = self.ask("/api/operators?removed=true").await;
        let found = people["operators"].as_array().unwrap().iter().find(|person| person["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {people}"))["id"].as_str().unwrap().to_owned()
    }

    /// Events of the `operators` stream.
    pub(crate) async fn operator_events(&self) -> Vec<Value> {
        let page = self.ask("/api/ledger/events?limit=1000").await;
        let events = page["events"].as_array().unwrap().iter();
        events.filter(|event| event["stream"] == "operators").cloned().collect()
    }
}

/// The token that a reply sets, if it sets one.
pub(crate) fn token_in(answer: &Answer) -> Option<String> {
    let cookie = answer.header("set-cookie")?.strip_prefix(COOKIE)?.strip_prefix('=')?;
    Some(cookie.split(';').next()?.to_owned()).filter(|token| !token.is_empty())
}

impl Person {
    /// Whoever was signed in by this reply.
    pub(crate) async fn of(nemo: &Nemo, signed_in: &Answer) -> Person {
        assert_eq!(signed_in.status, 303, "{}", signed_in.text());
        let token = token_in(signed_in).expect("a cookie");
        let mut person = Person { nemo: nemo.clone(), token, csrf: String::new() };
        let page = person.page("/account").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let csrf = page.text().split("name=\"csrf\" value=\"").nth(1).expect("a form");
        person.csrf = csrf.split('"').next().unwrap().to_owned();
        person
    }

    /// The same browser with another token in its cookie.
    pub(crate) fn with_token(&self, token: &str) -> Person {
        Person { token: token.to_owned(), ..self.clone() }
    }

    /// A request with the cookie and nothing else.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.nemo.http().request(method, self.nemo.url(path));
        request.header("cookie", format!("{COOKIE}={}", self.token))
    }

    /// Looks at a page.
    pub(crate) async fn page(&self, path: &str) -> Answer {
        Answer::browsed(self.request(Method::GET, path)).await
    }

    /// Sends a form of a page.
    pub(crate) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", self.csrf.as_str())]).collect();
        let form = self.nemo.form(path, &fields);
        Answer::browsed(form.header("cookie", format!("{COOKIE}={}", self.token))).await
    }

    /// Asks the API as a module of a page does.
    pub(crate) async fn manage(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, path);
        let request = request.header("origin", self.nemo.url("")).header("x-nemo-csrf", &self.csrf);
        let request = if body.is_null() { request } else { request.json(&body) };
        Answer::of(request).await
    }

    /// Whether the session goes on.
    pub(crate) async fn is_in(&self) -> bool {
        let page = self.page("/account").await;
        assert!(matches!(page.status, 200 | 303), "{} {}", page.status, page.text());
        page.status == 200
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
