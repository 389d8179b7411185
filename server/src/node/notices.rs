//! Keeps the node's maps in step with its shards, and passes room events on to those who follow them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::sync::mpsc;
use tradewind_rtc::RoomEvent;

use super::directory::Directory;
use crate::cluster::{Cluster, ClusterInput};
use crate::shard::Notice;
use crate::socket::tcp::Fragments;

/// Those who follow room events.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    queues: Mutex<Vec<mpsc::Sender<RoomEvent>>>,
    dropped: AtomicU64,
}

impl Followers {
    /// A queue that from now on receives every event.
    pub(crate) fn follow(&self, capacity: usize) -> mpsc::Receiver<RoomEvent> {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        self.queues().push(sender);
        receiver
    }

    /// Ends every queue once its reader has read the rest.
    pub(crate) fn close(&self) {
        self.queues().clear();
    }

    /// Events that a follower was too slow for.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn tell(&self, event: &RoomEvent) {
        self.queues()
            .retain(|queue| match queue.try_send(event.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            });
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::Sender<RoomEvent>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handles notices until the future is dropped or aborted. The queue has no bound, since a lost notice would leave a
/// map wrong for ever; joins bound what comes in, and nothing here waits.
pub(crate) async fn run(
    mut notices: mpsc::UnboundedReceiver<Notice>,
    directory: Directory,
    fragments: Fragments,
    followers: &Followers,
    cluster: &OnceLock<Cluster>,
) {
    let tell = |input| {
        // The cluster ends with the node.
        let _ = cluster.get().map(|cluster| cluster.inputs().send(input));
    };
    while let Some(notice) = notices.recv().await {
        let is_of_whole_room = directory.note(&notice);
        match notice {
            Notice::Room { shard, event } => {
                match &event {
                    RoomEvent::Started { room } => tell(ClusterInput::Started {
                        room: room.name.clone(),
                        shard,
                    }),
                    RoomEvent::Finished { room } => tell(ClusterInput::Finished {
                        room: room.name.clone(),
                        shard,
                    }),
                    _ => {}
                }
                if is_of_whole_room {
                    followers.tell(&event);
                }
            }
            Notice::Replica {
                shard,
                room,
                peer,
                message,
            } => tell(ClusterInput::Replica {
                shard,
                room,
                peer,
                message,
            }),
            Notice::IceFragment {
                shard,
                fragment,
                added: true,
            } => fragments.insert(fragment, shard),
            Notice::IceFragment {
                fragment,
                added: false,
                ..
            } => fragments.remove(&fragment),
            Notice::Released { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tradewind_rtc::{RoomConfig, RoomInfo};

    use super::*;

    #[test]
    fn a_slow_follower_loses_events_and_the_others_do_not() {
        let followers = Followers::default();
        let mut slow = followers.follow(1);
        let mut quick = followers.follow(8);
        drop(followers.follow(8));
        let room = RoomInfo {
            sid: "RM_1".into(),
            name: "shop".into(),
            config: RoomConfig::default(),
            created_at_ms: 0,
            num_participants: 0,
            num_publishers: 0,
        };
        for _ in 0..3 {
            followers.tell(&RoomEvent::MetadataChanged { room: room.clone() });
        }
        assert_eq!(followers.dropped(), 2);
        assert_eq!(followers.queues().len(), 2);
        assert!(slow.try_recv().is_ok() && slow.try_recv().is_err());
        assert!((0..3).all(|_| quick.try_recv().is_ok()));
    }
}
