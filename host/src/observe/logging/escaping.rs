//! Records whose text cannot be taken for something else on a terminal.

use std::borrow::Cow;

use env_logger::Logger;
use log::kv::{self, Key, Source, Value, VisitSource};
use log::{Log, Metadata, Record};

use crate::observe::escape;

/// Writes records as text, with what apps and clients have put into them escaped.
pub(super) struct Escaping(pub(super) Logger);

impl Log for Escaping {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.0.matches(record) {
            return;
        }
        let text = record.args().as_str().map_or_else(|| record.args().to_string().into(), Cow::Borrowed);
        let (message, target) = (escape::lines(&text), escape::line(record.target()));
        let (mut builder, same) = (record.to_builder(), record.key_values());
        let builder = builder.target(&target);
        if !is_unsafe(same) {
            return self.0.log(&builder.key_values(&same).args(format_args!("{message}")).build());
        }
        let mut safe = Safe::default();
        // This visitor does not fail.
        let _ = same.visit(&mut safe);
        self.0.log(&builder.key_values(&safe.0).args(format_args!("{message}")).build());
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// Whether one of the values has what is to be escaped. Most are short texts and numbers, which are not copied for it.
fn is_unsafe(pairs: &dyn Source) -> bool {
    struct Look(bool);
    impl<'kvs> VisitSource<'kvs> for Look {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
            let is_safe = |text: &str| matches!(escape::line(text), Cow::Borrowed(_));
            let is_number = || value.to_u64().is_some() || value.to_f64().is_some();
            self.0 |= !is_safe(key.as_str());
            self.0 |= match value.to_borrowed_str() {
                Some(text) => !is_safe(text),
                None => !is_number() && !is_safe(&value.to_string()),
            };
            Ok(())
        }
    }
    let mut look = Look(false);
    // This visitor does not fail.
    let _ = pairs.visit(&mut look);
    look.0
}

/// What a record says beside its message.
#[derive(Default)]
struct Safe(Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Safe {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let value = value.to_string();
        self.0.push((escape::line(key.as_str()).into_owned(), escape::line(&value).into_owned()));
        Ok(())
    }
}
