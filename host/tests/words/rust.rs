//! The string literals and doc comments of a source file. Tests and the reasons of lints are left out.

use proc_macro2::{Delimiter, Group, Literal, TokenStream, TokenTree};
use syn::Lit;

use super::Passage;

pub(crate) fn passages(source: &str, text: &str) -> Vec<Passage> {
    let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{source}: {error}"));
    let mut reader = Reader { source, passages: Vec::new(), doc_until: 0 };
    reader.read(stream);
    reader.passages
}

struct Reader<'s> {
    source: &'s str,
    passages: Vec<Passage>,
    /// The last line of the doc comment that was read last.
    doc_until: usize,
}

impl Reader<'_> {
    fn read(&mut self, stream: TokenStream) {
        let mut tokens = stream.into_iter().peekable();
        let mut is_attribute = false;
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    is_attribute = true;
                    continue;
                }
                TokenTree::Punct(mark) if mark.as_char() == '!' && is_attribute => continue,
                TokenTree::Group(group) if is_attribute && group.delimiter() == Delimiter::Bracket => {
                    if self.attribute(&group) {
                        // What is only there for tests.
                        for token in tokens.by_ref() {
                            match token {
                                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
                                TokenTree::Punct(mark) if mark.as_char() == ';' => break,
                                _ => {}
                            }
                        }
                    }
                }
                TokenTree::Group(group) => self.read(group.stream()),
                TokenTree::Literal(literal) => self.text(&literal),
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
            is_attribute = false;
        }
    }

    /// Reads an attribute; whether what follows is for tests only.
    fn attribute(&mut self, group: &Group) -> bool {
        let mut tokens = group.stream().into_iter();
        let Some(TokenTree::Ident(name)) = tokens.next() else { return false };
        match name.to_string().as_str() {
            "doc" => self.doc(tokens),
            "allow" | "expect" | "cfg_attr" => {}
            "cfg" => return group.stream().to_string().replace(' ', "") == "cfg(test)",
            _ => self.read(group.stream()),
        }
        false
    }

    fn doc(&mut self, tokens: impl Iterator<Item = TokenTree>) {
        for token in tokens {
            let TokenTree::Literal(literal) = token else { continue };
            let (first, last) = (literal.span().start().line, literal.span().end().line);
            let Some(text) = value(literal) else { continue };
            match self.passages.last_mut() {
                Some(passage) if first == self.doc_until + 1 => {
                    passage.text.push('\n');
                    passage.text.push_str(&text);
                }
                _ => self.add(first, text),
            }
            self.doc_until = last;
        }
    }

    fn text(&mut self, literal: &Literal) {
        let line = literal.span().start().line;
        if let Some(text) = value(literal.clone()) {
            self.add(line, text);
        }
        self.doc_until = 0;
    }

    fn add(&mut self, line: usize, text: String) {
        self.passages.push(Passage { source: self.source.to_owned(), line, text });
    }
}

fn value(literal: Literal) -> Option<String> {
    match Lit::new(literal) {
        Lit::Str(text) => Some(text.value()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_seen_and_code_and_tests_are_not() {
        let source = r#"//! The file.
/// One
/// two.
#[expect(dead_code, reason = "left out")]
fn whoever() {
    // A comment.
    log::warn!("three {}", "four");
}
#[cfg(test)]
mod tests { const LEFT_OUT: &str = "left out"; }
#[error("five")]
struct Error;
"#;
        let found: Vec<_> =
            passages("x.rs", source).into_iter().map(|found| (found.line, found.text)).collect();
        let all = [(1, " The file.\n One\n two."), (7, "three {}"), (7, "four"), (11, "five")];
        assert_eq!(found, all.map(|(line, text)| (line, text.to_owned())));
    }
}
