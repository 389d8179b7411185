//! Lends the rate controller to QUIC.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;

use crate::congestion::{RateController, RateLimits};
use crate::id::BitsPerSecond;

/// Makes a controller for each connection.
pub(crate) struct Factory(pub(crate) RateLimits);

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, now: Instant, _mtu: u16) -> Box<dyn Controller> {
        let rate = RateController::new(now, self.0);
        let target = Arc::new(AtomicU64::new(rate.target().0));
        Box::new(QuicController {
            rate,
            target: Target(target),
        })
    }
}

/// The present target rate of a connection, read while QUIC changes it.
#[derive(Debug, Clone)]
pub(crate) struct Target(Arc<AtomicU64>);

impl Target {
    /// Of this connection; `None` when it runs another controller.
    pub(crate) fn of(connection: &quinn::Connection) -> Option<Self> {
        let controller = connection
            .congestion_state()
            .into_any()
            .downcast::<QuicController>()
            .ok()?;
        Some(controller.target)
    }

    pub(crate) fn get(&self) -> BitsPerSecond {
        BitsPerSecond(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Clone)]
struct QuicController {
    rate: RateController,
    target: Target,
}

impl QuicController {
    fn export(&self) {
        self.target.0.store(self.rate.target().0, Ordering::Relaxed);
    }
}

impl Controller for QuicController {
    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        _app_limited: bool,
        _rtt: &RttEstimator,
    ) {
        self.rate.on_ack(now, sent, bytes);
        self.export();
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        _sent: Instant,
        _persistent: bool,
        lost_bytes: u64,
    ) {
        self.rate.on_loss(now, lost_bytes);
        self.export();
    }

    fn on_mtu_update(&mut self, _mtu: u16) {}

    fn window(&self) -> u64 {
        self.rate.window()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.rate.window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
