//! The engine as its callers see it.

mod beliefs;
mod calls;
mod common;
mod properties;
