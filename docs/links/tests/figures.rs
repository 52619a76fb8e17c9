//! What the book repeats of its measurements is what was measured.

#[test]
fn the_comparison_has_the_figures_of_the_measurement() {
    let measured = include_str!("../../src/peers.md");
    let rows = ["| throughput", "| first request", "| memory of the server"];
    let mut count = 0;
    for row in rows {
        let line = include_str!("../../src/choosing.md").lines().find(|line| line.starts_with(row));
        let figures =
            line.unwrap_or_else(|| panic!("docs/src/choosing.md lacks the row {row}")).split(['|', ',']);
        for figure in figures {
            // `0.77 wasmtime`, `2.83 ms`, `97 MB node`: the number, with its unit if it has one.
            let words: Vec<_> = figure.split_whitespace().collect();
            let Some(number) = words.first().filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
            else {
                continue;
            };
            let unit = words.get(1).filter(|unit| ["ms", "MB"].contains(unit));
            let cell = unit.map_or(format!("| {number} |"), |unit| format!("| {number} {unit} |"));
            assert!(measured.contains(&cell), "docs/src/choosing.md says {cell}, docs/src/peers.md does not");
            count += 1;
        }
    }
    assert!(count > 15, "the rows have figures: {count}");
}
