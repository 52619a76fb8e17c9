//! A log record as a short line, for those who look on.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use env_logger::fmt::Formatter;
use jiff::Zoned;
use log::kv::{self, Key, Value, VisitSource};
use log::{Level, Record};

const FAINT: Style = Style::new().dimmed();

/// Writes the time of day, who says it if that is an app, the message, and what else the record says.
pub(super) fn write(line: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut more = More::default();
    record.key_values().visit(&mut more).map_err(io::Error::other)?;
    let time = Zoned::now().strftime("%H:%M:%S%.3f");
    write!(line, "{FAINT}{time}{FAINT:#} ")?;
    let level = record.level();
    if level != Level::Info {
        let style = line.default_level_style(level);
        write!(line, "{style}{level}{style:#} ")?;
    }
    if let (Some(app), Some(generation)) = (&more.app, &more.generation) {
        let style = AnsiColor::Cyan.on_default();
        write!(line, "{style}{app}#{generation}{style:#} ")?;
    }
    // A line at the left begins with a time: none of a text's own is there.
    write!(line, "{}", record.args().to_string().replace('\n', "\n    "))?;
    if !more.rest.is_empty() {
        write!(line, "{FAINT}{}{FAINT:#}", more.rest)?;
    }
    writeln!(line)
}

/// What a record says beside its message.
#[derive(Default)]
struct More {
    app: Option<String>,
    generation: Option<String>,
    rest: String,
}

impl<'kvs> VisitSource<'kvs> for More {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        match key.as_str() {
            "app" => self.app = Some(value.to_string()),
            "generation" => self.generation = Some(value.to_string()),
            name => self.rest.push_str(&format!(" {name}={value}")),
        }
        Ok(())
    }
}
