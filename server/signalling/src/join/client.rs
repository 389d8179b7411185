//! How clients name themselves.

use tradewind_rtc::Client;

use crate::convert::proto::ClientInfo;
use crate::convert::proto::client_info::{Capability, Sdk};

/// Characters of any one thing a client says of itself; more is cut off, as it is only shown.
const MAX_CHARS: usize = 64;
/// Capabilities of one client; the protocol knows two.
const MAX_CAPABILITIES: usize = 32;

/// Reads what the client says of itself; the second part is the browser's version.
pub(super) fn client_from(info: ClientInfo) -> (Client, String) {
    let sdk = name(info.sdk());
    let mut capabilities = info.capabilities;
    capabilities.truncate(MAX_CAPABILITIES);
    let client = Client {
        sdk: sdk.to_owned(),
        version: short(&info.version),
        protocol: info.protocol.max(0),
        client_protocol: info.client_protocol.max(0),
        capabilities,
        browser: short(&info.browser).to_lowercase(),
        os: short(&info.os),
    };
    (client, short(&info.browser_version))
}

/// The SDK's lower-case name, as it stands in the query of older clients.
fn name(sdk: Sdk) -> &'static str {
    match sdk {
        Sdk::Unknown => "unknown",
        Sdk::Js => "js",
        Sdk::Swift => "swift",
        Sdk::Android => "android",
        Sdk::Flutter => "flutter",
        Sdk::Go => "go",
        Sdk::Unity => "unity",
        Sdk::ReactNative => "reactnative",
        Sdk::Rust => "rust",
        Sdk::Python => "python",
        Sdk::Cpp => "cpp",
        Sdk::UnityWeb => "unityweb",
        Sdk::Node => "node",
        Sdk::Unreal => "unreal",
        Sdk::Esp32 => "esp32",
        Sdk::Dotnet => "dotnet",
    }
}

/// The SDK a query names.
pub(super) fn sdk_named(text: &str) -> Sdk {
    match text.to_ascii_lowercase().as_str() {
        "js" => Sdk::Js,
        "ios" | "swift" => Sdk::Swift,
        "android" => Sdk::Android,
        "flutter" => Sdk::Flutter,
        "go" => Sdk::Go,
        "unity" => Sdk::Unity,
        "reactnative" => Sdk::ReactNative,
        "rust" => Sdk::Rust,
        "python" => Sdk::Python,
        "cpp" => Sdk::Cpp,
        "unityweb" => Sdk::UnityWeb,
        "node" => Sdk::Node,
        "unreal" => Sdk::Unreal,
        "esp32" => Sdk::Esp32,
        "dotnet" => Sdk::Dotnet,
        _ => Sdk::Unknown,
    }
}

/// Codes of a comma-separated list of capabilities, by name or number; unknown names are left out.
pub(super) fn capabilities_named(list: &str) -> Vec<i32> {
    let code = |name: &str| {
        let name = name.trim();
        let named = Capability::from_str_name(&name.to_ascii_uppercase()).map(i32::from);
        named.or_else(|| name.parse().ok())
    };
    list.split(',')
        .filter_map(code)
        .take(MAX_CAPABILITIES)
        .collect()
}

fn short(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}
