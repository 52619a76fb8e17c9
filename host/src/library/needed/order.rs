//! What was found, in the order in which it is copied and opened: each library behind those that it needs.

use std::collections::HashMap;
use std::path::PathBuf;

use super::error::NeededError;
use super::find::Node;

/// What was found beside a library.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Each behind those that it needs.
    pub(crate) libraries: Vec<FoundLibrary>,
    /// Which of them the library needs itself: the name, and the place in `libraries`.
    pub(crate) needs: Vec<(String, usize)>,
    /// Where was looked, for people: folders, and files that were passed over with the reason.
    pub(crate) searched: Vec<String>,
}

/// A library that was found.
#[derive(Debug)]
pub(crate) struct FoundLibrary {
    /// The name by which it is needed first.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// As [`Found::needs`].
    pub(crate) needs: Vec<(String, usize)>,
}

/// Puts libraries in order. `needs`: the name and place of each that the first library needs itself.
///
/// # Errors
/// There is no order, as some need each other.
pub(super) fn in_order(
    nodes: Vec<Node>,
    needs: Vec<(String, usize)>,
    searched: Vec<String>,
) -> Result<Found, NeededError> {
    let (mut above, mut order) = (Vec::new(), Vec::new());
    for place in 0..nodes.len() {
        visit(&nodes, place, &mut above, &mut order)?;
    }
    let new: HashMap<usize, usize> = order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
    let moved =
        |needs: Vec<(String, usize)>| needs.into_iter().map(|(name, old)| (name, new[&old])).collect();
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    let sorted = order.iter().filter_map(|&place| nodes[place].take());
    let libraries =
        sorted.map(|Node { name, path, needs, .. }| FoundLibrary { name, path, needs: moved(needs) });
    Ok(Found { libraries: libraries.collect(), needs: moved(needs), searched })
}

/// Adds a library behind all that it needs. `above`: those that are visited because they need it.
fn visit(
    nodes: &[Node],
    place: usize,
    above: &mut Vec<usize>,
    order: &mut Vec<usize>,
) -> Result<(), NeededError> {
    if order.contains(&place) {
        return Ok(());
    }
    if let Some(first) = above.iter().position(|it| *it == place) {
        let circle = above[first..].iter().chain([&place]);
        return Err(NeededError::Cycle(circle.map(|&it| nodes[it].name.clone()).collect()));
    }
    above.push(place);
    for (_, needed) in &nodes[place].needs {
        visit(nodes, *needed, above, order)?;
    }
    above.pop();
    order.push(place);
    Ok(())
}
