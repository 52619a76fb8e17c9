//! The paragraphs and the word list of a page.

use super::Passage;
use super::finder::Rule;

/// The text outside of code blocks and comments, by paragraphs.
pub(crate) fn passages(source: &str, text: &str) -> Vec<Passage> {
    let mut passages: Vec<Passage> = Vec::new();
    let mut fence: Option<&str> = None;
    let mut is_open = false;
    for (line, content) in text.lines().enumerate() {
        let trimmed = content.trim_start();
        if let Some(end) = fence {
            if trimmed.starts_with(end) {
                fence = None;
            }
            is_open = false;
            continue;
        }
        fence = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        if fence.is_some() || trimmed.is_empty() || trimmed.starts_with("<!--") {
            is_open = false;
            continue;
        }
        match passages.last_mut() {
            Some(passage) if is_open => {
                passage.text.push('\n');
                passage.text.push_str(content);
            }
            _ => {
                passages.push(Passage { source: source.to_owned(), line: line + 1, text: content.to_owned() })
            }
        }
        is_open = true;
    }
    passages
}

/// The rows of the table whose columns are `avoid` and `use`. Several phrases in a cell are separated by commas.
pub(crate) fn rules(page: &str) -> Vec<Rule> {
    let rows =
        page.lines().filter_map(cells).skip_while(|[avoid, instead]| (*avoid, *instead) != ("avoid", "use"));
    let rows = rows.skip(1).filter(|[avoid, _]| !avoid.starts_with('-'));
    rows.flat_map(|[avoid, instead]| {
        avoid
            .split(',')
            .map(|phrase| Rule { avoid: phrase.trim().to_lowercase(), instead: instead.to_owned() })
    })
    .collect()
}

fn cells(line: &str) -> Option<[&str; 2]> {
    let (avoid, instead) = line.strip_prefix('|')?.strip_suffix('|')?.split_once('|')?;
    Some([avoid.trim(), instead.trim()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_blocks_are_left_out() {
        let page = "# A\n\none\ntwo\n\n```text\ngoes on\n```\n| a | b |\n";
        let found: Vec<_> =
            passages("p", page).into_iter().map(|passage| (passage.line, passage.text)).collect();
        assert_eq!(found, [(1, "# A".to_owned()), (3, "one\ntwo".to_owned()), (9, "| a | b |".to_owned())]);
    }

    #[test]
    fn the_word_list_is_a_table() {
        let page =
            "| x | y |\n|---|---|\n| a | b |\n\n| avoid | use |\n|---|---|\n| goes on, go on | continues |\n";
        let rule = |avoid: &str| Rule { avoid: avoid.to_owned(), instead: "continues".to_owned() };
        assert_eq!(rules(page), [rule("goes on"), rule("go on")]);
    }
}
