//! The table of a crate's layers, in the book.

/// A folder of a crate, or a file beside its root.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The folder's name, or `file.rs`.
    pub(crate) name: String,
    /// The layers below that it may use.
    pub(crate) may_use: Vec<String>,
}

/// The layers of the crate with its sources in `root`, from the top: the first table below the heading that names `root`.
pub(crate) fn read(page: &str, root: &str) -> Result<Vec<Layer>, String> {
    let named = format!("`{root}`");
    let mut lines = page.lines().skip_while(|line| !(line.starts_with('#') && line.contains(&named)));
    lines.next().ok_or_else(|| format!("the page has no heading with {named}"))?;
    let rows = lines
        .take_while(|line| !line.starts_with('#'))
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    // The first two are the table's head.
    let layers: Vec<Layer> = rows.skip(2).filter_map(row).collect();
    if layers.is_empty() {
        return Err(format!("the page has no table below its heading with {named}"));
    }
    for (place, layer) in layers.iter().enumerate() {
        let is_below = |name: &String| layers[place + 1..].iter().any(|below| below.name == *name);
        if let Some(other) = layer.may_use.iter().find(|name| !is_below(name)) {
            return Err(format!("`{}` may use `{other}`, which does not stand below it", layer.name));
        }
    }
    Ok(layers)
}

/// The first cell names the layer, the last one what it may use.
fn row(line: &str) -> Option<Layer> {
    let mut cells = line.trim().trim_matches('|').split('|');
    let name = code(cells.next()?).next()?;
    Some(Layer { name, may_use: code(cells.next_back()?).collect() })
}

/// What stands between backquotes.
fn code(cell: &str) -> impl Iterator<Item = String> {
    cell.split('`').skip(1).step_by(2).map(|name| name.trim_end_matches('/').to_owned())
}
