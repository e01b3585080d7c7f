//! From the table to the router.

use actix_web::web;

use super::route::{Group, Route};
use crate::routes::{Allowed, method_not_allowed};

/// Serves the routes. A path refuses every method that it has no route for, and says which it has.
pub fn mount(groups: Vec<Group>, config: &mut web::ServiceConfig) {
    let mut paths: Vec<(&'static str, Vec<Route>)> = Vec::new();
    for route in groups.into_iter().flat_map(|group| group.routes) {
        match paths.iter_mut().find(|(path, _)| *path == route.path) {
            Some((_, routes)) => routes.push(route),
            None => paths.push((route.path, vec![route])),
        }
    }
    for (path, routes) in paths {
        let methods: Vec<_> = routes.iter().map(|route| route.method).collect();
        let resource = web::resource(path).app_data(Allowed::these(&methods));
        let resource = resource.default_service(web::to(method_not_allowed));
        config.service(routes.iter().fold(resource, |resource, route| resource.route(route.served())));
    }
}
