//! What every backbone must do for a fleet: one suite, run in the process and against a real NATS server.
//!
//! The server is the program that `TRADEWIND_NATS_SERVER` names, or `nats-server` on the path; without either, the
//! NATS half says so and is skipped.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop here"
)]

mod access;
mod keys;
mod messages;
mod nodes;
mod outage;
mod rooms;
mod world;

use world::World;

/// One test per story and backbone.
macro_rules! stories {
    ($($module:ident :: $story:ident),* $(,)?) => {
        mod in_process {
            $(
                #[tokio::test(start_paused = true)]
                async fn $story() {
                    super::$module::$story(super::World::hub()).await;
                }
            )*
        }

        mod over_nats {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    if let Some(world) = super::World::nats().await {
                        super::$module::$story(world).await;
                    }
                }
            )*
        }
    };
}

stories!(
    keys::a_key_is_replaced_only_by_who_has_read_it_last,
    keys::a_watch_tells_what_is_there_and_then_what_changes,
    messages::a_request_reaches_its_node_and_no_other,
    messages::a_topic_reaches_everyone,
    nodes::nodes_find_each_other_and_see_each_other_leave,
    nodes::a_node_that_does_not_answer_is_withdrawn_and_restored,
    nodes::measurements_reach_everyone,
    outage::rooms_go_on_and_are_announced_again,
    outage::a_room_that_both_sides_opened_is_one_room_afterwards,
    outage::a_backbone_without_its_disk_learns_everything_anew,
    rooms::two_nodes_that_open_a_room_at_once_share_it,
    rooms::a_room_outlives_its_home,
    rooms::metadata_reach_every_replica,
);
