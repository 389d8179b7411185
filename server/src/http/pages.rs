//! Landing page, shopper page, agent desk and operator console, embedded in the binary.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use reqwest::Url;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::problem::Problem;
use crate::calls::Planner;
use crate::config::Settings;

/// What `npm run build` made of `server/web`. A build without it serves [`NOT_BUILT`].
#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Dist;

const NOT_BUILT: &str = "Tradewind runs. Its pages are not part of this build: \
    run `npm ci && npm run build` in server/web, then build the server again.\n";

/// Names of assets contain a hash of their content, so they never change.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Asked again each time, answered 304 while unchanged.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// The pages, or without them the `OK` that SDKs look for at `/`.
pub(super) fn routes(settings: &Settings, planner: Arc<Planner>) -> Router {
    if !settings.pages.enabled {
        return Router::new().route("/", get(|| async { "OK" }));
    }
    let public_url = settings.http.public_url.clone();
    let page = |name: &'static str| {
        let (planner, public_url) = (planner.clone(), public_url.clone());
        get(move |headers: HeaderMap| async move {
            let fleet = planner.view();
            let policy = content_security_policy(fleet.urls().chain(public_url.as_deref()));
            html(name, &headers, policy)
        })
    };
    Router::new()
        .route("/", page("index.html"))
        .route("/call", page("call.html"))
        .route("/desk", page("desk.html"))
        .route("/operator", page("operator.html"))
        .route("/assets/{*path}", get(asset))
}

fn html(name: &str, request: &HeaderMap, policy: HeaderValue) -> Response {
    let Some(file) = Dist::get(name) else {
        return NOT_BUILT.into_response();
    };
    let tag = entity_tag(&file);
    let unchanged = request
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known == tag);
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        contents(file)
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, REVALIDATE);
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        "permissions-policy",
        HeaderValue::from_static(
            "camera=(self), microphone=(self), display-capture=(self), geolocation=(), usb=()",
        ),
    );
    response
}

async fn asset(Path(path): Path<String>) -> Response {
    let Some(file) = Dist::get(&format!("assets/{path}")) else {
        return Problem::new(StatusCode::NOT_FOUND, "there is no such file").into_response();
    };
    let mut response = contents(file);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, FOREVER);
    response
}

fn contents(file: EmbeddedFile) -> Response {
    let kind = HeaderValue::from_str(file.metadata.mimetype())
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let mut response = file.data.into_owned().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn entity_tag(file: &EmbeddedFile) -> HeaderValue {
    // Half of the hash tells builds apart as well as the whole.
    let hash = file.metadata.sha256_hash();
    let hex: String = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    HeaderValue::from_str(&format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The pages load nothing from elsewhere; they connect to this server and to the nodes of its fleet.
fn content_security_policy<'a>(urls: impl Iterator<Item = &'a str>) -> HeaderValue {
    let origins: BTreeSet<String> = urls
        .filter_map(|url| Url::parse(url).ok())
        .map(|url| {
            let web = url.origin().ascii_serialization();
            let socket = web.replacen("http", "ws", 1);
            format!(" {web} {socket}")
        })
        .collect();
    let elsewhere: String = origins.into_iter().collect();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' blob:; \
         media-src 'self' blob:; connect-src 'self'{elsewhere}; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}
