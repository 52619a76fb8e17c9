//! OpenMetrics in the older text form of Prometheus, which `curl` and older tools understand:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.
//!
//! There a family has the name of its samples, which end in `_total` or `_info`, an info is a gauge, and there are no
//! units and no last line.

use std::collections::HashMap;
use std::fmt::Write;

/// The text with its comments as the older form has them; samples are the same in both.
pub(super) fn from_openmetrics(text: &str) -> String {
    let kinds: HashMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let comment = line.strip_prefix("# ").and_then(|rest| rest.split_once(' '));
        // Writing to a string does not fail.
        let _ = match comment.map(|(word, rest)| (word, rest.split_once(' ').unwrap_or((rest, "")))) {
            None if line == "# EOF" => continue,
            None => writeln!(plain, "{line}"),
            Some(("UNIT", _)) => continue,
            Some((word, (name, rest))) => {
                let suffix = match kinds.get(name) {
                    Some(&"counter") => "_total",
                    Some(&"info") => "_info",
                    _ => "",
                };
                let rest = if (word, rest) == ("TYPE", "info") { "gauge" } else { rest };
                writeln!(plain, "# {word} {name}{suffix} {rest}")
            }
        };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_change_and_samples_stay() {
        let text = "# HELP a_seconds Time # of all\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
                    a_seconds_total{x=\"# HELP\"} 1\n# HELP b B\n# TYPE b info\nb_info{v=\"1\"} 1\n\
                    # HELP c C\n# TYPE c gauge\nc 2\n# EOF\n";
        let plain = "# HELP a_seconds_total Time # of all\n# TYPE a_seconds_total counter\n\
                     a_seconds_total{x=\"# HELP\"} 1\n# HELP b_info B\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n\
                     # HELP c C\n# TYPE c gauge\nc 2\n";
        assert_eq!(from_openmetrics(text), plain);
    }
}
