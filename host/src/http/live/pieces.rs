//! A terminal's text as pieces of one style each.

use anstyle_parse::{Params, Parser, Perform, Utf8Parser};
use serde::Serialize;

/// The terminal's sixteen colours, on a dark ground.
const COLORS: [&str; 16] = [
    "#6b7280", "#f87171", "#4ade80", "#facc15", "#60a5fa", "#e879f9", "#22d3ee", "#d1d5db", "#9ca3af",
    "#ff8080", "#86efac", "#fde047", "#93c5fd", "#f0abfc", "#67e8f9", "#ffffff",
];

/// Text of one style.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Piece {
    text: String,
    #[serde(flatten)]
    style: Style,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Style {
    /// As CSS has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bold: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    faint: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    italic: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    underline: bool,
}

/// The pieces of a text with a terminal's control sequences. Those that are of no style are left out.
pub(super) fn parse(text: &str) -> Vec<Piece> {
    let mut pieces = Pieces::default();
    let mut parser = Parser::<Utf8Parser>::new();
    for byte in text.bytes() {
        parser.advance(&mut pieces, byte);
    }
    pieces.all
}

#[derive(Default)]
struct Pieces {
    all: Vec<Piece>,
    style: Style,
}

impl Perform for Pieces {
    fn print(&mut self, character: char) {
        match self.all.last_mut().filter(|last| last.style == self.style) {
            Some(last) => last.text.push(character),
            None => self.all.push(Piece { text: character.to_string(), style: self.style.clone() }),
        }
    }

    fn execute(&mut self, byte: u8) {
        if matches!(byte, b'\n' | b'\t') {
            self.print(byte.into());
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: u8) {
        if action != b'm' || !intermediates.is_empty() {
            return;
        }
        let mut numbers = params.iter().flatten().copied();
        while let Some(number) = numbers.next() {
            let style = &mut self.style;
            match number {
                0 => *style = Style::default(),
                1 => style.bold = true,
                2 => style.faint = true,
                3 => style.italic = true,
                4 => style.underline = true,
                22 => (style.bold, style.faint) = (false, false),
                23 => style.italic = false,
                24 => style.underline = false,
                30..=37 => style.color = Some(indexed(number - 30)),
                38 => style.color = extended(&mut numbers),
                39 => style.color = None,
                // The ground stays as it is, so its colour is read and left out.
                48 => drop(extended(&mut numbers)),
                90..=97 => style.color = Some(indexed(number - 90 + 8)),
                _ => {}
            }
        }
    }
}

/// What comes behind 38 and 48: `5;INDEX` or `2;RED;GREEN;BLUE`.
fn extended(numbers: &mut impl Iterator<Item = u16>) -> Option<String> {
    match numbers.next()? {
        5 => numbers.next().map(indexed),
        2 => Some(rgb([numbers.next()?, numbers.next()?, numbers.next()?])),
        _ => None,
    }
}

/// The colour of this number among a terminal's 256.
fn indexed(index: u16) -> String {
    let level = |step: u16| if step == 0 { 0 } else { 55 + 40 * step };
    match index {
        0..=15 => COLORS[usize::from(index)].to_owned(),
        16..=231 => {
            let index = index - 16;
            rgb([level(index / 36), level(index / 6 % 6), level(index % 6)])
        }
        _ => rgb([8 + 10 * (index.min(255) - 232); 3]),
    }
}

fn rgb([red, green, blue]: [u16; 3]) -> String {
    format!("#{:02x}{:02x}{:02x}", red.min(255), green.min(255), blue.min(255))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, style: Style) -> Piece {
        Piece { text: text.to_owned(), style }
    }

    #[test]
    fn colours_are_css_and_the_rest_is_text() {
        let text = "\x1b[1m\x1b[38;5;9merror[E0425]\x1b[0m\x1b[1m: <b>\x1b[0m\n\x1b]8;;https://x/\x1b\\here\x1b]8;;\x1b\\\x1b[K\x1b[94m|\x1b[0m ä";
        let bold = Style { bold: true, ..Style::default() };
        let red = Style { color: Some("#ff8080".to_owned()), ..bold.clone() };
        let blue = Style { color: Some("#93c5fd".to_owned()), ..Style::default() };
        assert_eq!(
            parse(text),
            [
                piece("error[E0425]", red),
                piece(": <b>", bold),
                piece("\nhere", Style::default()),
                piece("|", blue),
                piece(" ä", Style::default()),
            ]
        );
    }

    #[test]
    fn all_colours_of_a_terminal_are_known() {
        assert_eq!([indexed(16), indexed(231), indexed(196)], ["#000000", "#ffffff", "#ff0000"]);
        assert_eq!([indexed(232), indexed(255), indexed(999)], ["#080808", "#eeeeee", "#eeeeee"]);
        assert_eq!(parse("\x1b[38;2;1;2;300mx")[0].style.color.as_deref(), Some("#0102ff"));
        assert_eq!(parse("\x1b[38;5mx\x1b[38mx\x1b[mx").len(), 1, "what is not complete has no colour");
    }
}
