//! Frames: how long the text is and which request it belongs to, four bytes each, then the text.

/// The bytes of a frame before its text.
const HEAD: usize = 8;

/// Adds a frame to what is to be sent.
pub fn put(bytes: &mut Vec<u8>, number: u32, text: &[u8]) {
    // A text is as long as a request's head: far below 4 GiB.
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(text);
}

/// Takes all complete frames from what has come.
pub fn take(bytes: &mut Vec<u8>, mut each: impl FnMut(u32, &[u8])) {
    let mut taken = 0;
    while let Some((number, text)) = first(&bytes[taken..]) {
        each(number, text);
        taken += HEAD + text.len();
    }
    bytes.drain(..taken);
}

fn first(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (number, rest) = rest.split_first_chunk()?;
    let text = rest.get(..u32::from_le_bytes(*length) as usize)?;
    Some((u32::from_le_bytes(*number), text))
}
