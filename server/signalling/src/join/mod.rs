//! What a client says when it connects: a query string beside its token, read into a command for the room.

mod client;
mod query;
mod user_agent;
mod wrapped;

use std::collections::BTreeMap;

use tradewind_rtc::{
    AddTrack, Client, ConnectionId, Join, PeerMode, Resume, SessionDescription, SyncState,
};

use crate::limits::Limits;
use crate::token::Claims;

/// A connect request that was understood.
#[derive(Clone, Debug)]
pub struct Connect {
    pub request: ConnectRequest,
    pub settings: ConnectionSettings,
}

/// What the connection wants of the room.
#[derive(Clone, Debug)]
pub enum ConnectRequest {
    Join(Box<Join>),
    Resume(Box<Resume>),
}

/// What a [`Session`](crate::session::Session) needs to know of its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionSettings {
    pub client: Client,
    /// `18.3`; empty outside browsers.
    pub browser_version: String,
    pub peer_mode: PeerMode,
}

/// Why a connect request was refused. The text is for the developer: SDKs show it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("the token does not allow joining a room: grant `roomJoin`")]
    JoinNotAllowed,
    #[error("the token names no identity: set `sub`")]
    NoIdentity,
    #[error("the token names no room: set `room` in its video grant")]
    NoRoom,
    #[error("the {what} is longer than {limit} characters")]
    TextTooLong { what: &'static str, limit: usize },
    #[error("the {what} take more than {limit} bytes")]
    TooLarge { what: &'static str, limit: usize },
    #[error(
        "the token does not allow setting metadata or attributes: grant `canUpdateOwnMetadata`"
    )]
    MetadataNotAllowed,
    #[error("`attributes` is not base64url of a JSON object of texts")]
    BadAttributes,
    #[error("`join_request` is missing")]
    NoJoinRequest,
    #[error("`join_request` is malformed: {0}")]
    BadJoinRequest(String),
    #[error("more than {limit} tracks in one join request: announce the others later")]
    TooManyTracks { limit: usize },
    #[error("a track in the join request was refused: {0}")]
    BadTrack(&'static str),
}

impl ConnectError {
    /// HTTP status. SDKs give up on 401 and try again on others.
    pub fn status(&self) -> u16 {
        match self {
            Self::JoinNotAllowed | Self::MetadataNotAllowed => 401,
            _ => 400,
        }
    }
}

/// Reads the query of `/rtc`: one parameter per setting, two peer connections.
///
/// # Errors
/// The first reason to refuse the request. Unknown parameters are ignored.
pub fn connect_v0(
    query: &str,
    claims: &Claims,
    connection: ConnectionId,
    limits: &Limits,
) -> Result<Connect, ConnectError> {
    query::read(query)?.connect(claims, connection, limits)
}

/// Reads the query of `/rtc/v1`: one `join_request` in protobuf, one peer connection.
///
/// # Errors
/// The first reason to refuse the request. Unknown parameters and fields are ignored.
pub fn connect_v1(
    query: &str,
    claims: &Claims,
    connection: ConnectionId,
    limits: &Limits,
) -> Result<Connect, ConnectError> {
    wrapped::read(query, limits)?.connect(claims, connection, limits)
}

/// What either form of request says.
struct Request {
    client: Client,
    browser_version: String,
    peer_mode: PeerMode,
    auto_subscribe: bool,
    auto_subscribe_data_tracks: bool,
    adaptive_stream: bool,
    disable_ice_lite: bool,
    metadata: String,
    attributes: BTreeMap<String, String>,
    offer: Option<SessionDescription>,
    add_tracks: Vec<AddTrack>,
    /// Sid of the participant to resume, empty if not known.
    resume: Option<String>,
    sync_state: Option<SyncState>,
}

impl Request {
    fn connect(
        self,
        claims: &Claims,
        connection: ConnectionId,
        limits: &Limits,
    ) -> Result<Connect, ConnectError> {
        check_claims(claims, limits)?;
        let settings = ConnectionSettings {
            client: self.client.clone(),
            browser_version: self.browser_version.clone(),
            peer_mode: self.peer_mode,
        };
        let request = match self.resume {
            Some(participant) => ConnectRequest::Resume(Box::new(Resume {
                connection,
                room: claims.grants.room.as_str().into(),
                identity: claims.identity.as_str().into(),
                participant: participant.into(),
                sync_state: self.sync_state,
                offer: self.offer,
            })),
            None => ConnectRequest::Join(Box::new(self.join(claims, connection, limits)?)),
        };
        Ok(Connect { request, settings })
    }

    fn join(
        self,
        claims: &Claims,
        connection: ConnectionId,
        limits: &Limits,
    ) -> Result<Join, ConnectError> {
        let permission = claims.grants.permission();
        let states_own = !self.metadata.is_empty() || !self.attributes.is_empty();
        if states_own && !permission.can_update_metadata {
            return Err(ConnectError::MetadataNotAllowed);
        }
        let metadata = if self.metadata.is_empty() {
            claims.metadata.clone()
        } else {
            self.metadata
        };
        let mut attributes = claims.attributes.clone();
        // The protocol does not let an empty value here delete what the token says.
        attributes.extend(
            self.attributes
                .into_iter()
                .filter(|(_, value)| !value.is_empty()),
        );
        check_bytes("metadata", metadata.len(), limits.metadata_bytes)?;
        let attribute_bytes = attributes
            .iter()
            .map(|(key, value)| key.len() + value.len());
        check_bytes("attributes", attribute_bytes.sum(), limits.attributes_bytes)?;
        Ok(Join {
            connection,
            room: claims.grants.room.as_str().into(),
            room_config: claims.room_config.clone(),
            identity: claims.identity.as_str().into(),
            name: claims.name.clone(),
            metadata,
            attributes,
            permission,
            kind: claims.kind,
            kind_details: claims.kind_details.clone(),
            full_ice: self.disable_ice_lite || user_agent::needs_full_ice(&self.client),
            client: self.client,
            peer_mode: self.peer_mode,
            auto_subscribe: self.auto_subscribe,
            auto_subscribe_data_tracks: self.auto_subscribe_data_tracks,
            adaptive_stream: self.adaptive_stream,
            offer: self.offer,
            add_tracks: self.add_tracks,
        })
    }
}

fn check_claims(claims: &Claims, limits: &Limits) -> Result<(), ConnectError> {
    if !claims.grants.room_join {
        return Err(ConnectError::JoinNotAllowed);
    }
    if claims.identity.is_empty() {
        return Err(ConnectError::NoIdentity);
    }
    if claims.grants.room.is_empty() {
        return Err(ConnectError::NoRoom);
    }
    check_chars("identity", &claims.identity, limits.identity_chars)?;
    check_chars("participant's name", &claims.name, limits.name_chars)?;
    check_chars("room's name", &claims.grants.room, limits.room_name_chars)
}

fn check_chars(what: &'static str, text: &str, limit: usize) -> Result<(), ConnectError> {
    if text.chars().count() > limit {
        return Err(ConnectError::TextTooLong { what, limit });
    }
    Ok(())
}

fn check_bytes(what: &'static str, bytes: usize, limit: usize) -> Result<(), ConnectError> {
    if bytes > limit {
        return Err(ConnectError::TooLarge { what, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
