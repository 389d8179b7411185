use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

/// A secret long enough to be accepted.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A directory of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path =
            std::env::temp_dir().join(format!("tradewind-config-{}", crate::random::text(12)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn with_file(text: &str) -> Result<Loaded, ConfigError> {
    let scratch = Scratch::new();
    let file = scratch.write("tradewind.yaml", text, 0o600);
    load(&Sources {
        file: Some(file),
        ..Sources::default()
    })
}

fn with_key(flags: &[&str]) -> Sources {
    let mut flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(format!("keys.APIkey={SECRET}"));
    Sources {
        flags,
        ..Sources::default()
    }
}

fn message(result: Result<Loaded, ConfigError>) -> String {
    result
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn an_empty_file_and_a_key_give_the_defaults() {
    let loaded = with_file(&format!("keys: {{APIkey: {SECRET}}}\n")).unwrap();
    assert_eq!(loaded.settings.http, Http::default());
    assert_eq!(loaded.settings.limits, Limits::default());
    assert!(loaded.settings.node.id.starts_with("ND_"));
    assert_eq!(loaded.settings.keys["APIkey"].expose(), SECRET);
}

#[test]
fn dev_needs_no_configuration_and_stays_on_loopback() {
    let settings = load(&Sources {
        dev: true,
        ..Sources::default()
    })
    .unwrap()
    .settings;
    assert_eq!(settings.http.bind.to_string(), "127.0.0.1:7880");
    assert_eq!(settings.metrics.bind.to_string(), "127.0.0.1:9780");
    assert_eq!((settings.rtc.tcp_port, settings.rtc.udp_port), (7881, 7882));
    assert_eq!(
        settings.rtc.advertised().unwrap(),
        ["127.0.0.1".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(settings.keys["devkey"].expose(), "secret");
    assert!(settings.pages.enabled && settings.is_local());
}

#[test]
fn limits_per_address_are_lifted_where_all_clients_have_the_same_one() {
    let flags = [
        "http.bind=127.0.0.1:7880",
        "limits.calls_per_minute_per_ip=3",
    ];
    let loaded = load(&with_key(&flags)).unwrap();
    assert_eq!(loaded.settings.limits.joins_per_second_per_ip, 0);
    assert_eq!(loaded.settings.limits.calls_per_minute_per_ip, 3);
    assert_eq!(loaded.origins["limits.joins_per_second_per_ip"], "loopback");
}

#[test]
fn dev_refuses_an_address_others_can_reach() {
    let sources = Sources {
        dev: true,
        flags: vec!["http.bind=0.0.0.0:7880".to_owned()],
        ..Sources::default()
    };
    let text = message(load(&sources));
    assert!(text.contains("flag: http.bind: --dev"), "{text}");
}

#[test]
fn a_fleet_needs_names_and_certificates() {
    let text = message(with_file(&format!(
        "keys: {{APIkey: {SECRET}}}\nfleet:\n  nats: [\"127.0.0.1:4222\", nats://127.0.0.1]\n"
    )));
    for key in [
        "fleet.nats: write each",
        "relay.ca_file",
        "node.id",
        "region.name",
    ] {
        assert!(text.contains(key), "{key} is missing in {text}");
    }
    let loaded = with_file(&format!(
        "keys: {{APIkey: {SECRET}}}\nnode: {{id: tokyo-1}}\nregion: {{name: japan}}\n\
         fleet: {{nats: nats://127.0.0.1:4222}}\n\
         relay: {{certificate_file: a.pem, key_file: a.key, ca_file: ca.pem}}\n"
    ));
    let settings = loaded.unwrap().settings;
    assert_eq!(settings.fleet.nats, ["nats://127.0.0.1:4222"]);
    assert_eq!(settings.relay.bind.port(), 7990);
}

#[test]
fn a_misspelt_key_is_refused_with_the_likeliest_one() {
    let text = message(with_file("rtc:\n  udp_prot: 7882\n"));
    assert!(
        text.contains("tradewind.yaml: rtc.udp_prot: unknown key: did you mean `rtc.udp_port`?"),
        "{text}"
    );
}

#[test]
fn a_key_in_the_wrong_section_is_found_by_its_name() {
    let text = message(with_file("http:\n  tcp_port: 7881\n"));
    assert!(
        text.contains("http.tcp_port: unknown key: did you mean `rtc.tcp_port`?"),
        "{text}"
    );
}

#[test]
fn a_misspelt_section_is_refused_in_the_environment_too() {
    let environment = vec![variable("TRADEWIND__RTCC__UDP_PORT", "1")];
    let text = message(load(&Sources {
        environment,
        ..Sources::default()
    }));
    assert!(
        text.contains("environment: rtcc.udp_port: unknown key: did you mean `rtc.udp_port`?"),
        "{text}"
    );
}

#[test]
fn all_misspelt_keys_are_told_at_once() {
    let text = message(with_file("htp: {}\nroom:\n  auto_craete: true\n"));
    assert!(
        text.contains("htp") && text.contains("room.auto_create"),
        "{text}"
    );
}

#[test]
fn flags_beat_the_environment_and_the_environment_beats_the_file() {
    let scratch = Scratch::new();
    let file = scratch.write(
        "t.yaml",
        "rtc: {udp_port: 1000, tcp_port: 1001, shards: 2}\n",
        0o600,
    );
    let mut sources = with_key(&["rtc.shards=4"]);
    sources.file = Some(file);
    sources.environment = vec![
        variable("TRADEWIND__RTC__TCP_PORT", "2001"),
        variable("TRADEWIND__RTC__SHARDS", "3"),
    ];
    let loaded = load(&sources).unwrap();
    let rtc = loaded.settings.rtc;
    assert_eq!((rtc.udp_port, rtc.tcp_port, rtc.shards), (1000, 2001, 4));
    assert!(loaded.origins["rtc.udp_port"].ends_with("t.yaml"));
    assert_eq!(loaded.origins["rtc.tcp_port"], "environment");
    assert_eq!(loaded.origins["rtc.shards"], "flag");
}

#[test]
fn the_environment_carries_keys_with_their_case_and_lists() {
    let environment = vec![
        variable(&format!("TRADEWIND__KEYS__{}", "ApiX"), SECRET),
        variable("TRADEWIND__RTC__ADVERTISE", "192.0.2.7, 2001:db8::7"),
        variable("TRADEWIND__HTTP__TRUSTED_PROXIES", "10.0.0.0/8,192.0.2.1"),
        variable("UNRELATED__RTC__SHARDS", "9"),
    ];
    let settings = load(&Sources {
        environment,
        ..Sources::default()
    })
    .unwrap()
    .settings;
    assert_eq!(settings.keys["ApiX"].expose(), SECRET);
    assert_eq!(settings.rtc.advertise.len(), 2);
    assert_eq!(settings.http.trusted_proxies[1].to_string(), "192.0.2.1/32");
    assert_eq!(settings.rtc.shards, 0);
}

#[test]
fn a_value_of_the_wrong_type_names_source_and_key() {
    let environment = vec![variable("TRADEWIND__RTC__UDP_PORT", "many")];
    let mut sources = with_key(&[]);
    sources.environment = environment;
    let text = message(load(&sources));
    assert!(
        text.contains("environment") && text.contains("rtc.udp_port"),
        "{text}"
    );
    sources.environment = vec![variable("TRADEWIND__RTC__UDP_PORT", "70000")];
    let text = message(load(&sources));
    assert!(
        text.contains("environment") && text.contains("rtc.udp_port"),
        "{text}"
    );
}

#[test]
fn values_out_of_range_say_what_to_choose() {
    let text = message(load(&with_key(&[
        "rtc.udp_port=0",
        "region.latitude=91",
        "region.longitude=0",
    ])));
    assert!(
        text.contains("rtc.udp_port: 0 is out of range: choose 1 to 65535"),
        "{text}"
    );
    assert!(
        text.contains("region.latitude: 91 is out of range"),
        "{text}"
    );
}

#[test]
fn a_node_without_keys_or_with_a_short_secret_does_not_start() {
    assert!(message(load(&Sources::default())).contains("no API key"));
    let flags = vec!["keys.APIkey=hunter2".to_owned()];
    let text = message(load(&Sources {
        flags,
        ..Sources::default()
    }));
    assert!(
        text.contains("keys.APIkey: the secret is shorter"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_keys_file_that_others_can_read_is_refused() {
    let scratch = Scratch::new();
    let text = format!("# keys of the shop\nAPIone: {SECRET}\nAPItwo: \"{SECRET}\"\n");
    let open = scratch.write("open", &text, 0o644);
    let closed = scratch.write("closed", &text, 0o640);
    let with = |path: &Path| {
        load(&Sources {
            flags: vec![format!("keys_file={}", path.display())],
            ..Sources::default()
        })
    };
    assert!(message(with(&open)).contains("others can read the secrets"));
    let keys = with(&closed).unwrap().settings.keys;
    assert_eq!(
        (keys["APIone"].expose(), keys["APItwo"].expose()),
        (SECRET, SECRET)
    );
}

#[test]
fn a_bad_line_of_a_keys_file_is_named_by_number_not_by_content() {
    let scratch = Scratch::new();
    let path = scratch.write(
        "keys",
        "APIone: abc\nnot-a-pair-but-maybe-a-secret\n",
        0o600,
    );
    let text = message(load(&Sources {
        flags: vec![format!("keys_file={}", path.display())],
        ..Sources::default()
    }));
    assert!(
        text.contains("line 2") && !text.contains("maybe-a-secret"),
        "{text}"
    );
}

#[test]
fn pages_for_the_public_need_a_desk_key() {
    let text = message(load(&with_key(&["pages.enabled=true"])));
    assert!(text.contains("pages.desk_key"), "{text}");
    assert!(
        load(&with_key(&[
            "pages.enabled=true",
            "pages.desk_key=open sesame"
        ]))
        .is_ok()
    );
    assert!(
        load(&with_key(&[
            "pages.enabled=true",
            "http.bind=127.0.0.1:7880"
        ]))
        .is_ok()
    );
    let published = [
        "pages.enabled=true",
        "http.bind=127.0.0.1:7880",
        "http.public_url=https://calls.example.com",
    ];
    assert!(message(load(&with_key(&published))).contains("pages.desk_key"));
}

#[test]
fn secrets_are_redacted_wherever_settings_are_printed() {
    let loaded = load(&with_key(&["pages.desk_key=sesame-word"])).unwrap();
    for text in [
        print(&loaded),
        format!("{loaded:?}"),
        serde_json::to_string(&loaded.settings).unwrap(),
    ] {
        assert!(
            !text.contains(SECRET) && !text.contains("sesame-word"),
            "{text}"
        );
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated_in_the_message() {
    let environment = vec![variable("TRADEWIND__KEYS", "APIkey=hunter2")];
    let text = message(load(&Sources {
        environment,
        ..Sources::default()
    }));
    assert!(
        text.contains("environment: keys: ") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn the_printed_configuration_reads_back_and_names_origins() {
    let loaded = load(&with_key(&[
        "region.name=eu-west",
        "rtc.advertise=192.0.2.1",
    ]))
    .unwrap();
    let text = print(&loaded);
    assert!(text.contains("name: \"eu-west\"  # flag"), "{text}");
    assert!(text.contains("udp_port: 7882  # default"), "{text}");
    let again = with_file(&text.replace("(redacted)", SECRET)).unwrap();
    assert_eq!(again.settings, loaded.settings);
}

#[test]
fn a_file_that_is_not_yaml_is_named_with_the_line() {
    let text = message(with_file("http:\n  bind: [1\nrtc: }\n"));
    assert!(
        text.contains("is not YAML") && text.contains("line"),
        "{text}"
    );
}
