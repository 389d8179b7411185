//! Buckets on JetStream.

use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::kv::{Operation, Store, UpdateErrorKind};
use async_nats::jetstream::{self, stream};
use async_nats::{HeaderMap, HeaderValue};
use futures_util::StreamExt;
use futures_util::stream::{self as streams, BoxStream};
use tokio::time::timeout;

use super::super::{Bucket, Result, Value, Watched, check_size};
use super::{Nats, STEP, away};
use crate::FleetError;

/// A listing that stands still for so long is over: what was still to come has been deleted meanwhile.
const LISTING_SILENCE: Duration = Duration::from_secs(1);
/// Header that marks a deletion, and its value, as every NATS client writes them.
const OPERATION: &str = "KV-Operation";
const DELETION: &str = "DEL";

impl Nats {
    pub(super) async fn get_now(&self, bucket: Bucket, key: String) -> Result<Value> {
        let store = self.store(bucket).await?;
        let read = timeout(STEP, store.entry(key)).await;
        let entry = match read {
            Ok(Ok(entry)) => entry,
            failed => {
                self.forget(bucket).await;
                let reason = failed.map(|read| read.err().map(|error| error.to_string()));
                let reason = reason.ok().flatten();
                return Err(away(
                    reason.unwrap_or("NATS does not answer a read".to_owned()),
                ));
            }
        };
        Ok(match entry {
            Some(entry) => Value {
                body: (entry.operation == Operation::Put).then(|| entry.value.to_vec()),
                revision: entry.revision,
            },
            None => Value {
                body: None,
                revision: 0,
            },
        })
    }

    pub(super) async fn write_now(
        &self,
        bucket: Bucket,
        key: String,
        body: Option<Vec<u8>>,
        expected: u64,
    ) -> Result<u64> {
        check_size(body.as_deref().unwrap_or_default())?;
        let store = self.store(bucket).await?;
        let written = match body {
            Some(body) => timeout(STEP, store.update(&key, body.into(), expected))
                .await
                .map_err(|_| away("NATS does not answer a write"))?
                .map_err(|error| match error.kind() {
                    UpdateErrorKind::WrongLastRevision => FleetError::Conflict(key),
                    _ => away(error),
                }),
            None => self.delete_now(&store, key, expected).await,
        };
        if matches!(written, Err(FleetError::Unavailable(_))) {
            self.forget(bucket).await;
        }
        written
    }

    /// The store's own deletion does not tell the new revision, which a later write needs.
    async fn delete_now(&self, store: &Store, key: String, expected: u64) -> Result<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, DELETION);
        headers.insert(
            NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
            HeaderValue::from(expected),
        );
        let prefix = store.put_prefix.as_ref().unwrap_or(&store.prefix);
        let subject = format!("{prefix}{key}");
        let publishing = async {
            self.jetstream
                .publish_with_headers(subject, headers, Vec::new().into())
                .await?
                .await
        };
        let written = timeout(STEP, publishing)
            .await
            .map_err(|_| away("NATS does not answer a deletion"))?;
        written
            .map(|ack| ack.sequence)
            .map_err(|error| match error.kind() {
                jetstream::context::PublishErrorKind::WrongLastSequence => {
                    FleetError::Conflict(key)
                }
                _ => away(error),
            })
    }

    pub(super) async fn watch_now(&self, bucket: Bucket) -> Result<BoxStream<'static, Watched>> {
        let store = self.store(bucket).await?;
        let filter = format!("{}>", store.prefix);
        let starting = async {
            let consumer = store
                .stream
                .create_consumer(OrderedConfig {
                    deliver_subject: self.client.new_inbox(),
                    filter_subject: filter,
                    replay_policy: ReplayPolicy::Instant,
                    deliver_policy: DeliverPolicy::LastPerSubject,
                    ..OrderedConfig::default()
                })
                .await
                .map_err(away)?;
            let pending = consumer.cached_info().num_pending;
            let messages = consumer.messages().await.map_err(away)?;
            Ok((pending, messages))
        };
        let started = timeout(STEP, starting)
            .await
            .unwrap_or_else(|_| Err(away("NATS does not start a watch")));
        let (pending, messages) = match started {
            Ok(started) => started,
            Err(error) => {
                self.forget(bucket).await;
                return Err(error);
            }
        };
        let listing = Listing {
            messages,
            prefix: store.prefix,
            pending: Some(pending),
        };
        Ok(streams::unfold(listing, |mut listing| async move {
            let next = listing.next().await?;
            Some((next, listing))
        })
        .boxed())
    }

    /// The bucket, made if it is not there.
    async fn store(&self, bucket: Bucket) -> Result<Store> {
        self.check()?;
        // One maker at a time: the others wait no longer than it may take.
        let mut stores = timeout(STEP * 2, self.stores.lock())
            .await
            .map_err(|_| away("NATS does not answer about buckets"))?;
        if let Some(store) = stores.get(bucket.name) {
            return Ok(store.clone());
        }
        let name = format!("{}_{}", self.prefix, bucket.name);
        let making = async {
            if let Ok(store) = self.jetstream.get_key_value(&name).await {
                return Ok(store);
            }
            // If another node makes it at the same time, this one fails and finds the other's.
            let made = self
                .jetstream
                .create_stream(self.stream_config(bucket, &name))
                .await;
            let found = self.jetstream.get_key_value(&name).await;
            found.map_err(|error| match made {
                Err(error) => away(format!("cannot make bucket {name}: {error}")),
                Ok(_) => away(error),
            })
        };
        let store = timeout(STEP, making)
            .await
            .map_err(|_| away("NATS does not make a bucket: is JetStream on?"))??;
        stores.insert(bucket.name, store.clone());
        Ok(store)
    }

    /// Makes sure of the bucket again next time: it may have gone with the server's disk.
    async fn forget(&self, bucket: Bucket) {
        self.stores.lock().await.remove(bucket.name);
    }

    fn stream_config(&self, bucket: Bucket, name: &str) -> stream::Config {
        stream::Config {
            name: format!("KV_{name}"),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 1,
            max_age: bucket.max_age,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            discard: stream::DiscardPolicy::New,
            num_replicas: self.replicas,
            ..stream::Config::default()
        }
    }
}

/// A watch that knows when everything that was there has been told.
struct Listing {
    messages: Ordered,
    prefix: String,
    /// Keys still to come before the listing is over; `None` = it is.
    pending: Option<u64>,
}

impl Listing {
    async fn next(&mut self) -> Option<Watched> {
        loop {
            if self.pending == Some(0) {
                self.pending = None;
                return Some(Watched::Listed);
            }
            let received = if self.pending.is_some() {
                match timeout(LISTING_SILENCE, self.messages.next()).await {
                    Ok(received) => received,
                    Err(_) => {
                        self.pending = Some(0);
                        continue;
                    }
                }
            } else {
                self.messages.next().await
            };
            let message = received?.ok()?;
            let info = message.info().ok()?;
            let revision = info.stream_sequence;
            if self.pending.is_some() {
                self.pending = Some(info.pending);
            }
            let Some(key) = message.subject.strip_prefix(self.prefix.as_str()) else {
                continue;
            };
            let removed = message
                .headers
                .as_ref()
                .is_some_and(|headers| headers.get(OPERATION).is_some());
            return Some(Watched::Key {
                key: key.to_owned(),
                value: Value {
                    body: (!removed).then(|| message.payload.to_vec()),
                    revision,
                },
            });
        }
    }
}
