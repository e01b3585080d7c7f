//! The addresses of pages and of what they load. They are for people and stand in no OpenAPI document.

use actix_web::web;

use super::assets;
use crate::routes::method_not_allowed;

/// What pages load: for everybody, on every listener that has a page.
pub fn assets(config: &mut web::ServiceConfig) {
    let resource = web::resource(assets::PATH).default_service(web::to(method_not_allowed));
    config.service(resource.route(web::get().to(assets::serve)));
}
