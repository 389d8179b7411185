//! `tradewind why`: prints why a call is where it is.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::header::ACCEPT;
use reqwest::{Client, Url};
use serde_json::Value;
use tradewind_signalling::token::{self, Claims, Keys, VideoGrant};

use super::SourceArgs;
use crate::clock::unix_s;
use crate::config::Settings;

/// Seconds the token of the one request is good for.
const TOKEN_TTL_S: u64 = 60;
const SECRET_VARIABLE: &str = "TRADEWIND_API_SECRET";
/// Time for the whole request.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(super) struct WhyArgs {
    /// Id of the call: CL_...
    call: String,
    /// Where a node of the fleet serves HTTP; the node of the configuration if left out.
    #[arg(long)]
    url: Option<Url>,
    /// API key that signs the request; the first one of the configuration if left out. Its secret is taken from the
    /// environment variable `TRADEWIND_API_SECRET`, or else from the configuration.
    #[arg(long, default_value = "")]
    api_key: String,
    #[command(flatten)]
    sources_of_configuration: SourceArgs,
}

pub(super) fn run(args: WhyArgs) -> anyhow::Result<()> {
    // Not a flag: other users of the machine see those.
    let secret = std::env::var(SECRET_VARIABLE).ok();
    let secret = secret.filter(|_| !args.api_key.is_empty());
    let (url, keys) = match (args.url, secret) {
        // Nothing of the configuration is needed.
        (Some(url), Some(secret)) => (url, Keys::from_iter([(args.api_key.clone(), secret)])),
        (url, secret) => {
            let settings = args.sources_of_configuration.load()?.settings;
            let keys = match secret {
                Some(secret) => Keys::from_iter([(args.api_key.clone(), secret)]),
                None => settings.api_keys(),
            };
            (url.map_or_else(|| own_url(&settings), Ok)?, keys)
        }
    };
    let claims = Claims {
        api_key: args.api_key,
        grants: VideoGrant {
            room_list: true,
            ..VideoGrant::default()
        },
        ..Claims::default()
    };
    let token = token::sign(&keys, &claims, unix_s(), TOKEN_TTL_S)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    print!("{}", runtime.block_on(ask(&url, &args.call, &token))?);
    Ok(())
}

async fn ask(url: &Url, call: &str, token: &str) -> anyhow::Result<String> {
    let mut address = url.clone();
    address
        .path_segments_mut()
        .ok()
        .context("--url: write it as https://name or https://name:port")?
        .pop_if_empty()
        .extend(["v1", "calls", call, "placement"]);
    let client = Client::builder().timeout(TIMEOUT).no_proxy().build()?;
    let request = client
        .get(address)
        .bearer_auth(token)
        .header(ACCEPT, "text/plain");
    let answer = request
        .send()
        .await
        .with_context(|| format!("no answer from {url}: name a node with --url"))?;
    let status = answer.status();
    let body = answer.text().await?;
    if status.is_success() {
        return Ok(body);
    }
    let problem: Option<Value> = serde_json::from_str(&body).ok();
    let detail = problem
        .as_ref()
        .and_then(|problem| problem["detail"].as_str());
    bail!("{}", detail.unwrap_or(status.as_str()))
}

/// Where the node of this configuration is reached from this machine.
fn own_url(settings: &Settings) -> anyhow::Result<Url> {
    let bind = settings.http.bind;
    let host = if bind.ip().is_unspecified() {
        format!("localhost:{}", bind.port())
    } else {
        SocketAddr::to_string(&bind)
    };
    format!("http://{host}")
        .parse()
        .context("http.bind: name a node with --url")
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{StatusCode, header};
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;

    /// A node that knows the call `CL_a`.
    async fn node() -> Url {
        let known = [(header::CONTENT_TYPE, "text/plain")];
        let problem = r#"{"detail":"there is no such call"}"#;
        let routes = Router::new()
            .route(
                "/base/v1/calls/CL_a/placement",
                get(move || async move { (known, "Nodes: tokyo\n") }),
            )
            .fallback(move || async move { (StatusCode::NOT_FOUND, problem) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        url.parse().unwrap()
    }

    #[tokio::test]
    async fn the_text_is_printed_as_the_node_gives_it() {
        let url = node().await;
        assert_eq!(ask(&url, "CL_a", "token").await.unwrap(), "Nodes: tokyo\n");
    }

    #[tokio::test]
    async fn what_the_node_refuses_is_said_in_its_words() {
        let url = node().await;
        for call in ["CL_b", "../../secret", ""] {
            let refused = ask(&url, call, "token").await.unwrap_err().to_string();
            assert_eq!(refused, "there is no such call", "{call}");
        }
    }

    #[test]
    fn a_node_on_every_address_is_reached_on_this_machine() {
        let settings = Settings::default();
        assert_eq!(
            own_url(&settings).unwrap().as_str(),
            "http://localhost:7880/"
        );
    }
}
