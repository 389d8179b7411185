//! What carries the fleet's state and messages: subjects with subscribers, and buckets of keys with revisions.

pub mod hub;
pub mod nats;

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::watch;

use crate::FleetError;

/// Bytes of one message or value.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// A message on a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    /// Where an answer is expected.
    pub reply: Option<String>,
    pub body: Vec<u8>,
}

/// A set of keys that live and expire alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// Letters, digits, `-` and `_`.
    pub name: &'static str,
    /// Keys nobody has written for so long are gone, without any notice.
    pub max_age: Duration,
}

/// A key's value and the revision to name when replacing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// `None` = deleted.
    pub body: Option<Vec<u8>>,
    /// 0 = never written.
    pub revision: u64,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    Key {
        key: String,
        value: Value,
    },
    /// Every key that existed when the watch began has been told.
    Listed,
}

/// Whether the backbone is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Down,
    /// The number tells one connection from the next, however short the cut between them was.
    Up(u64),
}

pub type Result<T> = std::result::Result<T, FleetError>;

/// Carries subjects and buckets. Every call ends within a bounded time.
pub trait Backbone: Send + Sync + 'static {
    /// Whether the backbone is there, and every change of it.
    fn connection(&self) -> watch::Receiver<Connection>;

    /// Sends to whoever is subscribed now.
    ///
    /// # Errors
    /// [`FleetError::Unavailable`], [`FleetError::TooLarge`].
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<()>>;

    /// Messages on the subjects that `filter` covers (`*` for one part, `>` for the rest), until the stream is dropped.
    ///
    /// # Errors
    /// [`FleetError::Unavailable`].
    fn subscribe(&self, filter: String) -> BoxFuture<'_, Result<BoxStream<'static, Message>>>;

    /// Sends and waits for one answer.
    ///
    /// # Errors
    /// [`FleetError::NoSuchNode`] when nobody is subscribed, [`FleetError::TimedOut`], [`FleetError::Unavailable`].
    fn request(
        &self,
        subject: String,
        body: Vec<u8>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<Vec<u8>>>;

    /// Reads a key; never written ones have revision 0.
    ///
    /// # Errors
    /// [`FleetError::Unavailable`].
    fn get(&self, bucket: Bucket, key: String) -> BoxFuture<'_, Result<Value>>;

    /// Writes a key (`None` = deletes it) if its revision still is `expected`, and returns the new one.
    ///
    /// # Errors
    /// [`FleetError::Conflict`] when it is not, [`FleetError::Unavailable`], [`FleetError::TooLarge`].
    fn write(
        &self,
        bucket: Bucket,
        key: String,
        body: Option<Vec<u8>>,
        expected: u64,
    ) -> BoxFuture<'_, Result<u64>>;

    /// All keys of a bucket, then [`Watched::Listed`], then every change, until the backbone goes away.
    ///
    /// # Errors
    /// [`FleetError::Unavailable`].
    fn watch(&self, bucket: Bucket) -> BoxFuture<'_, Result<BoxStream<'static, Watched>>>;
}

/// Whether `filter` covers `subject`.
fn covers(filter: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for part in filter.split('.') {
        match (part, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, Some(other)) if part == other => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

/// Refuses what the fleet does not carry.
fn check_size(body: &[u8]) -> Result<()> {
    if body.len() > MAX_MESSAGE {
        return Err(FleetError::TooLarge {
            bytes: body.len(),
            limit: MAX_MESSAGE,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn filters_cover_what_nats_filters_cover() {
        assert!(covers("a.*.c", "a.b.c"));
        assert!(covers("a.>", "a.b.c"));
        assert!(!covers("a.>", "a"));
        assert!(!covers("a.*", "a.b.c"));
        assert!(!covers("a.b.c", "a.b"));
    }
}
