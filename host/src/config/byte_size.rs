//! Sizes in bytes, as operators write them: `8388608`, `"8MiB"`, `"512kB"`.

use super::ranges::{BODY_LIMIT, HEAP_SOFT_LIMIT, SOME_BYTES, STACK_SIZE};
use schemars::{Schema, SchemaGenerator, json_schema};

/// The known units. `KB` is written so often for `kB` that it is taken as that; `Kb` and `m` could be anything else.
const UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1000),
    ("KB", 1000),
    ("MB", 1000_u64.pow(2)),
    ("GB", 1000_u64.pow(3)),
    ("TB", 1000_u64.pow(4)),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// The bytes that a text such as `8MiB` or `8 MiB` stands for; `None` if it is not a size or is past 64 bits.
pub fn parse(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    let unit = rest.strip_prefix(' ').unwrap_or(rest);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The unit that was probably meant in a text with a near miss, such as `8M` or `512kb`.
pub(super) fn suggest(text: &str) -> Option<String> {
    let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let letter = text[number.len()..].trim().chars().next()?;
    // Without an "i" people mean powers of 1024 more often than not in a limit; the file says which in the end.
    let unit = UNITS.iter().rev().find(|(name, _)| name.starts_with(letter.to_ascii_uppercase()))?.0;
    let meant = format!("{number}{unit}");
    parse(&meant).map(|_| meant)
}

/// The schema of a size.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    let units: Vec<_> = UNITS.iter().map(|(name, _)| *name).collect();
    json_schema!({
        "type": ["integer", "string"],
        "minimum": BODY_LIMIT.start(),
        "maximum": BODY_LIMIT.end(),
        "pattern": format!("^[0-9]+ ?({})$", units.join("|")),
    })
}

/// The schema of a size with a minimum.
pub(super) fn some_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = schema(generator);
    schema.insert("minimum".into(), (*SOME_BYTES.start()).into());
    schema
}

/// The schema of the size of a stack.
pub(super) fn stack_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = schema(generator);
    schema.insert("minimum".into(), (*STACK_SIZE.start()).into());
    schema.insert("maximum".into(), (*STACK_SIZE.end()).into());
    schema
}

/// The schema of a size or `null`.
pub(super) fn nullable_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = schema(generator);
    schema.insert("type".into(), serde_json::json!(["integer", "string", "null"]));
    schema.insert("minimum".into(), (*HEAP_SOFT_LIMIT.start()).into());
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0B", 0),
            ("12 B", 12),
            ("512kB", 512_000),
            ("512KB", 512_000),
            ("512KiB", 524_288),
            ("8MiB", 8_388_608),
            ("8 MiB", 8_388_608),
            ("2GB", 2_000_000_000),
            ("1TiB", 1_099_511_627_776),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn not_sizes() {
        for text in [
            "",
            "8",
            "MiB",
            "-1MiB",
            "1.5MiB",
            "8M",
            "8mib",
            "512kb",
            "8  MiB",
            " 8MiB",
            "8MiB ",
            "99999999TiB",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn near_misses() {
        assert_eq!(suggest("8M").as_deref(), Some("8MiB"));
        assert_eq!(suggest("8mib").as_deref(), Some("8MiB"));
        assert_eq!(suggest("512kb").as_deref(), Some("512KiB"));
        assert_eq!(suggest("1 g").as_deref(), Some("1GiB"));
        assert_eq!(suggest("plenty"), None);
        assert_eq!(suggest("8"), None);
        assert_eq!(suggest("1.5MiB"), None);
        assert_eq!(suggest("é"), None);
    }
}
