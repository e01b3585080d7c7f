//! From the table to the document.

use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Operation, OperationBuilder, PathItem, Paths};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Required,
    SecurityRequirement, ServerBuilder,
};

use super::route::{Group, Method, Power, Route};
use super::shapes::Shapes;
use crate::auth::session::SESSION_COOKIE;

use super::{answers, example, introduction, parameters};

const MASTER_KEY: &str = "masterKey";
const SESSION: &str = "session";
const VIRTUAL_KEY: &str = "virtualKey";
const VIRTUAL_KEY_HEADER: &str = "virtualKeyInXApiKey";

/// The document of these routes.
#[must_use]
pub fn document_of(groups: &[Group]) -> OpenApi {
    let mut shapes = Shapes::default();
    let mut paths = Paths::new();
    for group in groups {
        for route in &group.routes {
            let item = PathItem::new(method(route.method), operation(group, route, &mut shapes));
            match paths.paths.get_mut(&route.shown_path()) {
                Some(known) => known.merge_operations(item),
                None => {
                    paths.paths.insert(route.shown_path(), item);
                }
            }
        }
    }
    let tag = |group: &Group| TagBuilder::new().name(group.name).description(Some(group.about)).build();
    let licence = LicenseBuilder::new().name("Apache-2.0 OR MIT").identifier(Some("Apache-2.0 OR MIT"));
    let info = InfoBuilder::new()
        .title("Nemo")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(introduction::TEXT))
        .license(Some(licence.build()));
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([ServerBuilder::new().url("/").description(Some("This gateway")).build()]))
        .paths(paths)
        .components(Some(components(shapes)))
        .tags(Some(groups.iter().map(tag)))
        .build()
}

fn operation(group: &Group, route: &Route, shapes: &mut Shapes) -> Operation {
    let mut parameters = parameters::of_path(route, shapes);
    parameters.extend(parameters::of_query(route, shapes));
    let sample = serde_json::json!([{ "lang": "Shell", "label": "curl", "source": example::curl(route) }]);
    OperationBuilder::new()
        .tag(group.name)
        .summary(Some(route.summary))
        .description(Some(route.about))
        .operation_id(Some(route.summary.to_lowercase().replace([' ', '-', '\''], "_")))
        .parameters(Some(parameters))
        .request_body(body(route, shapes))
        .responses(answers::of(route, shapes))
        .securities(Some(securities(route)))
        .extensions(Some(ExtensionsBuilder::new().add("x-codeSamples", sample).build()))
        .build()
}

fn body(route: &Route, shapes: &mut Shapes) -> Option<RequestBody> {
    let body = route.body.as_ref()?;
    let schema = shapes.reference(&body.shape);
    let content = ContentBuilder::new().schema(Some(schema)).example(example::body(route));
    let body = RequestBodyBuilder::new().required(Some(Required::True));
    Some(body.content("application/json", content.build()).build())
}

fn securities(route: &Route) -> Vec<SecurityRequirement> {
    let with = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    match route.power() {
        Power::MasterKey if route.needs.right.is_some() => vec![with(MASTER_KEY), with(SESSION)],
        Power::VirtualKey => vec![with(VIRTUAL_KEY), with(VIRTUAL_KEY_HEADER)],
        Power::MasterKey => vec![with(MASTER_KEY)],
        Power::Nobody => Vec::new(),
    }
}

fn components(shapes: Shapes) -> Components {
    let mut components = Components::new();
    components.schemas = shapes.into_all().into_iter().collect();
    for (name, header) in answers::headers() {
        components.headers.insert(name.to_owned(), header.into());
    }
    let bearer = |format: &str, about: &str| {
        let http = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format(format);
        SecurityScheme::Http(http.description(Some(about)).build())
    };
    let manages = "The master key. It manages, makes no call, and does not work from a browser.";
    let calls = "A virtual key. It makes calls and manages nothing.";
    components.add_security_scheme(MASTER_KEY, bearer("mk-nemo-1…", manages));
    components.add_security_scheme(VIRTUAL_KEY, bearer("sk-nemo-1…", calls));
    let person = "The session of a person who is logged in, whose role includes the route. Writes come from a page \
                  of the gateway and repeat the session's secret in `x-nemo-csrf`.";
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(SESSION_COOKIE, person));
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(cookie));
    let header = ApiKey::Header(ApiKeyValue::with_description("x-api-key", calls));
    components.add_security_scheme(VIRTUAL_KEY_HEADER, SecurityScheme::ApiKey(header));
    components
}

const fn method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Post => HttpMethod::Post,
        Method::Put => HttpMethod::Put,
        Method::Patch => HttpMethod::Patch,
        Method::Delete => HttpMethod::Delete,
    }
}
