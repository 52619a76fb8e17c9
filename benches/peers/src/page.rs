//! The page of the book that shows the figures.

use std::path::Path;

use anyhow::{Context, anyhow};

/// The figures are between these.
const BEGIN: &str = "<!-- measured: written by benches/peers -->\n";
const END: &str = "<!-- measured: end -->\n";

/// Shows the plot, which is a file beside the page.
const PLOT: &str = "![Throughput, CPU time and latency of Atoll and its peers](peers.svg)";

/// Puts new figures into the page, and the plot beside it.
pub(crate) fn write(figures: &str, plot: &str) -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src");
    let page = folder.join("peers.md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("{} is needed", page.display()))?;
    let text = replaced(&text, figures)
        .ok_or_else(|| anyhow!("{} needs the lines {BEGIN:?} and {END:?}, in this order", page.display()))?;
    std::fs::write(&page, text)?;
    std::fs::write(folder.join("peers.svg"), plot)?;
    eprintln!("written: docs/src/peers.md, docs/src/peers.svg");
    Ok(())
}

/// Leaves a plot to be looked at outside the book.
pub(crate) fn draft(plot: &str) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers.svg");
    std::fs::write(&path, plot).with_context(|| format!("{} cannot be written", path.display()))?;
    eprintln!("plot: benches/peers/target/peers.svg");
    Ok(())
}

fn replaced(text: &str, figures: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{PLOT}\n\n{figures}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_figures_are_replaced() {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        let once = replaced(&page, "new\n").unwrap();
        assert_eq!(once, format!("before\n{BEGIN}\n{PLOT}\n\nnew\n\n{END}after\n"));
        assert_eq!(replaced(&once, "new\n").unwrap(), once);
        assert_eq!(replaced("a page without figures", "new"), None);
    }
}
