//! Which browser a web client runs in: its SDK leaves that to the `User-Agent` header (RFC 9110 section 10.1.5).

use tradewind_rtc::Client;

use super::{Connect, ConnectRequest};

/// Bytes of the header that are looked at; browsers send fewer than 200.
const MAX_BYTES: usize = 512;

impl Connect {
    /// Fills in what the client did not say of its browser, and what follows from it.
    #[must_use]
    pub fn recognise_browser(mut self, user_agent: &str) -> Self {
        let settings = &mut self.settings;
        if settings.client.sdk != "js" || !settings.client.browser.is_empty() {
            return self;
        }
        let header = user_agent.get(..MAX_BYTES).unwrap_or(user_agent);
        let Some((browser, version)) = browser(header) else {
            return self;
        };
        settings.client.browser = browser.to_owned();
        settings.browser_version = version.to_owned();
        if settings.client.os.is_empty() {
            settings.client.os = system(header).to_owned();
        }
        if let ConnectRequest::Join(join) = &mut self.request {
            join.full_ice |= needs_full_ice(&settings.client);
            join.client = settings.client.clone();
        }
        self
    }
}

/// Firefox does not connect to an ICE-lite peer reliably.
pub(super) fn needs_full_ice(client: &Client) -> bool {
    client.browser == "firefox"
}

/// Name and version. The order matters: every browser also claims to be those before it in history.
fn browser(header: &str) -> Option<(&'static str, &str)> {
    const MARKS: [(&str, &str); 5] = [
        ("Firefox/", "firefox"),
        ("Edg/", "chrome"),
        ("Chrome/", "chrome"),
        // On iOS every browser is Safari inside.
        ("CriOS/", "safari"),
        ("FxiOS/", "safari"),
    ];
    let found = MARKS
        .iter()
        .find_map(|(mark, name)| Some((*name, version_after(header, mark)?)));
    found.or_else(|| {
        let safari = header.contains("Safari/");
        safari.then(|| version_after(header, "Version/").map(|version| ("safari", version)))?
    })
}

fn version_after<'a>(header: &'a str, mark: &str) -> Option<&'a str> {
    let rest = header.split_once(mark)?.1;
    let end = rest
        .find(|character: char| !(character.is_ascii_digit() || character == '.'))
        .unwrap_or(rest.len());
    rest.get(..end)
}

fn system(header: &str) -> &'static str {
    const MARKS: [(&str, &str); 6] = [
        ("Android", "android"),
        ("iPhone", "ios"),
        ("iPad", "ios"),
        ("Mac OS X", "mac os"),
        ("Windows", "windows"),
        ("Linux", "linux"),
    ];
    MARKS
        .iter()
        .find(|(mark, _)| header.contains(mark))
        .map_or("", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_apart_by_what_they_send() {
        let cases = [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "firefox",
                "140.0",
                "linux",
            ),
            (
                "Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0",
                "firefox",
                "140.0",
                "android",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36 Edg/150.0.1.2",
                "chrome",
                "150.0.1.2",
                "windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15",
                "safari",
                "18.3",
                "mac os",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/140.0 Mobile/15E148 Safari/605.1.15",
                "safari",
                "140.0",
                "ios",
            ),
        ];
        for (header, name, version, os) in cases {
            assert_eq!(browser(header), Some((name, version)), "{header}");
            assert_eq!(system(header), os, "{header}");
        }
        assert_eq!(browser("curl/8.0"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(header in ".{0,700}") {
            let _ = (browser(&header), system(&header));
        }
    }
}
