//! HTTP services of the node.

use std::sync::Arc;

use tradewind_signalling::token::Keys;

use crate::config::Settings;
use crate::node::Node;

/// What the routes share; cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) settings: Arc<Settings>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) node: Node,
}
