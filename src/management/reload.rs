//! Reading the configuration again.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::asked::{Asked, Reply};
use super::input::{Body, Nothing};
use crate::error::Failure;
use crate::reload::reload;

/// Reads the configuration again. That is not left half done if the client hangs up.
pub(super) async fn run(asked: Asked, Body(Nothing {}): Body<Nothing>) -> Reply {
    let app = asked.app().clone().into_inner();
    let done = asked.to_the_end(async move { reload(&app).await }).await?;
    let done = done.map_err(|why| {
        let text = format!("The configuration cannot be used, so nothing changed: {}.", why.whole());
        asked.refused(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "configuration_invalid", text))
    })?;
    Ok(HttpResponse::Ok().json(done))
}
