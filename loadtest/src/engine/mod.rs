//! The media thread: all bots, their sockets and timers.

mod commands;
mod thread;
mod timers;
mod view;

pub(crate) use commands::{Command, Handle};
pub(crate) use thread::start;
pub(crate) use view::{Verification, View, Window};
