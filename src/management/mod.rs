//! `/api`: what managers ask, as JSON. Handlers parse, execute a command or ask the read model, and
//! map the answer; what is allowed is decided in `nemo-projections`.
//!
//! - Every handler takes an [`Asked`](asked::Asked) first: nothing here is open to anybody but a manager.
//! - A write answers with the `position` it reached; a read takes it as `min_position` and waits for it.
//! - What is told of *one* key or org comes from its own account and is the truth; lists come from the
//!   read model and say as of which position.
//! - A full key is in the answers of `key_secrets.rs` and nowhere else.

mod asked;
mod calls;
mod failures;
mod history;
mod input;
mod key_secrets;
mod keys;
mod master_key_events;
mod org_removal;
mod orgs;
mod prices;
mod secrets;
mod shapes;
mod spend;
mod status;

use actix_web::{Resource, web};

use crate::routes::method_not_allowed;

/// Every management route.
pub fn configure(config: &mut web::ServiceConfig) {
    use web::{delete, get, patch, post, put};
    let mut serve = |resource: Resource| {
        config.service(resource.default_service(web::to(method_not_allowed)));
    };

    let path = web::resource;
    serve(path("/api/ledger").route(get().to(status::ledger)));
    serve(path("/api/prices").route(get().to(prices::list)));
    serve(path("/api/spend").route(get().to(spend::spend)));

    serve(path("/api/secrets").route(get().to(secrets::list)));
    serve(path("/api/master-keys/{id}/events").route(get().to(master_key_events::list)));

    serve(path("/api/orgs").route(get().to(orgs::list)).route(post().to(orgs::create)));
    serve(
        path("/api/orgs/{id}")
            .route(get().to(orgs::show))
            .route(patch().to(orgs::rename))
            .route(delete().to(org_removal::remove)),
    );
    serve(path("/api/orgs/{id}/limits").route(put().to(orgs::set_limits)));
    serve(path("/api/orgs/{id}/suspend").route(post().to(orgs::suspend)));
    serve(path("/api/orgs/{id}/resume").route(post().to(orgs::resume)));

    serve(path("/api/keys").route(get().to(keys::list)).route(post().to(key_secrets::create)));
    serve(path("/api/keys/{id}").route(get().to(keys::show)).route(delete().to(keys::revoke)));
    serve(path("/api/keys/{id}/labels").route(put().to(keys::relabel)));
    serve(path("/api/keys/{id}/limits").route(put().to(keys::set_limits)));
    serve(path("/api/keys/{id}/block").route(post().to(keys::block)));
    serve(path("/api/keys/{id}/unblock").route(post().to(keys::unblock)));
    serve(path("/api/keys/{id}/revoke").route(post().to(keys::revoke)));
    serve(path("/api/keys/{id}/rotate").route(post().to(key_secrets::rotate)));
    serve(path("/api/keys/{id}/retire-secret").route(post().to(keys::retire_secret)));
    serve(path("/api/keys/{id}/clear-model").route(post().to(keys::clear_model)));
    serve(path("/api/keys/{id}/calls").route(get().to(history::calls)));
    serve(path("/api/keys/{id}/events").route(get().to(history::events)));

    serve(path("/api/calls/{id}").route(get().to(calls::show)));
    serve(path("/api/calls/{id}/correct").route(post().to(calls::correct)));
}
