//! Which nodes there are for clients to measure, and what they measure.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tradewind_placement::Health;

use super::grant::web_url;
use super::{CallsState, take};
use crate::http::client_address::ClientAddress;
use crate::http::problem::Problem;

/// The nodes that take calls now, with an address each at which a client can measure its round trip.
pub(super) async fn list(
    State(state): State<CallsState>,
    client: Option<Extension<ClientAddress>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    limit(&state, client)?;
    let view = state.calls.planner.view();
    let takes_calls = view
        .fleet()
        .nodes()
        .iter()
        .filter(|node| node.health == Health::Healthy && !node.draining)
        .filter(|_| state.app.settings.placement.client_probes);
    let edges: Result<Vec<Value>, Problem> = takes_calls
        .map(|node| {
            let url = web_url(&state.app.settings, &view, node.id.as_str(), &headers)?;
            let probe_url = view.probe_url(node.id.as_str()).map(str::to_owned);
            Ok(json!({
                "node": node.id,
                "region": node.region,
                "residency": node.residency,
                "url": url,
                "probe_url": probe_url.unwrap_or_else(|| format!("{url}/v1/probe")),
            }))
        })
        .collect();
    let body = json!({ "edges": edges? });
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// Nothing, as fast as can be.
pub(super) async fn probe(
    State(state): State<CallsState>,
    client: Option<Extension<ClientAddress>>,
) -> Result<Response, Problem> {
    limit(&state, client)?;
    // Pages of other origins see the times of a request only where they are allowed to.
    let headers = [
        (header::CACHE_CONTROL.as_str(), "no-store"),
        ("timing-allow-origin", "*"),
    ];
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

fn limit(state: &CallsState, client: Option<Extension<ClientAddress>>) -> Result<(), Problem> {
    let household = client.map(|Extension(client)| client.household());
    take(&state.calls.probes, household).map_err(|wait| {
        Problem::too_many("too many questions from your address: wait a little", wait)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use tradewind_fleet::{Fleet, Hub, NodeRecord, Version};

    use super::*;
    use crate::cluster::FleetNodes;
    use crate::http::tests::{get, routes_and_calls};

    fn member(hub: &Hub, name: &str) -> Fleet {
        let fleet = Fleet::over(hub.member(), "test", name.parse().unwrap(), 1);
        let mut record = NodeRecord::new(name.parse().unwrap(), Version::default(), 1);
        (record.ready, record.reason) = (true, None);
        record.addresses.client_urls = vec![format!("wss://{name}.example.com/")];
        record.addresses.http_probe =
            Some(format!("https://{name}.example.com/probe")).filter(|_| name == "paris");
        fleet.announce(record).unwrap();
        fleet
    }

    #[tokio::test]
    async fn edges_list_the_whole_fleet() {
        let hub = Hub::new();
        let tokyo = member(&hub, "tokyo");
        let _paris = member(&hub, "paris");
        let nodes = Arc::new(FleetNodes::new(tokyo));
        let (routes, _) = routes_and_calls(&["node.id=tokyo"], Some(nodes)).await;
        let until = Instant::now() + Duration::from_secs(20);
        let edges = loop {
            let edges = get(&routes, "/v1/edges").await.json()["edges"].clone();
            if edges.as_array().unwrap().len() == 2 {
                break edges;
            }
            assert!(Instant::now() < until, "{edges}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let text = |edge: &Value, key: &str| edge[key].as_str().unwrap().to_owned();
        let probes: BTreeMap<String, String> = edges
            .as_array()
            .unwrap()
            .iter()
            .map(|edge| (text(edge, "node"), text(edge, "probe_url")))
            .collect();
        assert_eq!(probes["paris"], "https://paris.example.com/probe");
        assert_eq!(probes["tokyo"], "https://tokyo.example.com/v1/probe");
    }
}
