//! Which shards have which room, and who is where.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tradewind_rtc::{Identity, ParticipantSid, RoomEvent, RoomName};

use crate::shard::Notice;

/// Rooms of this node by name; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    places: Arc<Mutex<HashMap<RoomName, Place>>>,
    notices: mpsc::UnboundedSender<Notice>,
    /// Participants of a room on one shard before the next one to come goes to another.
    spread: usize,
}

/// Where a room is, or is about to be: by shard.
type Place = BTreeMap<usize, Replica>;

/// A room on one shard.
#[derive(Debug, Default)]
struct Replica {
    /// Joins and creations that were sent there and are not done.
    claims: usize,
    /// Beginnings that no end was heard of yet.
    running: usize,
    participants: HashMap<ParticipantSid, Identity>,
}

impl Replica {
    fn len(&self) -> usize {
        self.claims + self.participants.len()
    }

    fn is_over(&self) -> bool {
        self.claims == 0 && self.running == 0
    }
}

/// Keeps a room's name at its shard while a join or creation is on its way there. Otherwise a room that ends just then
/// would come back on another shard, and the next participant would not meet the first.
#[derive(Debug)]
pub(crate) struct RoomClaim {
    room: RoomName,
    pub(crate) shard: usize,
    /// The shard has no replica of the room yet.
    pub(crate) is_new: bool,
    notices: mpsc::UnboundedSender<Notice>,
}

impl Directory {
    /// `notices` carries the freeing of claims, in order with what the shards say: [`Self::note`] must get it. A room has
    /// up to `spread` participants on one shard before it goes on on the next; 0 = any number.
    pub(crate) fn new(notices: mpsc::UnboundedSender<Notice>, spread: u32) -> Self {
        Self {
            places: Arc::default(),
            notices,
            spread: match spread {
                0 => usize::MAX,
                spread => usize::try_from(spread).unwrap_or(usize::MAX),
            },
        }
    }

    /// A shard of a room that exists or is being made. Its replica answers for the whole room.
    pub(crate) fn find(&self, room: &RoomName) -> Option<usize> {
        self.places().get(room)?.keys().next().copied()
    }

    /// The shard of a participant, whom a client may name by identity alone.
    pub(crate) fn find_participant(
        &self,
        room: &RoomName,
        sid: &ParticipantSid,
        identity: &Identity,
    ) -> Option<usize> {
        let places = self.places();
        let place = places.get(room)?;
        let holder = |is: &dyn Fn((&ParticipantSid, &Identity)) -> bool| {
            let mut replicas = place.iter();
            replicas
                .find_map(|(shard, replica)| replica.participants.iter().any(is).then_some(*shard))
        };
        holder(&|(known, _)| known == sid).or_else(|| holder(&|(_, known)| known == identity))
    }

    /// The shard for a join or creation: one of the room's with fewer than `spread` participants, else a further one,
    /// else the one of the room's with the fewest. Further ones and those of new rooms are the least loaded, where
    /// `load[n]` is that of shard n and each replica known here counts as one more.
    pub(crate) fn claim(&self, room: &RoomName, load: &[u64]) -> RoomClaim {
        self.claim_within(room, load, self.spread)
    }

    /// As [`Self::claim`], but for no participant: a room that is here stays where it is.
    pub(crate) fn claim_room(&self, room: &RoomName, load: &[u64]) -> RoomClaim {
        self.claim_within(room, load, usize::MAX)
    }

    fn claim_within(&self, room: &RoomName, load: &[u64], spread: usize) -> RoomClaim {
        let mut places = self.places();
        let place = places.get(room);
        let has_room = place.and_then(|place| {
            let mut replicas = place.iter();
            replicas.find_map(|(shard, replica)| (replica.len() < spread).then_some(*shard))
        });
        let shard = has_room
            .or_else(|| emptiest(load, &places, place))
            .or_else(|| {
                let (shard, _) = place?.iter().min_by_key(|(_, replica)| replica.len())?;
                Some(*shard)
            })
            .unwrap_or(0);
        let replica = places
            .entry(room.clone())
            .or_default()
            .entry(shard)
            .or_default();
        let is_new = replica.is_over();
        replica.claims += 1;
        RoomClaim {
            room: room.clone(),
            shard,
            is_new,
            notices: self.notices.clone(),
        }
    }

    /// Learns what happened to rooms and claims. Gives back whether it is news of the whole room, and not only of one of
    /// its replicas here.
    pub(crate) fn note(&self, notice: &Notice) -> bool {
        match notice {
            Notice::Room {
                shard,
                event: RoomEvent::Started { room },
            } => {
                let mut places = self.places();
                let place = places.entry(room.name.clone()).or_default();
                place.entry(*shard).or_default().running += 1;
                !runs_beside(place, *shard)
            }
            Notice::Room {
                shard,
                event: RoomEvent::Finished { room },
            } => {
                self.update(&room.name, *shard, |replica| {
                    replica.running = replica.running.saturating_sub(1);
                    replica.participants.clear();
                });
                let places = self.places();
                places
                    .get(&room.name)
                    .is_none_or(|place| !runs_beside(place, *shard))
            }
            Notice::Room {
                shard,
                event: RoomEvent::ParticipantAdmitted { room, participant },
            } => {
                self.update(room, *shard, |replica| {
                    let (sid, identity) = (participant.sid.clone(), participant.identity.clone());
                    replica.participants.insert(sid, identity);
                });
                true
            }
            Notice::Room {
                shard,
                event:
                    RoomEvent::ParticipantLeft { room, participant }
                    | RoomEvent::ParticipantAborted { room, participant },
            } => {
                self.update(&room.name, *shard, |replica| {
                    replica.participants.remove(&participant.sid);
                });
                true
            }
            Notice::Released { room, shard } => {
                self.update(room, *shard, |replica| {
                    replica.claims = replica.claims.saturating_sub(1);
                });
                true
            }
            Notice::Room { .. } | Notice::Replica { .. } | Notice::IceFragment { .. } => true,
        }
    }

    /// Number of rooms that run or are about to.
    pub(crate) fn len(&self) -> usize {
        self.places().len()
    }

    fn update(&self, room: &RoomName, shard: usize, change: impl FnOnce(&mut Replica)) {
        let mut places = self.places();
        let Some(place) = places.get_mut(room) else {
            return;
        };
        if let Some(replica) = place.get_mut(&shard) {
            change(replica);
            if replica.is_over() {
                place.remove(&shard);
            }
        }
        if place.is_empty() {
            places.remove(room);
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
            shard: self.shard,
        });
    }
}

/// Whether the room runs on another shard too.
fn runs_beside(place: &Place, shard: usize) -> bool {
    place
        .iter()
        .any(|(other, replica)| *other != shard && replica.running > 0)
}

/// The least loaded shard that does not have the room already.
fn emptiest(
    load: &[u64],
    places: &HashMap<RoomName, Place>,
    room: Option<&Place>,
) -> Option<usize> {
    let mut load = load.to_vec();
    for shard in places.values().flat_map(Place::keys) {
        if let Some(load) = load.get_mut(*shard) {
            *load += 1;
        }
    }
    (0..load.len())
        .filter(|shard| room.is_none_or(|room| !room.contains_key(shard)))
        .min_by_key(|shard| load[*shard])
}

#[cfg(test)]
mod tests {
    use tradewind_rtc::{ParticipantInfo, RoomConfig, RoomInfo};

    use super::*;

    struct Story {
        directory: Directory,
        notices: mpsc::UnboundedReceiver<Notice>,
    }

    impl Story {
        fn new() -> Self {
            let (sender, notices) = mpsc::unbounded_channel();
            Self {
                directory: Directory::new(sender, 2),
                notices,
            }
        }

        fn claim(&self, room: &str) -> (usize, RoomClaim) {
            let claim = self.directory.claim(&room.into(), &[0, 0, 0]);
            (claim.shard, claim)
        }

        /// Somebody joins; gives back the shard.
        fn join(&mut self, room: &str, sid: &str) -> usize {
            let (shard, claim) = self.claim(room);
            if claim.is_new {
                self.says(shard, started(room, "RM_1"));
            }
            self.says(shard, admitted(room, sid));
            drop(claim);
            self.settle();
            shard
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

    fn admitted(name: &str, sid: &str) -> RoomEvent {
        RoomEvent::ParticipantAdmitted {
            room: name.into(),
            participant: info(sid),
        }
    }

    fn left(name: &str, sid: &str) -> RoomEvent {
        RoomEvent::ParticipantLeft {
            room: room(name, "RM_1"),
            participant: info(sid),
        }
    }

    /// Whose identity is the last letter.
    fn info(sid: &str) -> Arc<ParticipantInfo> {
        let identity = sid.chars().last().unwrap().to_string();
        crate::calls::samples::participant(sid, &identity, "shopper", "Ann")
    }

    #[test]
    fn a_room_that_outgrows_a_shard_goes_on_on_the_next() {
        let mut story = Story::new();
        let shards: Vec<_> = ["PA_a", "PA_b", "PA_c", "PA_d", "PA_e", "PA_f", "PA_g"]
            .iter()
            .map(|sid| story.join("shop", sid))
            .collect();
        assert_eq!(shards, [0, 0, 1, 1, 2, 2, 0], "the last one fits nowhere");
        story.says(1, left("shop", "PA_c"));
        assert_eq!(story.claim("shop").0, 1, "a place is free there");
        assert_eq!(
            story.directory.claim_room(&"shop".into(), &[0, 0, 0]).shard,
            0
        );
        assert_eq!(story.directory.len(), 1);
    }

    #[test]
    fn a_resume_finds_the_shard_of_its_participant() {
        let mut story = Story::new();
        for sid in ["PA_a", "PA_b", "PA_c"] {
            story.join("shop", sid);
        }
        let find = |sid: &str, identity: &str| {
            let (sid, identity) = (sid.into(), identity.into());
            story
                .directory
                .find_participant(&"shop".into(), &sid, &identity)
        };
        assert_eq!(find("PA_c", "c"), Some(1));
        assert_eq!(find("", "c"), Some(1), "some clients do not say");
        assert_eq!(find("PA_a", "c"), Some(0));
        assert_eq!(find("PA_z", "z"), None);
    }

    #[test]
    fn a_room_on_two_shards_begins_and_ends_once() {
        let story = Story::new();
        let note = |shard, event| story.directory.note(&Notice::Room { shard, event });
        assert!(note(0, started("shop", "RM_1")));
        assert!(!note(1, started("shop", "RM_1")));
        assert!(!note(0, finished("shop", "RM_1")));
        assert_eq!(story.find("shop"), Some(1));
        assert!(note(1, finished("shop", "RM_1")));
        assert_eq!(story.find("shop"), None);
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
        assert_eq!(story.directory.claim(&"d".into(), &[5, 1, 9]).shard, 1);
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
