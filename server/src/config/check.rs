//! What the types cannot say: ranges, and keys that only make sense together.

use std::collections::BTreeMap;

use reqwest::Url;
use tracing_subscriber::EnvFilter;

use super::error::{ConfigError, Problem};
use super::settings::Settings;

/// Bytes that a secret must have to resist guessing from captured tokens (RFC 7518 section 3.2: as long as the hash).
const MIN_SECRET_BYTES: usize = 32;
/// More threads than any machine has cores.
const MAX_SHARDS: u16 = 1024;
/// Least bytes of a signalling message: a session description with many sections.
const MIN_SIGNAL_MESSAGE_BYTES: usize = 64 * 1024;
/// Most bytes of one message or body: it is held in memory before it is read.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// A day. Rooms that nobody is in are not kept longer.
const MAX_TIMEOUT_S: u32 = 24 * 60 * 60;

/// Checks `settings`; `dev` demands loopback.
///
/// # Errors
/// All problems at once, so that one look is enough.
pub(super) fn check(
    settings: &Settings,
    dev: bool,
    origins: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    let mut check = Check {
        origins,
        problems: Vec::new(),
    };
    check.http(settings);
    check.keys(settings, dev);
    check.rtc(settings);
    check.region(settings);
    check.fleet(settings);
    check.log(settings);
    check.limits(settings);
    check.room(settings);
    check.webhook(settings);
    check.pages(settings);
    if dev {
        check.loopback(settings);
    }
    if check.problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigError::Problems(check.problems))
    }
}

struct Check<'a> {
    origins: &'a BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn refuse(&mut self, key: &str, advice: impl Into<String>) {
        let origin = self
            .origins
            .get(key)
            .map_or("configuration", String::as_str)
            .to_owned();
        self.problems.push(Problem {
            origin,
            key: key.to_owned(),
            advice: advice.into(),
        });
    }

    fn range<T: PartialOrd + std::fmt::Display>(&mut self, key: &str, value: T, least: T, most: T) {
        if value < least || value > most {
            self.refuse(
                key,
                format!("{value} is out of range: choose {least} to {most}"),
            );
        }
    }

    fn http(&mut self, settings: &Settings) {
        if let Some(url) = &settings.http.public_url {
            let good = Url::parse(url).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.query().is_none()
                    && url.fragment().is_none()
            });
            if !good {
                self.refuse(
                    "http.public_url",
                    "write it as https://name or https://name:port",
                );
            }
        }
    }

    fn keys(&mut self, settings: &Settings, dev: bool) {
        if settings.keys.is_empty() {
            let advice = "no API key: set `keys` to {\"NAME\": \"SECRET\"} or `keys_file`, or try `serve --dev`";
            self.refuse("keys", advice);
        }
        for (name, secret) in &settings.keys {
            let short = secret.expose().len() < MIN_SECRET_BYTES;
            if short && !dev {
                let advice = format!(
                    "the secret is shorter than {MIN_SECRET_BYTES} bytes: make one with `openssl rand -base64 36`"
                );
                self.refuse(&format!("keys.{name}"), advice);
            }
        }
    }

    fn rtc(&mut self, settings: &Settings) {
        let rtc = &settings.rtc;
        self.range("rtc.udp_port", rtc.udp_port, 1, u16::MAX);
        self.range("rtc.shards", rtc.shards, 0, MAX_SHARDS);
        if rtc
            .udp_port
            .checked_add(rtc.shard_count().saturating_sub(1))
            .is_none()
        {
            self.refuse(
                "rtc.udp_port",
                "each shard takes one more port: choose a lower port or fewer rtc.shards",
            );
        }
        if rtc
            .advertise
            .iter()
            .any(|address| address.is_unspecified() || address.is_multicast())
        {
            self.refuse(
                "rtc.advertise",
                "name addresses that clients can send to, or leave it empty",
            );
        }
        if rtc.bind.is_multicast() {
            self.refuse(
                "rtc.bind",
                "name an address of this machine, or 0.0.0.0 for all",
            );
        }
        let http = settings.http.bind.port();
        if rtc.tcp_port != 0 && rtc.tcp_port == http {
            self.refuse(
                "rtc.tcp_port",
                "is the port of http.bind too: choose another",
            );
        }
        let metrics = settings.metrics.bind.port();
        if metrics != 0 && (metrics == http || metrics == rtc.tcp_port) {
            self.refuse(
                "metrics.bind",
                "uses the port of http.bind or rtc.tcp_port: choose another",
            );
        }
    }

    fn region(&mut self, settings: &Settings) {
        let region = &settings.region;
        if let Some(latitude) = region.latitude {
            self.range("region.latitude", latitude, -90.0, 90.0);
        }
        if let Some(longitude) = region.longitude {
            self.range("region.longitude", longitude, -180.0, 180.0);
        }
        if region.latitude.is_some() != region.longitude.is_some() {
            self.refuse(
                "region.latitude",
                "set both latitude and longitude, or none",
            );
        }
    }

    fn fleet(&mut self, settings: &Settings) {
        let (fleet, relay) = (&settings.fleet, &settings.relay);
        let good = |url: &String| {
            Url::parse(url).is_ok_and(|url| {
                matches!(url.scheme(), "nats" | "tls" | "ws" | "wss") && url.has_host()
            })
        };
        if !fleet.nats.iter().all(good) {
            self.refuse(
                "fleet.nats",
                "write each as nats://name:4222 or tls://name:4222",
            );
        }
        if fleet.nats.is_empty() {
            return;
        }
        for (key, file) in [
            ("relay.certificate_file", &relay.certificate_file),
            ("relay.key_file", &relay.key_file),
            ("relay.ca_file", &relay.ca_file),
        ] {
            if file.is_none() {
                self.refuse(
                    key,
                    "nodes of a fleet prove to each other who they are: name the PEM file (`tradewind relay-ca` makes some for tests)",
                );
            }
        }
        if !self.origins.contains_key("node.id") {
            self.refuse(
                "node.id",
                "nodes of a fleet need names that last: choose one and put it into the certificate",
            );
        }
        if settings.region.name.is_empty() {
            self.refuse(
                "region.name",
                "nodes of a fleet say where they are: name the region",
            );
        }
    }

    fn log(&mut self, settings: &Settings) {
        if let Err(error) = EnvFilter::builder().parse(&settings.log.level) {
            self.refuse(
                "log.level",
                format!("{error}: write error, warn, info, debug or trace"),
            );
        }
    }

    fn limits(&mut self, settings: &Settings) {
        let limits = &settings.limits;
        self.range("limits.participants", limits.participants, 1, 1_000_000);
        self.range(
            "limits.tracks_per_participant",
            limits.tracks_per_participant,
            1,
            1_000,
        );
        self.range(
            "limits.metadata_bytes",
            limits.metadata_bytes,
            0,
            MAX_MESSAGE_BYTES,
        );
        self.range(
            "limits.attributes_bytes",
            limits.attributes_bytes,
            0,
            MAX_MESSAGE_BYTES,
        );
        let signal = limits.signal_message_bytes;
        self.range(
            "limits.signal_message_bytes",
            signal,
            MIN_SIGNAL_MESSAGE_BYTES,
            MAX_MESSAGE_BYTES,
        );
        self.range(
            "limits.api_body_bytes",
            limits.api_body_bytes,
            1024,
            MAX_MESSAGE_BYTES,
        );
        self.range(
            "limits.http_connections",
            limits.http_connections,
            1,
            1_000_000,
        );
        self.range("limits.waiting_calls", limits.waiting_calls, 1, 100_000);
    }

    fn room(&mut self, settings: &Settings) {
        let room = &settings.room;
        self.range(
            "room.empty_timeout_s",
            room.empty_timeout_s,
            1,
            MAX_TIMEOUT_S,
        );
        self.range(
            "room.departure_timeout_s",
            room.departure_timeout_s,
            0,
            MAX_TIMEOUT_S,
        );
    }

    fn webhook(&mut self, settings: &Settings) {
        let webhook = &settings.webhook;
        for url in &webhook.urls {
            if !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
                self.refuse(
                    "webhook.urls",
                    format!("\"{url}\" is not an http or https address"),
                );
            }
        }
        if webhook.urls.is_empty() {
            return;
        }
        if webhook.api_key.is_empty() && settings.keys.len() > 1 {
            self.refuse(
                "webhook.api_key",
                "there are several keys: name the one that signs",
            );
        }
        if !webhook.api_key.is_empty() && !settings.keys.contains_key(&webhook.api_key) {
            self.refuse("webhook.api_key", "is none of `keys`");
        }
    }

    fn pages(&mut self, settings: &Settings) {
        if settings.pages.enabled && settings.pages.desk_key.is_empty() && !settings.is_local() {
            let advice = "the pages are reachable from outside: set what agents must enter to see and answer calls";
            self.refuse("pages.desk_key", advice);
        }
    }

    fn loopback(&mut self, settings: &Settings) {
        let advice = "--dev uses a key everybody knows and stays on loopback: leave --dev out to serve others";
        if !settings.http.bind.ip().is_loopback() {
            self.refuse("http.bind", advice);
        }
        if !settings.metrics.bind.ip().is_loopback() {
            self.refuse("metrics.bind", advice);
        }
        if !settings.rtc.bind.is_loopback() {
            self.refuse("rtc.bind", advice);
        }
        if !settings
            .rtc
            .advertise
            .iter()
            .all(std::net::IpAddr::is_loopback)
        {
            self.refuse("rtc.advertise", advice);
        }
    }
}
