//! The description of the interface, and of its problems.

use axum::Json;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http::problem::{Kind, Problem};

/// OpenAPI 3.1. The tests hold it against the routes and their answers.
const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, DOCUMENT).into_response()
}

/// What the `type` of a problem means.
pub(super) async fn problem(Path(name): Path<String>) -> Result<Response, Problem> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    let kind = kind.ok_or_else(|| {
        Problem::new(
            axum::http::StatusCode::NOT_FOUND,
            "there is no such problem: /v1/openapi.json lists them",
        )
    })?;
    Ok(Json(json!({
        "type": kind.address(),
        "title": kind.title(),
        "status": kind.status().as_u16(),
        "remedy": kind.remedy(),
    }))
    .into_response())
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
