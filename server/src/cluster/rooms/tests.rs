//! Two nodes that share a room, seen from one of them.

use super::*;

struct Names(Vec<(NodeId, u16)>);

impl PeerNames for Names {
    fn peer(&mut self, node: &NodeId, shard: u16) -> Option<PeerId> {
        let name = (node.clone(), shard);
        let at = self
            .0
            .iter()
            .position(|known| *known == name)
            .unwrap_or_else(|| {
                self.0.push(name);
                self.0.len() - 1
            });
        Some(PeerId(at as u64 + 1))
    }
}

struct Story {
    rooms: Rooms,
    names: Names,
    paris: NodeId,
    room: RoomName,
    start: Instant,
}

impl Story {
    fn new() -> Self {
        Self {
            rooms: Rooms::new("tokyo".parse().unwrap(), 2),
            names: Names(Vec::new()),
            paris: "paris".parse().unwrap(),
            room: RoomName::from("shop"),
            start: Instant::now(),
        }
    }

    /// Both nodes have the room and know it.
    fn linked() -> Self {
        let mut story = Self::new();
        story.rooms.registered(&story.paris.clone());
        story.rooms.link_up(&story.paris.clone());
        story.starts(1, story.both());
        story.hello(0, false);
        story.rooms.take_actions();
        story
    }

    fn both(&self) -> BTreeSet<NodeId> {
        ["tokyo", "paris"].map(|name| name.parse().unwrap()).into()
    }

    fn starts(&mut self, shard: u16, holders: BTreeSet<NodeId>) {
        self.rooms
            .started(&mut self.names, self.room.clone(), shard, holders);
    }

    fn hello(&mut self, shard: u16, answer: bool) {
        self.hello_of(&[shard], answer);
    }

    fn hello_of(&mut self, shards: &[u16], answer: bool) {
        let shards = shards.to_vec();
        let received = Received::Hello { shards, answer };
        self.rooms
            .received(&mut self.names, &self.paris, &self.room, received);
    }

    fn after(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    /// The actions in short.
    fn told(&mut self) -> Vec<String> {
        let short = |action| match action {
            Action::Send {
                node,
                envelope: Envelope::Hello { shards, answer },
                ..
            } => {
                let shards: Vec<_> = shards.iter().map(u16::to_string).collect();
                let shards = shards.join(" and ");
                format!("hello {node} from {shards}, answer {answer}")
            }
            Action::Send { envelope, .. } => format!("{envelope:?}"),
            Action::Command { shard, command } => match command {
                Command::AttachPeer { peer, .. } => format!("{shard}: attach {}", peer.0),
                Command::DetachPeer { peer, .. } => format!("{shard}: detach {}", peer.0),
                Command::PeerCut { peer } => format!("{shard}: cut {}", peer.0),
                Command::PeerLost { peer } => format!("{shard}: lost {}", peer.0),
                other => format!("{shard}: {other:?}"),
            },
        };
        self.rooms.take_actions().into_iter().map(short).collect()
    }
}

#[test]
fn a_room_that_begins_greets_those_who_hold_it() {
    let mut story = Story::new();
    story.rooms.link_up(&story.paris.clone());
    let holders = story.both();
    story.starts(1, holders);
    assert_eq!(story.told(), ["hello paris from 1, answer true"]);
    story.hello(3, false);
    assert_eq!(story.told(), ["1: attach 1"]);
}

#[test]
fn a_greeting_from_somebody_the_directory_does_not_know_yet_is_answered() {
    let mut story = Story::new();
    story.rooms.link_up(&story.paris.clone());
    let holders = BTreeSet::new();
    story.starts(0, holders);
    story.hello(3, true);
    assert_eq!(
        story.told(),
        ["0: attach 1", "hello paris from 0, answer false"]
    );
}

#[test]
fn a_link_that_comes_later_is_used_for_rooms_that_are_there() {
    let mut story = Story::new();
    let holders = story.both();
    story.starts(0, holders);
    assert!(story.told().is_empty());
    story.rooms.link_up(&story.paris.clone());
    assert_eq!(story.told(), ["hello paris from 0, answer true"]);
}

#[test]
fn a_cut_link_is_waited_for_while_the_node_is_registered() {
    let mut story = Story::linked();
    story.rooms.link_down(story.start, &story.paris.clone());
    assert_eq!(story.told(), ["0: cut 1", "1: cut 1"]);
    story.rooms.tick(story.after(3_000), true);
    assert!(story.told().is_empty());
    story.rooms.link_up(&story.paris.clone());
    assert_eq!(story.told(), ["hello paris from 1, answer true"]);
    story.rooms.tick(story.after(100), true);
    assert!(story.told().is_empty());
}

#[test]
fn a_node_that_leaves_the_registry_is_given_up_within_seconds() {
    let mut story = Story::linked();
    story.rooms.unregistered(story.start, &story.paris.clone());
    assert_eq!(story.told(), ["0: cut 1", "1: cut 1"]);
    story.rooms.tick(story.after(1), true);
    assert!(story.told().is_empty());
    story.rooms.tick(story.after(2), true);
    assert_eq!(story.told(), ["0: lost 1", "1: lost 1"]);
}

#[test]
fn a_node_that_was_withdrawn_and_comes_back_is_greeted_again() {
    let mut story = Story::linked();
    story.rooms.unregistered(story.start, &story.paris.clone());
    story.rooms.tick(story.after(2), true);
    story.told();
    story.rooms.registered(&story.paris.clone());
    assert_eq!(story.told(), ["hello paris from 1, answer true"]);
}

#[test]
fn without_the_registry_a_cut_link_is_given_up_late() {
    let mut story = Story::linked();
    story.rooms.link_down(story.start, &story.paris.clone());
    story.told();
    story.rooms.tick(story.after(20), false);
    assert!(story.told().is_empty());
    story.rooms.tick(story.after(30), false);
    assert_eq!(story.told(), ["0: lost 1", "1: lost 1"]);
}

#[test]
fn a_room_that_ended_elsewhere_behind_a_cut_link_is_detached() {
    let mut story = Story::linked();
    story.rooms.registered(&story.paris.clone());
    story.rooms.link_down(story.start, &story.paris.clone());
    story.rooms.held_by(&story.room.clone(), BTreeSet::new());
    story.told();
    story.rooms.tick(story.after(0), true);
    story.rooms.tick(story.after(4), true);
    assert!(story.told().is_empty());
    story.rooms.tick(story.after(5), true);
    assert_eq!(story.told(), ["1: detach 1"]);
}

#[test]
fn a_replica_that_moved_to_another_shard_is_linked_anew() {
    let mut story = Story::linked();
    story.hello(4, false);
    assert_eq!(story.told(), ["1: detach 1", "1: attach 2"]);
}

#[test]
fn a_room_that_goes_on_on_another_shard_is_linked_with_itself_and_all_others() {
    let mut story = Story::linked();
    story.starts(0, story.both());
    assert_eq!(
        story.told(),
        [
            "0: attach 2",
            "1: attach 3",
            "0: attach 1",
            "hello paris from 0 and 1, answer false"
        ]
    );
    assert!(!story.rooms.finished(&story.room.clone(), 1));
    assert_eq!(story.told(), ["hello paris from 0, answer false"]);
    assert!(story.rooms.finished(&story.room.clone(), 0));
    assert!(story.told().is_empty());
}

#[test]
fn a_room_that_spreads_elsewhere_is_linked_with_all_of_it() {
    let mut story = Story::linked();
    story.hello_of(&[0, 5], false);
    assert_eq!(story.told(), ["1: attach 2"]);
    story.rooms.link_down(story.start, &story.paris.clone());
    story.told();
    story.rooms.link_up(&story.paris.clone());
    story.hello_of(&[5], false);
    assert_eq!(
        story.told(),
        [
            "hello paris from 1, answer true",
            "1: detach 1",
            "1: attach 2"
        ]
    );
}
