//! What the holder of an access token may do with calls: the grants server SDKs write into tokens for rooms.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tradewind_signalling::token::{Claims, verify};

use super::CallsState;
use crate::clock::unix_s;
use crate::http::problem::{Kind, Problem};
use crate::http::signal::bearer;

/// An application that showed a token of an API key of this server.
pub(super) struct Application(Claims);

impl FromRequestParts<CallsState> for Application {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &CallsState) -> Result<Self, Problem> {
        let token = bearer(&parts.headers).ok_or_else(|| {
            let advice =
                "no access token: sign one with an API secret and send it as Authorization: Bearer";
            Problem::of(Kind::NoToken, advice)
        })?;
        verify(&state.app.keys, token, unix_s())
            .map(Self)
            .map_err(|error| Problem::of(Kind::ForeignToken, error.to_string()))
    }
}

impl Application {
    /// The API key that signed.
    pub(super) fn api_key(&self) -> &str {
        &self.0.api_key
    }

    /// # Errors
    /// The token does not have `roomCreate`.
    pub(super) fn may_create(&self) -> Result<(), Problem> {
        demand(self.0.grants.room_create, "roomCreate")
    }

    /// # Errors
    /// The token does not have `roomList`.
    pub(super) fn may_list(&self) -> Result<(), Problem> {
        demand(self.0.grants.room_list, "roomList")
    }

    /// # Errors
    /// The token has neither `roomList` nor `roomAdmin` for this call.
    pub(super) fn may_see(&self, id: &str) -> Result<(), Problem> {
        let grants = &self.0.grants;
        demand(
            grants.room_list || self.administers(id),
            "roomList, or roomAdmin with the call's id as room",
        )
    }

    /// # Errors
    /// The token has neither `roomCreate` nor `roomAdmin` for this call.
    pub(super) fn may_change(&self, id: &str) -> Result<(), Problem> {
        let grants = &self.0.grants;
        demand(
            grants.room_create || self.administers(id),
            "roomCreate, or roomAdmin with the call's id as room",
        )
    }

    fn administers(&self, id: &str) -> bool {
        self.0.grants.room_admin && self.0.grants.room == id
    }
}

fn demand(granted: bool, grant: &str) -> Result<(), Problem> {
    if granted {
        Ok(())
    } else {
        Err(Problem::of(
            Kind::MissingGrant,
            format!("the token lacks the grant {grant}"),
        ))
    }
}
