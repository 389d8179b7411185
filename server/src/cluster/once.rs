//! Tells once that a room began and once that it ended, on however many nodes it is.
//!
//! The directory gives a room one home at a time: the first node that opened it, and another holder when that one leaves.
//! So the home says that the room began, and its last home that it ended.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tradewind_fleet::directory::RoomEvent as Change;
use tradewind_fleet::{Fleet, FleetEvent, NodeId, RoomEntry};
use tradewind_rtc::RoomEvent;

/// How long the directory has to say whether a room that ended here goes on elsewhere. Without the registry, the last
/// home known decides.
const PATIENCE: Duration = Duration::from_secs(5);

/// `events` of this node, without those of beginnings and ends that are another node's to tell.
pub(crate) fn once(
    fleet: Fleet,
    events: mpsc::Receiver<RoomEvent>,
    capacity: usize,
) -> mpsc::Receiver<RoomEvent> {
    let (told, receiver) = mpsc::channel(capacity.max(1));
    tokio::spawn(run(fleet, events, told));
    receiver
}

async fn run(fleet: Fleet, mut events: mpsc::Receiver<RoomEvent>, told: mpsc::Sender<RoomEvent>) {
    let mut changes = fleet.events();
    let mut once = Once::new(fleet.me().clone());
    let mut has_ended = false;
    loop {
        let due = once.poll_timeout();
        if has_ended && due.is_none() {
            return;
        }
        tokio::select! {
            event = events.recv(), if !has_ended => match event {
                Some(event) => {
                    let entry = name_of(&event).and_then(|name| fleet.room(&name.parse().ok()?));
                    once.room_event(Instant::now(), event, entry.as_deref());
                }
                None => has_ended = true,
            },
            change = changes.next() => match change {
                Some(FleetEvent::Room(Change::Changed(entry))) => once.changed(&entry),
                Some(FleetEvent::Room(Change::Gone(name))) => once.gone(name.as_str()),
                Some(FleetEvent::Missed) => {
                    for name in once.names() {
                        match name.parse().ok().and_then(|name| fleet.room(&name)) {
                            Some(entry) => once.changed(&entry),
                            None => once.gone(&name),
                        }
                    }
                }
                Some(_) => {}
                None => return,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                once.handle_timeout(Instant::now());
            }
        }
        for event in once.take_told() {
            if told.send(event).await.is_err() {
                return;
            }
        }
    }
}

/// Rooms with a replica here, or that had one until just now.
struct Once {
    me: NodeId,
    rooms: BTreeMap<String, Room>,
    told: Vec<RoomEvent>,
}

#[derive(Default)]
struct Room {
    /// The last one the directory named.
    home: Option<NodeId>,
    /// The room's end here, and until when the directory may say that it goes on elsewhere.
    ended: Option<(RoomEvent, Instant)>,
}

impl Once {
    fn new(me: NodeId) -> Self {
        Self {
            me,
            rooms: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    /// Something happened in a room here; `entry` is what the directory says of it now.
    fn room_event(&mut self, now: Instant, event: RoomEvent, entry: Option<&RoomEntry>) {
        match &event {
            RoomEvent::Started { room } => {
                let name = room.name.to_string();
                self.settle(&name);
                let home = entry.map(|entry| entry.home.clone());
                if self.is_mine(home.as_ref()) {
                    self.told.push(event);
                }
                self.rooms.insert(name, Room { home, ended: None });
            }
            RoomEvent::Finished { room } => {
                let name = room.name.to_string();
                let known = self.rooms.entry(name.clone()).or_default();
                known.ended = Some((event, now + PATIENCE));
                match entry {
                    Some(entry) => self.changed(entry),
                    None => self.settle(&name),
                }
            }
            _ => self.told.push(event),
        }
    }

    /// The directory says something of a room.
    fn changed(&mut self, entry: &RoomEntry) {
        let Some(room) = self.rooms.get_mut(entry.name.as_str()) else {
            return;
        };
        room.home = Some(entry.home.clone());
        if room.ended.is_some() && !entry.replicas.contains(&self.me) {
            // It goes on elsewhere.
            self.rooms.remove(entry.name.as_str());
        }
    }

    /// No node has the room any more.
    fn gone(&mut self, name: &str) {
        if self
            .rooms
            .get(name)
            .is_some_and(|room| room.ended.is_some())
        {
            self.settle(name);
        }
    }

    /// When to call [`Self::handle_timeout`] next.
    fn poll_timeout(&self) -> Option<Instant> {
        let ended = self.rooms.values().filter_map(|room| room.ended.as_ref());
        ended.map(|(_, until)| *until).min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        let is_due = |room: &Room| room.ended.as_ref().is_some_and(|(_, until)| *until <= now);
        let due = self.rooms.iter().filter(|(_, room)| is_due(room));
        let due: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        due.iter().for_each(|name| self.settle(name));
    }

    fn names(&self) -> Vec<String> {
        self.rooms.keys().cloned().collect()
    }

    fn take_told(&mut self) -> Vec<RoomEvent> {
        std::mem::take(&mut self.told)
    }

    /// Forgets a room, and tells its end if that is for this node to tell.
    fn settle(&mut self, name: &str) {
        let Some(room) = self.rooms.remove(name) else {
            return;
        };
        if let Some((ended, _)) = room.ended.filter(|_| self.is_mine(room.home.as_ref())) {
            self.told.push(ended);
        }
    }

    /// A room that the directory cannot hold has no home, and is here alone.
    fn is_mine(&self, home: Option<&NodeId>) -> bool {
        home.is_none_or(|home| *home == self.me)
    }
}

fn name_of(event: &RoomEvent) -> Option<&str> {
    match event {
        RoomEvent::Started { room } | RoomEvent::Finished { room } => Some(room.name.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tradewind_fleet::RoomSpec;

    use super::*;
    use crate::calls::samples::room;

    /// Two nodes that hear of the same directory.
    struct Fleet {
        nodes: [Once; 2],
        entry: RoomEntry,
        now: Instant,
    }

    const TOKYO: usize = 0;
    const PARIS: usize = 1;

    impl Fleet {
        /// Opened in Tokyo, then in Paris too.
        fn with_room() -> Self {
            let names: [NodeId; 2] = ["tokyo", "paris"].map(|name| name.parse().unwrap());
            let spec = RoomSpec::new("shop".parse().unwrap(), "RM_1");
            let mut fleet = Self {
                entry: RoomEntry::first(&spec, &names[TOKYO]),
                nodes: names.clone().map(Once::new),
                now: Instant::now(),
            };
            fleet.starts(TOKYO);
            fleet.entry.replicas.insert(names[PARIS].clone());
            fleet.starts(PARIS);
            fleet
        }

        fn starts(&mut self, node: usize) {
            let event = RoomEvent::Started { room: room("shop") };
            self.nodes[node].room_event(self.now, event, Some(&self.entry));
        }

        fn finishes(&mut self, node: usize) {
            let event = RoomEvent::Finished { room: room("shop") };
            self.nodes[node].room_event(self.now, event, Some(&self.entry));
        }

        /// The directory takes the node out of the room.
        fn leaves(&mut self, node: usize) {
            self.entry.replicas.remove(&self.nodes[node].me);
            match self.entry.replicas.first().cloned() {
                Some(next) => {
                    if self.entry.home == self.nodes[node].me {
                        self.entry.home = next;
                    }
                    self.nodes
                        .iter_mut()
                        .for_each(|node| node.changed(&self.entry));
                }
                None => self.nodes.iter_mut().for_each(|node| node.gone("shop")),
            }
        }

        fn told(&mut self, node: usize) -> Vec<&'static str> {
            let told = self.nodes[node].take_told().into_iter();
            told.map(|event| match event {
                RoomEvent::Started { .. } => "started",
                RoomEvent::Finished { .. } => "finished",
                _ => "other",
            })
            .collect()
        }
    }

    #[tokio::test]
    async fn a_room_on_two_nodes_begins_and_ends_once() {
        let mut fleet = Fleet::with_room();
        assert_eq!(fleet.told(TOKYO), ["started"]);
        assert!(fleet.told(PARIS).is_empty());
        fleet.finishes(TOKYO);
        fleet.leaves(TOKYO);
        assert!(fleet.told(TOKYO).is_empty(), "it goes on in Paris");
        fleet.finishes(PARIS);
        fleet.leaves(PARIS);
        assert_eq!(fleet.told(PARIS), ["finished"]);
        assert!(fleet.told(TOKYO).is_empty());
    }

    #[tokio::test]
    async fn two_who_hang_up_at_once_end_the_room_once() {
        for (first, last) in [(TOKYO, PARIS), (PARIS, TOKYO)] {
            let mut fleet = Fleet::with_room();
            fleet
                .nodes
                .iter_mut()
                .for_each(|node| drop(node.take_told()));
            fleet.finishes(TOKYO);
            fleet.finishes(PARIS);
            fleet.leaves(first);
            fleet.leaves(last);
            assert_eq!(fleet.told(last), ["finished"]);
            assert!(fleet.told(first).is_empty());
        }
    }

    #[tokio::test]
    async fn without_the_registry_the_last_home_known_tells_the_end() {
        let mut fleet = Fleet::with_room();
        fleet.finishes(TOKYO);
        fleet.finishes(PARIS);
        let later = fleet.now + PATIENCE;
        assert_eq!(fleet.nodes[TOKYO].poll_timeout(), Some(later));
        fleet
            .nodes
            .iter_mut()
            .for_each(|node| node.handle_timeout(later));
        assert_eq!(fleet.told(TOKYO), ["started", "finished"]);
        assert!(fleet.told(PARIS).is_empty());
    }
}
