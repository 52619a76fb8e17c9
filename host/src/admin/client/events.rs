//! Server-sent events, as the client reads them.

/// Takes the events of a stream out of the pieces that it comes in.
#[derive(Debug, Default)]
pub(super) struct Events(Vec<u8>);

/// An event with its name and its data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
}

impl Events {
    /// Adds the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }
}

impl Iterator for Events {
    type Item = Event;

    /// The next event that is complete. Comments are none.
    fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.0.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.0.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block);
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some((name, data)) = field("event: ").zip(field("data: ")) {
                return Some(Event { name, data });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_complete_however_they_come() {
        let text = ":\n\nevent: record\ndata: {\"a\":\"é\"}\n\nevent: missed\ndata: 3\n\nevent: rec";
        for size in 1..text.len() {
            let mut events = Events::default();
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                events.push(piece);
                found.extend(events.by_ref().map(|event| (event.name, event.data)));
            }
            let expected = [("record", "{\"a\":\"é\"}"), ("missed", "3")];
            assert_eq!(found, expected.map(|(name, data)| (name.to_owned(), data.to_owned())), "{size}");
        }
    }
}
