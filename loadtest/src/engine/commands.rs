//! What others ask of the media thread.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, mpsc};

use livekit_protocol as proto;
use mio::Waker;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::view::{Verification, View, Window};
use crate::bot::Spec;

pub(crate) enum Command {
    /// A new bot; numbers count up from 0. It answers with its first offer.
    Add {
        number: u32,
        spec: Box<Spec>,
        /// Local address to send from.
        ip: IpAddr,
        requests: UnboundedSender<Request>,
        offer: oneshot::Sender<Result<proto::SessionDescription, String>>,
    },
    /// From the server to a bot.
    Response(u32, Box<Response>),
    /// The bot leaves.
    Remove(u32),
    /// Frames a second, as a multiple of what the load says.
    Rate(f64),
    /// No more frames or messages.
    Stop,
    BeginWindow,
    EndWindow(oneshot::Sender<Window>),
    Look(oneshot::Sender<View>),
    Verify(oneshot::Sender<Verification>),
    Quit,
}

/// Reaches the media thread.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) waker: Arc<Waker>,
}

impl Handle {
    /// # Errors
    /// The thread has ended.
    pub(crate) fn send(&self, command: Command) -> io::Result<()> {
        self.commands
            .send(command)
            .map_err(|_| io::Error::other("the media thread has ended"))?;
        self.waker.wake()
    }

    /// Sends a question and waits for its answer.
    ///
    /// # Errors
    /// The thread has ended.
    pub(crate) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> io::Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(question(reply))?;
        answer
            .await
            .map_err(|_| io::Error::other("the media thread has ended"))
    }
}
