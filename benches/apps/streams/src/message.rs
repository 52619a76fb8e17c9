//! What is sent to each client: the same text by the app and by the bare server.

/// The message of this number: the same length for each.
pub fn message(number: u64) -> String {
    format!("{{\"number\":{number:08},\"text\":\"a message as it is told to all who listen\"}}")
}
