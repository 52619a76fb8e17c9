//! Finds phrases in a text.

/// A phrase to avoid, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) avoid: String,
    pub(crate) instead: String,
}

/// A phrase that was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'r> {
    /// The line in the text, from 0.
    pub(crate) line: usize,
    pub(crate) phrase: &'r str,
    pub(crate) instead: &'r str,
}

/// A word in lower case, and where it is.
struct Word {
    text: String,
    line: usize,
    /// Only white space is between it and the word before.
    follows: bool,
}

/// All phrases of the rules in a text, whatever the case and the line breaks; code in backticks is left out.
pub(crate) fn find<'r>(rules: &'r [Rule], text: &str) -> Vec<Found<'r>> {
    let words = words(&without_code(text));
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        for Rule { avoid, instead } in rules {
            let mut rest = words[at..].iter();
            let is_here = avoid.split(' ').enumerate().all(|(n, wanted)| {
                rest.next().is_some_and(|word| word.text == wanted && (n == 0 || word.follows))
            });
            if is_here {
                found.push(Found { line: word.line, phrase: avoid, instead });
            }
        }
    }
    found
}

fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let (mut line, mut in_word, mut follows) = (0, false, false);
    for c in text.chars() {
        if c.is_alphanumeric() || c == '\'' || c == '_' {
            if !in_word {
                words.push(Word { text: String::new(), line, follows });
            }
            if let Some(word) = words.last_mut() {
                word.text.extend(c.to_lowercase());
            }
            (in_word, follows) = (true, true);
        } else {
            in_word = false;
            follows = follows && c.is_whitespace();
            line += usize::from(c == '\n');
        }
    }
    words
}

/// The text with `code` replaced by a dash, and the lines as they are.
fn without_code(text: &str) -> String {
    let mut prose = String::new();
    for (n, part) in text.split('`').enumerate() {
        if n % 2 == 0 {
            prose.push_str(part);
        } else {
            prose.push('-');
            prose.extend(part.chars().filter(|c| *c == '\n'));
        }
    }
    prose
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        let rule = |avoid: &str| Rule { avoid: avoid.to_owned(), instead: "continues".to_owned() };
        let rules = [rule("goes on"), rule("whoever")];
        find(&rules, text).into_iter().map(|found| (found.line, found.phrase.to_owned())).collect()
    }

    #[test]
    fn phrases_are_found_in_any_case_and_over_line_breaks() {
        let text = "Whoever reads.\nIt Goes\n  on here; whoever";
        let all = [(0, "whoever"), (1, "goes on"), (2, "whoever")];
        assert_eq!(found(text), all.map(|(line, phrase)| (line, phrase.to_owned())));
    }

    #[test]
    fn other_words_and_code_are_not_found() {
        assert_eq!(found("It goes, on; undergoes on; goes one; `goes on` and `whoever`."), []);
    }
}
