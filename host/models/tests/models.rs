//! Runs the models.

use atoll_models::{doorbell_model, replies_model, streams_model};

#[test]
fn no_wake_up_of_a_doorbell_is_lost() {
    doorbell_model::threads_share_a_port(1, 1);
    doorbell_model::threads_share_a_port(3, 2);
    doorbell_model::a_thread_and_a_loop_share_a_port();
}

#[test]
fn no_reply_is_lost() {
    replies_model::workers_reply_to_one_thread(1, 3);
    replies_model::workers_reply_to_one_thread(3, 2);
}

#[test]
fn no_wake_up_of_a_stream_is_lost() {
    streams_model::senders_share_credit(3);
    streams_model::a_close_ends_all_senders(3);
    streams_model::receivers_share_an_inbox(2, 3);
}
