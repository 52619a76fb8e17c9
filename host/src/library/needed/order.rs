//! The order in which libraries are copied and opened: each behind those that it needs.

use super::error::NeededError;
use super::find::Node;

/// The places of libraries, each behind those that it needs.
///
/// # Errors
/// There is none, as some need each other.
pub(super) fn in_order(nodes: &[Node]) -> Result<Vec<usize>, NeededError> {
    let (mut above, mut order) = (Vec::new(), Vec::new());
    for place in 0..nodes.len() {
        visit(nodes, place, &mut above, &mut order)?;
    }
    Ok(order)
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
