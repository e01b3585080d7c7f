//! Every page's address on one screen, with the right that it needs. They are for people and stand in no OpenAPI
//! document. Whatever changes something is a `POST` of a form, to the address of the page that shows the form.

use actix_web::middleware::from_fn;
use actix_web::{FromRequest, Handler, Responder, web};
use nemo_events::Right;

use super::people::{account, changes, list, login, setup};
use super::{assets, failed, headers, key, keys, ledger, live, orgs, overview, prices};
use crate::auth::guard::{self, Needs};
use crate::openapi::Method;
use crate::routes::{Allowed, method_not_allowed};

/// All pages.
#[must_use]
pub fn all() -> Vec<PageRoute> {
    use Right as R;
    let mut all = vec![
        get("/", overview::show).needs(R::ReadSpend),
        get("/keys", keys::list::show).needs(R::ReadKeys),
        get("/keys/new", keys::create::form).needs(R::ManageKeys),
        post("/keys/new", keys::create::submit).needs(R::ManageKeys),
        get("/keys/bulk", keys::bulk::form).needs(R::ManageKeys),
        post("/keys/bulk", keys::bulk::submit).needs(R::ManageKeys),
        get("/keys/{id}", key::show).needs(R::ReadKeys),
        get("/keys/{id}/replay", key::fragment).needs(R::Replay).beside_pages(),
        get("/keys/{id}/activity.csv", key::download).needs(R::Replay).exports().beside_pages(),
        get("/keys/{id}/labels", keys::labels::form).needs(R::ManageKeys),
        post("/keys/{id}/labels", keys::labels::submit).needs(R::ManageKeys),
        get("/keys/{id}/limits", keys::limits::form).needs(R::ManageKeys),
        post("/keys/{id}/limits", keys::limits::submit).needs(R::ManageKeys),
        get("/keys/{id}/block", keys::block::form).needs(R::ManageKeys),
        post("/keys/{id}/block", keys::block::submit).needs(R::ManageKeys),
        get("/keys/{id}/unblock", keys::block::unblock_form).needs(R::ManageKeys),
        post("/keys/{id}/unblock", keys::block::unblock).needs(R::ManageKeys),
        get("/keys/{id}/rotate", keys::rotate::form).needs(R::ManageKeys),
        post("/keys/{id}/rotate", keys::rotate::submit).needs(R::ManageKeys),
        get("/keys/{id}/revoke", keys::revoke::form).needs(R::ManageKeys),
        post("/keys/{id}/revoke", keys::revoke::submit).needs(R::ManageKeys),
        get("/orgs", orgs::list).needs(R::ReadOrgs),
        get("/orgs/new", orgs::create_form).needs(R::ManageOrgs),
        post("/orgs/new", orgs::create).needs(R::ManageOrgs),
        get("/orgs/{id}", orgs::show).needs(R::ReadOrgs),
        get("/orgs/{id}/rename", orgs::rename_form).needs(R::ManageOrgs),
        post("/orgs/{id}/rename", orgs::rename).needs(R::ManageOrgs),
        get("/orgs/{id}/limits", orgs::limits_form).needs(R::ManageOrgs),
        post("/orgs/{id}/limits", orgs::set_limits).needs(R::ManageOrgs),
        get("/orgs/{id}/bounds", orgs::bounds_form).needs(R::ManageOrgs),
        post("/orgs/{id}/bounds", orgs::set_bounds).needs(R::ManageOrgs),
        get("/orgs/{id}/budgets", orgs::budgets_form).needs(R::ManageOrgs),
        post("/orgs/{id}/budgets", orgs::set_budgets).needs(R::ManageOrgs),
        get("/orgs/{id}/suspend", orgs::suspend_form).needs(R::ManageOrgs),
        post("/orgs/{id}/suspend", orgs::suspend).needs(R::ManageOrgs),
        get("/orgs/{id}/resume", orgs::resume_form).needs(R::ManageOrgs),
        post("/orgs/{id}/resume", orgs::resume).needs(R::ManageOrgs),
        get("/orgs/{id}/archive", orgs::archive_form).needs(R::ManageOrgs),
        post("/orgs/{id}/archive", orgs::archive).needs(R::ManageOrgs),
        get("/prices", prices::list).needs(R::ReadPrices),
        get("/prices/history", prices::history).needs(R::ReadPrices),
        get("/ledger", ledger::show).needs(R::ReadLedger),
        get("/live", live::position).beside_pages(),
    ];
    all.extend(people());
    all
}

/// Signing in, choosing passwords, and who may sign in.
fn people() -> Vec<PageRoute> {
    let admin = |route: PageRoute| route.needs(Right::ManageOperators);
    vec![
        get("/login", login::show).for_anybody(),
        post("/login", login::submit).for_anybody(),
        post("/logout", login::leave),
        get("/setup", setup::show).for_anybody(),
        post("/setup", setup::submit).for_anybody(),
        get("/setup/password", setup::show_password).for_anybody(),
        post("/setup/password", setup::submit_password).for_anybody(),
        get("/account", account::show),
        post("/account/password", account::change_password),
        post("/account/sign-out", account::sign_out),
        admin(get("/operators", list::show)),
        admin(get("/operators/invite", changes::show_invite)),
        admin(post("/operators/invite", changes::invite)),
        admin(get("/operators/sign-out", changes::show_sign_everybody_out)),
        admin(post("/operators/sign-out", changes::sign_everybody_out)),
        admin(get("/operators/{id}/role", changes::show_role)),
        admin(post("/operators/{id}/role", changes::change_role)),
        admin(get("/operators/{id}/remove", changes::show_remove)),
        admin(post("/operators/{id}/remove", changes::remove)),
        admin(get("/operators/{id}/link", changes::show_link)),
        admin(post("/operators/{id}/link", changes::link)),
        admin(get("/operators/{id}/sign-out", changes::show_sign_out)),
        admin(post("/operators/{id}/sign-out", changes::sign_out)),
    ]
}

/// Who may see a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Everybody: pages before and beside signing in.
    Anybody,
    /// Whoever is signed in and has the right, if one is named.
    Person(Option<Right>),
}

/// A page or what is sent to one.
pub struct PageRoute {
    /// `GET`, or `POST` for a form.
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// Who may see it.
    pub who: Who,
    /// Whether people look at it by itself: not where a module or a download asks.
    pub is_page: bool,
    /// Whether what it shows is taken away with it, which is written down.
    exports: bool,
    serve: Box<dyn Fn() -> actix_web::Route>,
}

impl PageRoute {
    /// Whoever is signed in needs this right.
    #[must_use]
    pub const fn needs(mut self, right: Right) -> Self {
        self.who = Who::Person(Some(right));
        self
    }

    /// Nobody needs to be signed in.
    #[must_use]
    pub const fn for_anybody(mut self) -> Self {
        self.who = Who::Anybody;
        self
    }

    /// A module asks for it, or it is downloaded.
    #[must_use]
    pub const fn beside_pages(mut self) -> Self {
        self.is_page = false;
        self
    }

    /// Who takes away what it shows is written down.
    #[must_use]
    pub const fn exports(mut self) -> Self {
        self.exports = true;
        self
    }

    fn served(&self) -> actix_web::Route {
        let route = (self.serve)();
        match self.who {
            Who::Anybody => route,
            Who::Person(right) => guard::page(route, Needs { right, exports: self.exports }, failed::refuse),
        }
    }
}

/// A page, for whoever is signed in unless more is said.
pub fn get<F, Args>(path: &'static str, handler: F) -> PageRoute
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let serve = Box::new(move || web::get().to(handler.clone()));
    PageRoute { method: Method::Get, path, who: Who::Person(None), is_page: true, exports: false, serve }
}

/// What a form is sent to.
pub fn post<F, Args>(path: &'static str, handler: F) -> PageRoute
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let serve = Box::new(move || web::post().to(handler.clone()));
    PageRoute { method: Method::Post, path, who: Who::Person(None), is_page: true, exports: false, serve }
}

/// Serves pages, to people alone: where managers are.
pub fn pages(config: &mut web::ServiceConfig) {
    mount(all(), config);
    assets(config);
}

/// Serves some pages; every answer says what [`headers`] says.
pub fn mount(routes: Vec<PageRoute>, config: &mut web::ServiceConfig) {
    let mut paths: Vec<(&'static str, Vec<PageRoute>)> = Vec::new();
    for route in routes {
        match paths.iter_mut().find(|(path, _)| *path == route.path) {
            Some((_, routes)) => routes.push(route),
            None => paths.push((route.path, vec![route])),
        }
    }
    for (path, routes) in paths {
        let methods: Vec<Method> = routes.iter().map(|route| route.method).collect();
        let resource = web::resource(path).app_data(Allowed::these(&methods));
        let resource = resource.default_service(web::to(method_not_allowed));
        let resource = routes.iter().fold(resource, |resource, route| resource.route(route.served()));
        config.service(resource.wrap(from_fn(headers::protect)));
    }
}

/// What pages load: for everybody, on every listener that has a page.
pub fn assets(config: &mut web::ServiceConfig) {
    let resource = web::resource(assets::PATH).app_data(Allowed::these(&[Method::Get]));
    let resource = resource.default_service(web::to(method_not_allowed));
    config.service(resource.route(web::get().to(assets::serve)));
}
