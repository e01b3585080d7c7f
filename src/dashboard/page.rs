//! The frame of every page: the places to go to, who is signed in, a heading, and what the page shows.

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, HttpResponseBuilder};
use maud::{DOCTYPE, Markup, html};
use nemo_events::{Right, Role};

use super::assets::Build;
use super::headers;
use crate::auth::session::Viewer;

/// Where a page belongs among the places that the navigation lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// What is going on.
    Overview,
    /// Virtual keys.
    Keys,
    /// Their owners.
    Orgs,
    /// What models cost.
    Prices,
    /// Where the ledger stands.
    Ledger,
    /// People who sign in.
    Operators,
    /// Trying a model with a virtual key.
    Playground,
    /// None of them.
    Elsewhere,
}

impl Place {
    /// The places of the navigation, in its order.
    pub const ALL: [Self; 7] = [
        Self::Overview,
        Self::Keys,
        Self::Orgs,
        Self::Prices,
        Self::Ledger,
        Self::Operators,
        Self::Playground,
    ];

    /// Its path.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Overview | Self::Elsewhere => "/",
            Self::Keys => "/keys",
            Self::Orgs => "/orgs",
            Self::Prices => "/prices",
            Self::Ledger => "/ledger",
            Self::Operators => "/operators",
            Self::Playground => "/playground",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Overview | Self::Elsewhere => "Overview",
            Self::Keys => "Keys",
            Self::Orgs => "Orgs",
            Self::Prices => "Prices",
            Self::Ledger => "Ledger",
            Self::Operators => "Operators",
            Self::Playground => "Playground",
        }
    }

    /// What one needs to find anything there.
    const fn needs(self) -> Option<Right> {
        match self {
            Self::Overview => Some(Right::ReadSpend),
            Self::Keys => Some(Right::ReadKeys),
            Self::Orgs => Some(Right::ReadOrgs),
            Self::Prices => Some(Right::ReadPrices),
            Self::Ledger => Some(Right::ReadLedger),
            Self::Operators => Some(Right::ManageOperators),
            Self::Playground | Self::Elsewhere => None,
        }
    }

    /// The places that a role may go to, in the order of the navigation.
    fn open_to(role: Role) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |place| place.needs().is_none_or(|right| role.may(right)))
    }

    /// The letter that leads there after `G`.
    const fn letter(self) -> &'static str {
        match self {
            Self::Overview | Self::Elsewhere => "o",
            Self::Keys => "k",
            Self::Orgs => "r",
            Self::Prices => "p",
            Self::Ledger => "l",
            Self::Operators => "t",
            Self::Playground => "y",
        }
    }
}

/// Whoever a page is shown to.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The name that they sign in with.
    pub name: &'a str,
    /// What they are here for.
    pub role: Role,
    /// What their forms must carry.
    pub csrf: &'a str,
}

impl<'a> From<&'a Viewer> for Shown<'a> {
    fn from(viewer: &'a Viewer) -> Self {
        Self { name: &viewer.name, role: viewer.role, csrf: &viewer.csrf }
    }
}

/// A page on its way out.
pub struct Page<'a> {
    place: Place,
    title: &'a str,
    status: StatusCode,
    heading: Option<Markup>,
    crumb: Option<(&'a str, &'a str)>,
    lede: Option<Markup>,
    actions: Option<Markup>,
    sheets: &'a [&'a str],
    modules: &'a [&'a str],
}

impl<'a> Page<'a> {
    /// A page at a place. The title is also its heading.
    #[must_use]
    pub const fn new(place: Place, title: &'a str) -> Self {
        Self {
            place,
            title,
            status: StatusCode::OK,
            heading: None,
            crumb: None,
            lede: None,
            actions: None,
            sheets: &[],
            modules: &[],
        }
    }

    /// Another status than 200.
    #[must_use]
    pub const fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// A heading that says more than the title in the window's bar.
    #[must_use]
    pub fn heading(mut self, heading: Markup) -> Self {
        self.heading = Some(heading);
        self
    }

    /// The page above this one: its path and what it is called.
    #[must_use]
    pub const fn under(mut self, path: &'a str, name: &'a str) -> Self {
        self.crumb = Some((path, name));
        self
    }

    /// A sentence or two below the heading.
    #[must_use]
    pub fn lede(mut self, lede: Markup) -> Self {
        self.lede = Some(lede);
        self
    }

    /// What can be done here, beside the heading.
    #[must_use]
    pub fn actions(mut self, actions: Markup) -> Self {
        self.actions = Some(actions);
        self
    }

    /// Further style sheets, by their names in `assets/`.
    #[must_use]
    pub const fn sheets(mut self, sheets: &'a [&'a str]) -> Self {
        self.sheets = sheets;
        self
    }

    /// Further modules, by their names in `assets/`.
    #[must_use]
    pub const fn modules(mut self, modules: &'a [&'a str]) -> Self {
        self.modules = modules;
        self
    }

    /// The page for somebody who is signed in.
    #[must_use]
    pub fn reply<'v>(&self, shown: impl Into<Shown<'v>>, content: &Markup) -> HttpResponse {
        let (build, shown) = (Build::now(), shown.into());
        let body = html! {
            div .shell {
                (self.side(&shown))
                main #content tabindex="-1" { (self.head()) (content) }
            }
            (help(shown.role))
        };
        self.send(&build, &["shell.js"], &body)
    }

    /// The page for somebody who is not: one card in the middle, no places to go to.
    #[must_use]
    pub fn reply_alone(&self, content: &Markup) -> HttpResponse {
        let body = html! {
            div .alone {
                header { (brand()) }
                main #content tabindex="-1" {
                    div .card { (self.head()) (content) }
                }
            }
        };
        self.send(&Build::now(), &["alone.js"], &body)
    }

    /// The page for whoever comes, signed in or not: it is the same for all of them. Places are paths and words.
    #[must_use]
    pub fn reply_to_anybody(&self, places: &[(&str, &str)], content: &Markup) -> HttpResponse {
        let here = self.place.path();
        let body = html! {
            div .shell {
                header .side {
                    (brand())
                    button .menu.quiet type="button" aria-expanded="false" aria-controls="places" { "Menu" }
                    nav #places aria-label="Pages" {
                        ul .places {
                            @for (path, word) in places {
                                li {
                                    a href=(path) rel="noopener" aria-current=[(*path == here).then_some("page")] { (word) }
                                }
                            }
                        }
                    }
                    div .who { div .row { (theme_choice()) } }
                }
                main #content tabindex="-1" { (self.head()) (content) }
            }
        };
        self.send(&Build::now(), &["anybody.js"], &body)
    }

    fn send(&self, build: &Build, shell: &[&str], body: &Markup) -> HttpResponse {
        let whole = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) " – Nemo" }
                    link rel="icon" type="image/svg+xml" href=(build.url("icon.svg"));
                    @for sheet in ["base.css"].iter().chain(self.sheets) {
                        link rel="stylesheet" href=(build.url(sheet));
                    }
                    script src=(build.url("theme.js")) {}
                    @for module in shell.iter().chain(self.modules) {
                        script type="module" src=(build.url(module)) {}
                    }
                }
                body {
                    a .skip href="#content" { "To the content" }
                    (body)
                    div #say .say role="status" aria-live="polite" {}
                }
            }
        };
        let mut reply = HttpResponseBuilder::new(self.status);
        let mut reply =
            reply.insert_header((CONTENT_TYPE, "text/html; charset=utf-8")).body(whole.into_string());
        headers::put(reply.headers_mut());
        reply
    }

    fn head(&self) -> Markup {
        html! {
            header .head {
                div {
                    @if let Some((path, name)) = self.crumb { p .crumb { a href=(path) { (name) } } }
                    h1 { @if let Some(heading) = &self.heading { (heading) } @else { (self.title) } }
                    @if let Some(lede) = &self.lede { div .lede { (lede) } }
                }
                @if let Some(actions) = &self.actions { div .actions { (actions) } }
            }
        }
    }

    fn side(&self, shown: &Shown<'_>) -> Markup {
        html! {
            header .side {
                (brand())
                button .menu.quiet type="button" aria-expanded="false" aria-controls="places" { "Menu" }
                nav #places aria-label="Pages" {
                    ul .places {
                        @for place in Place::open_to(shown.role) {
                            li {
                                a href=(place.path()) data-go=(place.letter())
                                    aria-current=[(place == self.place).then_some("page")] { (place.word()) }
                            }
                        }
                    }
                }
                div .who {
                    a .name href="/account" { (shown.name) ", " (shown.role) }
                    div .row {
                        (theme_choice())
                        button .quiet type="button" data-help aria-label="Keyboard shortcuts" hidden { "?" }
                        form method="post" action="/logout" {
                            input type="hidden" name="csrf" value=(shown.csrf);
                            button .quiet { "Sign out" }
                        }
                    }
                }
            }
        }
    }
}

fn theme_choice() -> Markup {
    html! {
        label hidden {
            span .out-of-sight { "Theme" }
            select data-theme-choice {
                option value="system" { "System" }
                option value="light" { "Light" }
                option value="dark" { "Dark" }
            }
        }
    }
}

fn brand() -> Markup {
    html! {
        a .brand href="/" {
            svg width="20" height="20" viewBox="0 0 20 20" aria-hidden="true" {
                rect .logo-1 x="1" y="2" width="18" height="4" rx="2" {}
                rect .logo-2 x="1" y="8" width="12" height="4" rx="2" {}
                rect .logo-3 x="1" y="14" width="7" height="4" rx="2" {}
            }
            "Nemo"
        }
    }
}

fn help(role: Role) -> Markup {
    let keys = [
        ("/", "search"),
        ("C", "create a key"),
        ("J", "next row"),
        ("K", "row before"),
        ("Enter", "open the row"),
        ("Esc", "leave a field or close a dialog"),
        ("?", "this help"),
    ];
    html! {
        dialog #help aria-labelledby="help-title" {
            div .dialog-body {
                h2 #help-title { "Keyboard" }
                dl .keyboard {
                    @for (key, what) in keys { dt { kbd { (key) } } dd { (what) } }
                    @for place in Place::open_to(role) {
                        dt { kbd { "G" } " " kbd { (place.letter().to_uppercase()) } }
                        dd { (place.word()) }
                    }
                }
                div .buttons { button type="button" data-close { "Close" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails loudly")]
    use actix_web::body::MessageBody;

    use super::*;
    use crate::dashboard::assets;

    fn text(reply: HttpResponse) -> String {
        let bytes = reply.into_body().try_into_bytes().ok().unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    const ANNA: Shown<'_> = Shown { name: "<img src=x onerror=alert(1)>", role: Role::Admin, csrf: "token" };

    #[test]
    fn a_page_escapes_what_it_is_given_and_names_only_assets_that_are_there() {
        let page = Page::new(Place::Keys, "<b>Keys</b>").under("/", "\"><script>").modules(&["live.js"]);
        let html = text(page.reply(ANNA, &html! { p { "content" } }));
        assert!(!html.contains("<img") && !html.contains("<b>") && !html.contains("\"><script>"), "{html}");
        assert!(html.contains("aria-current=\"page\">Keys<"), "{html}");
        for address in html.split("/assets/").skip(1).filter_map(|rest| rest.split('"').next()) {
            let name = address.split_once('/').unwrap().1;
            assert!(assets::bytes(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_page_holds_nothing_that_its_policy_forbids() {
        let html = text(Page::new(Place::Overview, "Overview").reply(ANNA, &html! {}));
        assert!(!html.contains(" style=") && !html.contains("<style"), "{html}");
        assert!(html.split("<script").skip(1).all(|script| script.contains("src=\"/assets/")), "{html}");
        let reply = Page::new(Place::Overview, "Overview").reply_alone(&html! {});
        assert_eq!(reply.headers().get("cache-control").unwrap(), "no-store");
        assert!(
            reply
                .headers()
                .get("content-security-policy")
                .unwrap()
                .to_str()
                .unwrap()
                .contains("trusted-types")
        );
    }

    #[test]
    fn a_page_leads_nowhere_where_its_viewer_may_not_go() {
        let finance = Shown { role: Role::Finance, ..ANNA };
        let html = text(Page::new(Place::Keys, "Keys").reply(finance, &html! {}));
        assert!(html.contains("href=\"/prices\"") && !html.contains("href=\"/ledger\""), "{html}");
        assert!(!html.contains("href=\"/operators\""), "{html}");
    }

    #[test]
    fn every_place_has_a_letter_of_its_own() {
        let letters: std::collections::BTreeSet<_> = Place::ALL.iter().map(|place| place.letter()).collect();
        assert_eq!(letters.len(), Place::ALL.len());
    }
}
