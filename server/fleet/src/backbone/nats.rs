//! The backbone over NATS: core subjects for messages, JetStream for keys.
//!
//! Works with nats-server 2.9 and later: buckets are made as plain streams, because older servers leave out fields
//! that the client's own call for making buckets insists on, and no expiry is relied upon, because older servers let
//! keys vanish without telling watchers.

mod connect;
mod keys;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::client::{Client, RequestErrorKind};
use async_nats::jetstream::{self, kv};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::{Backbone, Bucket, Connection, Message, Result, Value, Watched, check_size};
use crate::FleetError;

pub use connect::NatsSettings;

/// How long one step with the server may take.
const STEP: Duration = Duration::from_secs(2);

/// A connection to NATS that comes back for ever.
pub struct Nats {
    client: Client,
    jetstream: jetstream::Context,
    connection: watch::Receiver<Connection>,
    /// Prefix of bucket names, and copies the servers keep of each.
    prefix: String,
    replicas: usize,
    /// Buckets that this connection has made sure of.
    stores: Mutex<BTreeMap<&'static str, kv::Store>>,
}

impl Nats {
    /// Starts connecting. Servers that are away are tried again for ever, in the background.
    ///
    /// # Errors
    /// [`FleetError::Settings`] for settings that can never work.
    pub async fn connect(settings: &NatsSettings) -> Result<Arc<Self>> {
        let (client, connection) = connect::start(settings).await?;
        let jetstream = jetstream::new(client.clone());
        Ok(Arc::new(Self {
            client,
            jetstream,
            connection,
            prefix: settings.prefix.replace('.', "_"),
            replicas: settings.replicas.max(1),
            stores: Mutex::new(BTreeMap::new()),
        }))
    }

    fn check(&self) -> Result<()> {
        if *self.connection.borrow() != Connection::Down {
            return Ok(());
        }
        Err(away("not connected to NATS"))
    }

    async fn publish_now(&self, message: Message) -> Result<()> {
        check_size(&message.body)?;
        self.check()?;
        let body = message.body.into();
        let sent = match message.reply {
            Some(reply) => {
                let sending = self.client.publish_with_reply(message.subject, reply, body);
                timeout(STEP, sending).await
            }
            None => timeout(STEP, self.client.publish(message.subject, body)).await,
        };
        sent.map_err(|_| away("NATS takes no message"))?
            .map_err(away)
    }

    async fn subscribe_now(&self, filter: String) -> Result<BoxStream<'static, Message>> {
        // A subscription made while NATS is away takes effect when it comes back, so nothing is checked here.
        let subscriber = timeout(STEP, self.client.subscribe(filter))
            .await
            .map_err(|_| away("NATS takes no subscription"))?
            .map_err(away)?;
        let messages = subscriber.map(|message| Message {
            subject: message.subject.to_string(),
            reply: message.reply.map(|reply| reply.to_string()),
            body: message.payload.to_vec(),
        });
        Ok(messages.boxed())
    }

    async fn request_now(
        &self,
        subject: String,
        body: Vec<u8>,
        patience: Duration,
    ) -> Result<Vec<u8>> {
        check_size(&body)?;
        self.check()?;
        let request = async_nats::Request::new()
            .payload(body.into())
            .timeout(Some(patience));
        let asking = self.client.send_request(subject.clone(), request);
        // The client's own time-out does not cover a full queue to a server that went away.
        match timeout(patience, asking).await {
            Err(_) => Err(FleetError::TimedOut(patience)),
            Ok(Ok(answer)) => Ok(answer.payload.to_vec()),
            Ok(Err(error)) => Err(match error.kind() {
                RequestErrorKind::TimedOut => FleetError::TimedOut(patience),
                RequestErrorKind::NoResponders => FleetError::NoSuchNode(subject),
                _ => away(error),
            }),
        }
    }
}

fn away(reason: impl ToString) -> FleetError {
    FleetError::Unavailable(reason.to_string())
}

impl Backbone for Nats {
    fn connection(&self) -> watch::Receiver<Connection> {
        self.connection.clone()
    }

    fn publish(&self, message: Message) -> BoxFuture<'_, Result<()>> {
        self.publish_now(message).boxed()
    }

    fn subscribe(&self, filter: String) -> BoxFuture<'_, Result<BoxStream<'static, Message>>> {
        self.subscribe_now(filter).boxed()
    }

    fn request(
        &self,
        subject: String,
        body: Vec<u8>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Vec<u8>>> {
        self.request_now(subject, body, timeout).boxed()
    }

    fn get(&self, bucket: Bucket, key: String) -> BoxFuture<'_, Result<Value>> {
        self.get_now(bucket, key).boxed()
    }

    fn write(
        &self,
        bucket: Bucket,
        key: String,
        body: Option<Vec<u8>>,
        expected: u64,
    ) -> BoxFuture<'_, Result<u64>> {
        self.write_now(bucket, key, body, expected).boxed()
    }

    fn watch(&self, bucket: Bucket) -> BoxFuture<'_, Result<BoxStream<'static, Watched>>> {
        self.watch_now(bucket).boxed()
    }
}
