//! Media threads. Each owns one [`tradewind_rtc::Shard`], its UDP socket and the way to its connections; nothing it
//! touches while it turns is behind a lock.

mod handle;
mod input;
mod outbox;
mod thread;

pub(crate) use handle::{ShardHandle, start};
pub(crate) use input::{Input, Notice, TcpInput};
