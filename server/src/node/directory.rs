//! Which shard has which room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tradewind_rtc::{RoomEvent, RoomName, RoomSid};

use crate::shard::Notice;

/// Rooms of this node by name; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    places: Arc<Mutex<HashMap<RoomName, Place>>>,
    notices: mpsc::UnboundedSender<Notice>,
}

/// Where a room is, or is about to be.
#[derive(Debug)]
struct Place {
    shard: usize,
    /// Joins and creations that were sent there and are not done.
    claims: usize,
    /// The room's life that goes on there.
    running: Option<RoomSid>,
}

/// Keeps a room's name at its shard while a join or creation is on its way there. Otherwise a room that ends just then
/// would come back on another shard, and the next participant would not meet the first.
#[derive(Debug)]
pub(crate) struct RoomClaim {
    room: RoomName,
    notices: mpsc::UnboundedSender<Notice>,
}

impl Directory {
    /// `notices` carries the freeing of claims, in order with what the shards say: [`Self::note`] must get it.
    pub(crate) fn new(notices: mpsc::UnboundedSender<Notice>) -> Self {
        Self {
            places: Arc::default(),
            notices,
        }
    }

    /// The shard of a room that exists or is being made.
    pub(crate) fn find(&self, room: &RoomName) -> Option<usize> {
        self.places().get(room).map(|place| place.shard)
    }

    /// The shard for a join or creation: the room's, or for a new room the one with the least load, where `load[n]` is
    /// that of shard n and each room known here counts as one more.
    pub(crate) fn claim(&self, room: &RoomName, load: &[u64]) -> (usize, RoomClaim) {
        let mut places = self.places();
        let shard = match places.get(room) {
            Some(place) => place.shard,
            None => emptiest(load, &places),
        };
        let place = places.entry(room.clone()).or_insert(Place {
            shard,
            claims: 0,
            running: None,
        });
        place.claims += 1;
        (
            shard,
            RoomClaim {
                room: room.clone(),
                notices: self.notices.clone(),
            },
        )
    }

    /// Learns what happened to rooms and claims.
    pub(crate) fn note(&self, notice: &Notice) {
        match notice {
            Notice::Room {
                shard,
                event: RoomEvent::Started { room },
            } => {
                let mut places = self.places();
                let place = places.entry(room.name.clone());
                place
                    .or_insert(Place {
                        shard: *shard,
                        claims: 0,
                        running: None,
                    })
                    .running = Some(room.sid.clone());
            }
            Notice::Room {
                event: RoomEvent::Finished { room },
                ..
            } => {
                self.update(&room.name, |place| {
                    if place.running.as_ref() == Some(&room.sid) {
                        place.running = None;
                    }
                });
            }
            Notice::Released { room } => {
                self.update(room, |place| place.claims = place.claims.saturating_sub(1))
            }
            Notice::Room { .. } | Notice::Replica { .. } | Notice::IceFragment { .. } => {}
        }
    }

    /// Number of rooms that run or are about to.
    pub(crate) fn len(&self) -> usize {
        self.places().len()
    }

    fn update(&self, room: &RoomName, change: impl FnOnce(&mut Place)) {
        let mut places = self.places();
        if let Some(place) = places.get_mut(room) {
            change(place);
            if place.claims == 0 && place.running.is_none() {
                places.remove(room);
            }
        }
    }

    fn places(&self) -> std::sync::MutexGuard<'_, HashMap<RoomName, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RoomClaim {
    fn drop(&mut self) {
        // Only a node that is being dropped no longer listens.
        let _ = self.notices.send(Notice::Released {
            room: self.room.clone(),
        });
    }
}

fn emptiest(load: &[u64], places: &HashMap<RoomName, Place>) -> usize {
    let mut load = load.to_vec();
    for place in places.values() {
        if let Some(load) = load.get_mut(place.shard) {
            *load += 1;
        }
    }
    (0..load.len())
        .min_by_key(|&shard| load[shard])
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use tradewind_rtc::{RoomConfig, RoomInfo};

    use super::*;

    struct Story {
        directory: Directory,
        notices: mpsc::UnboundedReceiver<Notice>,
    }

    impl Story {
        fn new() -> Self {
            let (sender, notices) = mpsc::unbounded_channel();
            Self {
                directory: Directory::new(sender),
                notices,
            }
        }

        fn claim(&self, room: &str) -> (usize, RoomClaim) {
            self.directory.claim(&room.into(), &[0, 0, 0])
        }

        /// The shard says so, in order with the claims freed before.
        fn says(&mut self, shard: usize, event: RoomEvent) {
            self.directory
                .notices
                .send(Notice::Room { shard, event })
                .unwrap();
            self.settle();
        }

        fn settle(&mut self) {
            while let Ok(notice) = self.notices.try_recv() {
                self.directory.note(&notice);
            }
        }

        fn find(&self, room: &str) -> Option<usize> {
            self.directory.find(&room.into())
        }
    }

    fn room(name: &str, sid: &str) -> RoomInfo {
        RoomInfo {
            sid: sid.into(),
            name: name.into(),
            config: RoomConfig::default(),
            created_at_ms: 0,
            num_participants: 0,
            num_publishers: 0,
        }
    }

    fn started(name: &str, sid: &str) -> RoomEvent {
        RoomEvent::Started {
            room: room(name, sid),
        }
    }

    fn finished(name: &str, sid: &str) -> RoomEvent {
        RoomEvent::Finished {
            room: room(name, sid),
        }
    }

    #[test]
    fn two_first_joiners_meet_on_one_shard() {
        let mut story = Story::new();
        let (first, first_claim) = story.claim("shop");
        let (second, second_claim) = story.claim("shop");
        assert_eq!(first, second);
        story.says(first, started("shop", "RM_1"));
        drop((first_claim, second_claim));
        story.settle();
        assert_eq!(story.find("shop"), Some(first));
    }

    #[test]
    fn rooms_spread_over_the_shards() {
        let story = Story::new();
        let claims: Vec<_> = ["a", "b", "c"]
            .iter()
            .map(|room| story.claim(room))
            .collect();
        let mut shards: Vec<_> = claims.iter().map(|(shard, _)| *shard).collect();
        shards.sort_unstable();
        assert_eq!(shards, [0, 1, 2]);
        assert_eq!(story.directory.claim(&"d".into(), &[5, 1, 9]).0, 1);
    }

    #[test]
    fn a_refused_join_leaves_no_room_behind() {
        let mut story = Story::new();
        drop(story.claim("shop"));
        story.settle();
        assert_eq!((story.find("shop"), story.directory.len()), (None, 0));
    }

    #[test]
    fn a_join_on_its_way_while_the_room_ends_finds_it_on_the_same_shard() {
        let mut story = Story::new();
        let _elsewhere = story.claim("other");
        let (shard, claim) = story.claim("shop");
        story.says(shard, started("shop", "RM_1"));
        drop(claim);
        let (same, late) = story.claim("shop");
        story.says(shard, finished("shop", "RM_1"));
        assert_eq!(story.find("shop"), Some(shard));
        // The late join makes the room anew.
        story.says(same, started("shop", "RM_2"));
        drop(late);
        story.settle();
        assert_eq!((same, story.find("shop")), (shard, Some(shard)));
        story.says(shard, finished("shop", "RM_2"));
        assert_eq!(story.find("shop"), None);
    }

    #[test]
    fn the_end_of_an_earlier_life_does_not_end_the_later_one() {
        let mut story = Story::new();
        let (shard, _claim) = story.claim("shop");
        story.says(shard, started("shop", "RM_1"));
        story.says(shard, started("shop", "RM_2"));
        story.says(shard, finished("shop", "RM_1"));
        drop(_claim);
        story.settle();
        assert_eq!(story.find("shop"), Some(shard));
    }

    #[test]
    fn a_claim_lost_with_its_message_frees_the_name() {
        let mut story = Story::new();
        let (shard, claim) = story.claim("shop");
        let (_, second) = story.claim("shop");
        drop(claim);
        story.settle();
        assert_eq!(story.find("shop"), Some(shard));
        drop(second);
        story.settle();
        assert_eq!(story.find("shop"), None);
    }
}
