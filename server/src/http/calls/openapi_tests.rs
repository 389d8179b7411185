use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{described, described_for_pages};
use super::*;
use crate::calls::event;

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.clone(), path.clone(), operation));
        }
    }
    operations
}

fn schema<'a>(document: &'a Value, name: &str) -> &'a Value {
    &document["components"]["schemas"][name]
}

fn texts(list: &Value) -> BTreeSet<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// What is wrong with `value` by `schema`, if anything: types, names and choices, which is what the document uses.
fn fault(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return fault(document, self::schema(document, name), value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let faults = choices
            .iter()
            .map(|choice| fault(document, choice, value, at));
        return faults.min_by_key(Option::is_some).flatten();
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        many => texts(many).into_iter().collect(),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_number = is == "integer" && types.contains(&"number");
    if !types.contains(&is) && !is_number {
        return Some(format!("{at} is {is}, not {types:?}"));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        return Some(format!("{at} is {value}, none of {choices:?}"));
    }
    if let Some(items) = value.as_array() {
        return items
            .iter()
            .find_map(|item| fault(document, &schema["items"], item, at));
    }
    let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    else {
        return None;
    };
    let missing = texts(&schema["required"])
        .into_iter()
        .find(|name| !fields.contains_key(*name));
    if let Some(missing) = missing {
        return Some(format!("{at}.{missing} is missing"));
    }
    fields
        .iter()
        .find_map(|(name, value)| match properties.get(name) {
            Some(property) => fault(document, property, value, &format!("{at}.{name}")),
            None => Some(format!("{at}.{name} is not described")),
        })
}

#[test]
fn the_document_describes_every_route_and_no_other() {
    let document = document();
    let written: BTreeSet<(String, String)> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    let served: BTreeSet<(String, String)> = described()
        .into_iter()
        .chain(described_for_pages())
        .map(|(method, path, _)| (method.to_owned(), path.to_owned()))
        .collect();
    assert_eq!(written, served);
}

#[test]
fn operations_are_named_once_and_references_lead_somewhere() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let names: Vec<&str> = operations(&document)
        .into_iter()
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    let references = DOCUMENT.split("\"$ref\": \"#/components/schemas/").skip(1);
    for reference in references {
        let name = reference.split('"').next().unwrap();
        assert!(schema(&document, name).is_object(), "{name}");
    }
}

#[test]
fn every_problem_and_event_is_described() {
    let document = document();
    let types = texts(&schema(&document, "Problem")["properties"]["type"]["examples"]);
    let kinds: BTreeSet<String> = Kind::ALL.into_iter().map(Kind::address).collect();
    assert_eq!(types, kinds.iter().map(String::as_str).collect());
    let events = texts(&schema(&document, "Event")["properties"]["event"]["enum"]);
    assert_eq!(
        events,
        event::Kind::ALL
            .into_iter()
            .map(event::Kind::name)
            .collect()
    );
}

mod answers {
    use serde_json::json;
    use tradewind_signalling::token::{Claims, Keys, VideoGrant, sign};

    use super::*;
    use crate::calls::samples::fixed;
    use crate::clock::{unix_ms, unix_s};
    use crate::http::tests::{LOCAL, SECRET, routes_and_calls, send};

    #[tokio::test]
    async fn are_as_described() {
        let flags = [&LOCAL[..], &["node.id=tokyo"]].concat();
        let (routes, calls) = routes_and_calls(&flags, Some(fixed(unix_ms()))).await;
        let keys = Keys::from_iter([("APIkey".to_owned(), SECRET.to_owned())]);
        let claims = Claims {
            grants: VideoGrant {
                room_create: true,
                room_list: true,
                ..VideoGrant::default()
            },
            ..Claims::default()
        };
        let bearer = format!("Bearer {}", sign(&keys, &claims, unix_s(), 60).unwrap());
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let document = document();
        let check = async |method: &str, described: &str, path: &str, body: &Value| {
            let request = format!("{} {path}", method.to_uppercase());
            let answer = send(&routes, &request, &headers, &body.to_string()).await;
            let responses = &document["paths"][described][method]["responses"];
            let response = &responses[answer.status.to_string()];
            assert!(
                response.is_object(),
                "{request}: {} is not described",
                answer.status
            );
            let kind = answer.header("content-type").to_owned();
            if !answer.body.is_empty() {
                let schema = &response["content"][&kind]["schema"];
                assert_eq!(fault(&document, schema, &answer.json(), &request), None);
                return answer.json();
            }
            Value::Null
        };
        let body = json!({"parties": [{"role": "shopper", "identity": "yuki", "region": "asia"}, {"role": "agent"}]});
        let created = check("post", "/v1/calls", "/v1/calls", &body).await;
        let id = created["call"]["id"].as_str().unwrap().to_owned();
        calls.switchboard.measured(&id, "yuki", 9.0);
        let guest = json!({"role": "guest"});
        let by_id = |rest: &str| format!("/v1/calls/{id}{rest}");
        check("post", "/v1/calls/{id}/parties", &by_id("/parties"), &guest).await;
        check(
            "get",
            "/v1/calls/{id}/placement",
            &by_id("/placement"),
            &Value::Null,
        )
        .await;
        check("get", "/v1/calls", "/v1/calls", &Value::Null).await;
        check(
            "get",
            "/v1/operator/overview",
            "/v1/operator/overview",
            &Value::Null,
        )
        .await;
        check("delete", "/v1/calls/{id}", &by_id(""), &Value::Null).await;
        check("get", "/v1/calls/{id}", &by_id(""), &Value::Null).await;
        check("get", "/v1/calls/{id}", "/v1/calls/CL_none", &Value::Null).await;
        check("post", "/v1/calls", "/v1/calls", &json!({"parties": []})).await;
        check("get", "/v1/edges", "/v1/edges", &Value::Null).await;
        check("get", "/v1/probe", "/v1/probe", &Value::Null).await;
        check(
            "post",
            "/v1/shopper/calls",
            "/v1/shopper/calls",
            &json!({"name": "Yuki"}),
        )
        .await;
        check("get", "/v1/desk/calls", "/v1/desk/calls", &Value::Null).await;
        let problem = "/v1/problems/no-capacity";
        check("get", "/v1/problems/{type}", problem, &Value::Null).await;
        check(
            "get",
            "/v1/problems/{type}",
            "/v1/problems/none",
            &Value::Null,
        )
        .await;
        check("get", "/v1/openapi.json", "/v1/openapi.json", &Value::Null).await;
    }

    #[test]
    fn the_check_sees_what_is_wrong() {
        let document = document();
        let edge = schema(&document, "Edge");
        let good = json!({"node": "a", "region": "", "residency": [], "url": "", "probe_url": ""});
        assert_eq!(fault(&document, edge, &good, "edge"), None);
        for (field, value) in [
            ("node", json!(1)),
            ("colour", json!("red")),
            ("residency", json!([1])),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            assert!(fault(&document, edge, &bad, "edge").is_some(), "{field}");
        }
    }
}
