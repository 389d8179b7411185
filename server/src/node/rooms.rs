//! Calls that concern a room, on their way to the shards and nodes that have it.

use std::collections::BTreeSet;

use tradewind_rtc::replica::RoomRecord;
use tradewind_rtc::{
    AdminError, AdminReply, AdminRequest, Command, Join, Resume, RoomConfig, RoomInfo, RoomName,
};

use super::{Connection, Node, NodeError, room_of};
use crate::shard::{Input, ShardHandle};

impl Node {
    /// Sends a join to the shard of its room. The first event is the answer.
    ///
    /// # Errors
    /// The shard's queue stays full, or the node is shutting down.
    pub(crate) async fn join(&self, join: Box<Join>) -> Result<Connection, NodeError> {
        self.check_open()?;
        let load = self.load();
        let mut claim = self.0.directory.claim(&join.room, &load);
        if claim.is_new {
            if let Some(info) = self.room_info(&join.room).await {
                let limit = info.config.max_participants;
                if limit > 0 && info.num_participants >= limit {
                    // Only who has long known the room can tell who belongs to it.
                    claim = self.0.directory.claim_room(&join.room, &load);
                } else {
                    self.open_on(claim.shard, &join.room, record_of(info))
                        .await?;
                }
            } else if self.0.auto_create || self.has_room_elsewhere(&join.room) {
                self.open_replica(claim.shard, &join.room, join.room_config.as_ref())
                    .await?;
            }
        }
        let shard = claim.shard;
        self.connect(shard, join.connection, Command::Join(join), Some(claim))
            .await
    }

    /// Sends a resume to the shard of its room. The first event is the answer.
    ///
    /// # Errors
    /// The shard's queue stays full, or the node is shutting down.
    pub(crate) async fn resume(&self, resume: Box<Resume>) -> Result<Connection, NodeError> {
        self.check_running()?;
        let Resume {
            room,
            participant,
            identity,
            ..
        } = &*resume;
        let directory = &self.0.directory;
        // Any shard can say that it does not know the session.
        let shard = directory.find_participant(room, participant, identity);
        let shard = shard.unwrap_or(0);
        self.connect(shard, resume.connection, Command::Resume(resume), None)
            .await
    }

    /// Runs a server API call wherever its room is; [`AdminRequest::ListRooms`] asks all nodes.
    pub(crate) async fn admin(&self, request: AdminRequest) -> Result<AdminReply, NodeError> {
        let Some(cluster) = self.0.cluster.get() else {
            return self.admin_here(request).await;
        };
        let room = match &request {
            AdminRequest::ListRooms { .. } => {
                let here = self.admin_here(request.clone()).await?;
                return Ok(cluster.list_rooms(here, &request).await);
            }
            AdminRequest::CreateRoom { room, config } => {
                if !self.holds_room(room) {
                    let claim = self.0.directory.claim_room(room, &self.load());
                    self.open_replica(claim.shard, room, Some(config)).await?;
                }
                return self.admin_here(request).await;
            }
            request => room_of(request),
        };
        match room {
            Some(room) if !self.holds_room(room) => cluster.admin_elsewhere(room, &request).await,
            _ => self.admin_here(request).await,
        }
    }

    /// Runs a server API call on the shard that owns its room; [`AdminRequest::ListRooms`] asks all shards.
    pub(crate) async fn admin_here(&self, request: AdminRequest) -> Result<AdminReply, NodeError> {
        self.check_running()?;
        match &request {
            AdminRequest::ListRooms { .. } => self.list_rooms(request).await,
            AdminRequest::CreateRoom { room, .. } => {
                let claim = self.0.directory.claim_room(room, &self.load());
                self.ask(self.shard(claim.shard)?, request, Some(claim))
                    .await
            }
            AdminRequest::Counters | AdminRequest::RoundTrips => Err(AdminError::Invalid(
                "measurements are per shard: ask each of them".to_owned(),
            )
            .into()),
            request => {
                let shard = room_of(request).and_then(|room| self.0.directory.find(room));
                let shard = self.shard(shard.ok_or(AdminError::NoSuchRoom)?)?;
                self.ask(shard, request.clone(), None).await
            }
        }
    }

    /// Whether the room exists or is being made, here or on another node.
    pub(crate) fn has_room(&self, room: &RoomName) -> bool {
        self.holds_room(room) || self.has_room_elsewhere(room)
    }

    fn has_room_elsewhere(&self, room: &RoomName) -> bool {
        let cluster = self.0.cluster.get();
        cluster.is_some_and(|cluster| cluster.knows(room))
    }

    /// Whether the room exists or is being made on this node.
    fn holds_room(&self, room: &RoomName) -> bool {
        self.0.directory.find(room).is_some()
    }

    /// The record of a room with a replica here, for the fleet's directory.
    pub(crate) async fn room_record(&self, room: &RoomName) -> Option<RoomRecord> {
        self.room_info(room).await.map(record_of)
    }

    /// A room with a replica here.
    async fn room_info(&self, room: &RoomName) -> Option<RoomInfo> {
        let names = vec![room.clone()];
        let reply = self.admin_here(AdminRequest::ListRooms { names }).await;
        let Ok(AdminReply::Rooms(mut rooms)) = reply else {
            return None;
        };
        rooms.pop()
    }

    /// Makes sure that the room exists on the shard as the rest of the fleet knows it.
    async fn open_replica(
        &self,
        shard: usize,
        room: &RoomName,
        config: Option<&RoomConfig>,
    ) -> Result<(), NodeError> {
        let Some(cluster) = self.0.cluster.get() else {
            return Ok(());
        };
        let Some(record) = cluster.open(room, config).await else {
            return Ok(());
        };
        self.open_on(shard, room, record).await
    }

    async fn open_on(
        &self,
        shard: usize,
        room: &RoomName,
        record: RoomRecord,
    ) -> Result<(), NodeError> {
        let (room, record) = (room.clone(), Box::new(record));
        self.shard(shard)?
            .send(Input::Command(Command::OpenReplica { room, record }))
            .await
    }

    async fn list_rooms(&self, request: AdminRequest) -> Result<AdminReply, NodeError> {
        let mut rooms: Vec<RoomInfo> = Vec::new();
        for shard in self.0.shards.iter() {
            if let AdminReply::Rooms(of_shard) = self.ask(shard, request.clone(), None).await? {
                rooms.extend(of_shard);
            }
        }
        // Each replica of a room knows all of it.
        let mut seen = BTreeSet::new();
        rooms.retain(|room| seen.insert(room.name.clone()));
        Ok(AdminReply::Rooms(rooms))
    }

    /// Participants of each shard.
    fn load(&self) -> Vec<u64> {
        let shards = self.0.shards.iter();
        shards.map(ShardHandle::participants).collect()
    }
}

fn record_of(info: RoomInfo) -> RoomRecord {
    RoomRecord {
        sid: info.sid,
        created_at_ms: info.created_at_ms,
        config: info.config,
        version: 0,
    }
}
