//! The keys of apps and hosts in NATS.
//!
//! A dot separates the parts of a key, and names of apps and hosts may have dots: those are written as `=`, which no name has.

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `app.NAME`.
    App,
    /// `host.NAME`.
    Host,
    /// `lease.NAME`, of an app.
    Lease,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::App => "app.",
            Self::Host => "host.",
            Self::Lease => "lease.",
        }
    }

    /// What all keys of the kind match.
    pub(super) const fn all(self) -> &'static str {
        match self {
            Self::App => "app.*",
            Self::Host => "host.*",
            Self::Lease => "lease.*",
        }
    }

    /// The key with a name.
    pub(super) fn key(self, name: &str) -> String {
        format!("{}{}", self.prefix(), escaped(name))
    }

    /// The name in a key; `None`: it is of another kind.
    pub(super) fn name(self, key: &str) -> Option<String> {
        key.strip_prefix(self.prefix()).map(unescaped)
    }
}

/// The key of an app on a host.
pub(super) fn app_on_host(host: &str, app: &str) -> String {
    format!("{}.{}", escaped(host), escaped(app))
}

/// The host and the app in a key.
pub(super) fn host_and_app(key: &str) -> Option<(String, String)> {
    key.split_once('.').map(|(host, app)| (unescaped(host), unescaped(app)))
}

fn escaped(name: &str) -> String {
    name.replace('.', "=")
}

fn unescaped(name: &str) -> String {
    name.replace('=', ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_name() {
        for name in ["shop", "a.b", "a..b", "a.", "A-_9"] {
            let key = Kind::App.key(name);
            assert!(!key["app.".len()..].contains('.'), "{key}");
            assert_eq!(Kind::App.name(&key).as_deref(), Some(name));
            assert_eq!(Kind::Host.name(&key), None);
        }
        assert_eq!(Kind::App.key("shop"), "app.shop");
        let key = app_on_host("host.b", "a.b");
        assert_eq!(key, "host=b.a=b");
        assert_eq!(host_and_app(&key), Some(("host.b".into(), "a.b".into())));
        assert_eq!(host_and_app("host"), None);
    }
}
