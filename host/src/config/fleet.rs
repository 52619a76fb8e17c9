//! `fleet` of an `apps.json`: the hosts that share apps through NATS.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::{Schema, json_schema};

use super::app::{NAME, absolute, is_app_name};
use super::labels;
use super::node::Node;

/// What is expected as the fleet of a file.
const EXPECTED: &str = r#"a fleet such as { "name": "prod", "nats": ["nats://10.0.0.5:4222"] }"#;
const NAME_EXPECTED: &str = "a name of 1 to 64 characters a-z A-Z 0-9 - _";
const HOST_EXPECTED: &str =
    "a name of 1 to 64 characters a-z A-Z 0-9 - _ . that starts with a letter or digit";
const URL_EXPECTED: &str =
    "the URL of a NATS server such as \"nats://10.0.0.5:4222\" or \"tls://nats.example.com\"";
const URLS_EXPECTED: &str = r#"a list of URLs such as ["nats://10.0.0.5:4222"]"#;
const TLS_EXPECTED: &str = r#"an object of files such as { "ca": "ca.pem" }"#;
const SIGNERS_EXPECTED: &str = r#"a list of PEM files with public keys such as ["ann.pem"]"#;
const FILE_EXPECTED: &str = "the path of a file";

/// The longest name of a fleet, in bytes.
const MAX_NAME: usize = 64;

/// The most files with the keys of signers.
pub(crate) const MAX_SIGNERS: usize = 64;

/// How many copies NATS can keep of a bucket.
const REPLICAS: RangeInclusive<u64> = 1..=5;

/// The hosts that share apps through NATS, and how this one is one of them.
///
/// ```
/// use atoll_host::config::Config;
/// use std::path::Path;
///
/// let text = r#"{ "fleet": { "name": "prod", "nats": ["nats://10.0.0.5:4222"] }, "apps": [] }"#;
/// let fleet = Config::parse(text, Path::new("/srv"), "apps.json")?.fleet.unwrap();
/// assert_eq!((fleet.name.as_str(), fleet.nats.len()), ("prod", 1));
/// # Ok::<(), atoll_host::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetSettings {
    /// Its name: fleets of different names on one NATS server share nothing.
    pub name: String,
    /// The servers of one NATS cluster.
    pub nats: Vec<NatsUrl>,
    /// A file with the credentials for NATS, as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// A file with the seed of an NKey, as `nk -gen user` writes it, instead of credentials.
    pub nkey: Option<PathBuf>,
    /// What TLS connections to NATS use.
    pub tls: Option<FleetTls>,
    /// How many servers keep a copy of what the fleet stores, where it is not stored yet: 1 to 5.
    pub replicas: usize,
    /// PEM files with the ed25519 public keys of those whose versions this host serves. Empty: it serves versions without
    /// signatures, too.
    pub signers: Vec<PathBuf>,
    /// What tells this host from others, for the setting [`on`](super::Settings::on) of apps, and for people.
    pub labels: BTreeMap<String, String>,
    /// The name of this host. `None`: that of the machine.
    pub host: Option<String>,
}

/// What TLS connections to NATS use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetTls {
    /// A PEM file with the certificate authority of the servers. `None`: those of the system.
    pub ca: Option<PathBuf>,
    /// PEM files with the certificate of this host, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// The URL of a NATS server. It may have a password, which is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl(String);

/// A text that is not the URL of a NATS server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {URL_EXPECTED}")]
pub struct NoNatsUrl;

impl NatsUrl {
    /// The URL with its password.
    #[cfg(feature = "fleet")]
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl FromStr for NatsUrl {
    type Err = NoNatsUrl;

    fn from_str(text: &str) -> Result<Self, NoNatsUrl> {
        let rest = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://")).ok_or(NoNatsUrl)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest).parse::<http::uri::Authority>();
        match authority {
            Ok(authority) if !authority.host().is_empty() => Ok(Self(text.to_owned())),
            _ => Err(NoNatsUrl),
        }
    }
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or_default();
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        write!(f, "{scheme}://{host}")
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FleetSettings {
    /// The name of a fleet that has none.
    pub const DEFAULT_NAME: &str = "default";

    /// The fleet `default` on these servers.
    ///
    /// ```
    /// use atoll_host::config::FleetSettings;
    ///
    /// let fleet = FleetSettings::on(vec!["nats://127.0.0.1:4222".parse()?]);
    /// assert_eq!(fleet.name, "default");
    /// # Ok::<(), atoll_host::config::NoNatsUrl>(())
    /// ```
    pub fn on(nats: Vec<NatsUrl>) -> Self {
        Self {
            name: Self::DEFAULT_NAME.to_owned(),
            nats,
            credentials: None,
            nkey: None,
            tls: None,
            replicas: 1,
            signers: Vec::new(),
            labels: BTreeMap::new(),
            host: None,
        }
    }

    /// The name of this host in the fleet.
    pub(crate) fn host_name(&self) -> String {
        self.host.clone().unwrap_or_else(|| as_name(&rustix::system::uname().nodename().to_string_lossy()))
    }
}

/// A name for a host like the one of its machine.
fn as_name(machine: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = machine.chars().map(plain).take(MAX_NAME).collect();
    if is_app_name(&name) { name } else { "host".to_owned() }
}

/// Reads `fleet`. Relative paths are taken from `base_dir`.
pub(super) fn read(node: &Node<'_>, base_dir: &Path) -> Option<FleetSettings> {
    let file = |node: &Node<'_>| {
        let path = node.text(FILE_EXPECTED, |path| !path.is_empty() && !path.contains('\0'))?;
        Some(absolute(base_dir, path))
    };
    let mut fields = node.object(EXPECTED)?;
    let name = fields.optional("name", |node| node.text(NAME_EXPECTED, is_fleet_name));
    let nats = fields.required("nats", URLS_EXPECTED, read_urls);
    let has_both = fields.has("credentials") && fields.has("nkey");
    let credentials = fields.optional("credentials", file);
    let nkey = fields.optional("nkey", file);
    let tls = fields.optional("tls", |node| {
        let mut fields = node.object(TLS_EXPECTED)?;
        let ca = fields.optional("ca", file);
        let has_both = fields.has("cert") == fields.has("key");
        let (cert, key) = (fields.optional("cert", file), fields.optional("key", file));
        fields.finish();
        if !has_both {
            return node.expected("both `cert` and `key`, or neither");
        }
        Some(FleetTls { ca, certificate: cert.zip(key) })
    });
    let replicas = fields.optional("replicas", |node| node.whole(&REPLICAS, "copies", ""));
    let signers = fields.optional("signers", |node| read_signers(node, file));
    let labels = fields.optional("labels", labels::read);
    let host = fields.optional("host", |node| node.text(HOST_EXPECTED, is_app_name));
    fields.finish();
    if has_both {
        return node.expected("either `credentials` or `nkey`");
    }
    Some(FleetSettings {
        name: name.unwrap_or_else(|| FleetSettings::DEFAULT_NAME.to_owned()),
        nats: nats?,
        credentials,
        nkey,
        tls,
        replicas: replicas.unwrap_or(1),
        signers: signers.unwrap_or_default(),
        labels: labels.unwrap_or_default(),
        host,
    })
}

fn read_urls(node: &Node<'_>) -> Option<Vec<NatsUrl>> {
    if node.is_empty_list() {
        return node.expected(URLS_EXPECTED);
    }
    let urls = node.list(URLS_EXPECTED)?;
    let is_url = |text: &str| text.parse::<NatsUrl>().is_ok();
    urls.iter().map(|node| node.text(URL_EXPECTED, is_url)?.parse().ok()).collect()
}

/// An empty list is an error: it could be meant to allow no signer, and would allow versions without a signature.
fn read_signers(node: &Node<'_>, file: impl Fn(&Node<'_>) -> Option<PathBuf>) -> Option<Vec<PathBuf>> {
    if node.is_empty_list() {
        return node.expected(SIGNERS_EXPECTED);
    }
    let files = node.list(SIGNERS_EXPECTED)?;
    if files.len() > MAX_SIGNERS {
        return node.expected(format_args!("at most {MAX_SIGNERS} files"));
    }
    files.iter().map(file).collect()
}

fn is_fleet_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
}

fn described(mut schema: Schema, description: &str) -> Schema {
    schema.insert("description".to_owned(), description.into());
    schema
}

/// The schema of a fleet.
pub(super) fn schema() -> Schema {
    let file =
        |description: &str| json_schema!({ "description": description, "type": "string", "minLength": 1 });
    json_schema!({
        "description": "The hosts that share the apps through NATS, and how this host is one of them.",
        "type": "object",
        "properties": {
            "name": {
                "description": "The name of the fleet. Fleets of different names on one NATS server share nothing.",
                "type": "string",
                "pattern": "^[A-Za-z0-9_-]{1,64}$",
                "default": FleetSettings::DEFAULT_NAME,
            },
            "nats": {
                "description": "The URLs of the servers of one NATS cluster with JetStream.",
                "type": "array",
                "minItems": 1,
                "items": { "type": "string", "pattern": "^(nats|tls)://" },
            },
            "credentials": file("A file with the credentials for NATS, as `nsc` writes it. Relative to the folder of this file."),
            "nkey": file("A file with the seed of an NKey, as `nk -gen user` writes it, instead of `credentials`."),
            "tls": {
                "description": "What TLS connections to NATS use.",
                "type": "object",
                "properties": {
                    "ca": file("A PEM file with the certificate authority of the servers, instead of those of the system."),
                    "cert": file("A PEM file with the certificate of this host."),
                    "key": file("A PEM file with the key of `cert`."),
                },
                "dependentRequired": { "cert": ["key"], "key": ["cert"] },
                "additionalProperties": false,
            },
            "replicas": {
                "description": "How many servers of the NATS cluster keep a copy of what the fleet stores. It counts for the buckets that this host creates.",
                "type": "integer",
                "minimum": REPLICAS.start(),
                "maximum": REPLICAS.end(),
                "default": 1,
            },
            "signers": {
                "description": "PEM files with ed25519 public keys, as `openssl pkey -pubout` writes them. The host serves only versions that were signed with one of them: see `atoll deploy --signing-key`.",
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_SIGNERS,
                "items": { "type": "string", "minLength": 1 },
            },
            "labels": described(labels::schema(), "What tells this host from others, such as its zone: the setting `on` of apps chooses hosts by it, and `atoll ls --fleet` shows it."),
            "host": {
                "description": "The name of this host in the fleet. By default the name of the machine.",
                "type": "string",
                "pattern": NAME,
            },
        },
        "not": { "required": ["credentials", "nkey"] },
        "required": ["nats"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::{Config, MAX_LABEL, MAX_LABELS};

    fn parse(fleet: Value) -> Result<FleetSettings, Vec<String>> {
        let text = json!({ "fleet": fleet, "apps": [] }).to_string();
        let parsed = Config::parse(&text, Path::new("/srv"), "apps.json");
        parsed.map(|config| config.fleet.unwrap()).map_err(|error| {
            error.diagnostics().iter().map(|found| format!("{}: {}", found.field, found.message)).collect()
        })
    }

    #[test]
    fn a_fleet_is_read_with_paths_of_the_folder() {
        let fleet = parse(json!({
            "name": "prod", "nats": ["nats://u:secret@10.0.0.5:4222", "tls://[::1]"], "credentials": "host.creds",
            "tls": { "ca": "ca.pem", "cert": "/etc/c.pem", "key": "k.pem" }, "labels": { "zone": "a" }, "host": "a.b",
            "replicas": 3,
            "signers": ["ann.pem", "/etc/bob.pem"],
        }));
        let fleet = fleet.unwrap();
        assert_eq!(fleet.replicas, 3);
        assert_eq!((fleet.name.as_str(), fleet.host_name().as_str()), ("prod", "a.b"));
        assert_eq!(fleet.credentials.as_deref(), Some(Path::new("/srv/host.creds")));
        assert_eq!(fleet.signers, ["/srv/ann.pem", "/etc/bob.pem"].map(PathBuf::from));
        let tls = fleet.tls.clone().unwrap();
        assert_eq!(tls.ca.as_deref(), Some(Path::new("/srv/ca.pem")));
        assert_eq!(tls.certificate, Some(("/etc/c.pem".into(), "/srv/k.pem".into())));
        assert_eq!(format!("{:?}", fleet.nats), "[nats://10.0.0.5:4222, tls://[::1]]");
        assert_eq!(fleet.nats[0].secret(), "nats://u:secret@10.0.0.5:4222");

        let least = parse(json!({ "nats": ["nats://a"] })).unwrap();
        assert_eq!(least, FleetSettings::on(vec!["nats://a".parse().unwrap()]));
        assert!(is_app_name(&least.host_name()));
        assert_eq!(as_name("büro 1"), "b-ro-1");
        assert_eq!(as_name("-"), "host");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let files: Vec<_> = (0..=MAX_SIGNERS).map(|n| format!("{n}.pem")).collect();
        let many: serde_json::Map<_, _> = (0..=MAX_LABELS).map(|n| (n.to_string(), json!("x"))).collect();
        for (fleet, expected) in [
            (json!({}), "fleet.nats: missing field `nats`"),
            (json!({ "nats": [] }), "fleet.nats: expected a list of URLs"),
            (json!({ "nats": ["10.0.0.5"] }), "fleet.nats[0]: expected the URL of a NATS server"),
            (json!({ "nats": ["nats://"] }), "fleet.nats[0]: expected the URL of a NATS server"),
            (json!({ "nats": ["nats://a"], "name": "a.b" }), "fleet.name: expected a name of 1 to 64"),
            (json!({ "nats": ["nats://a"], "host": "a b" }), "fleet.host: expected a name of 1 to 64"),
            (
                json!({ "nats": ["nats://a"], "tls": { "cert": "c" } }),
                "fleet.tls: expected both `cert` and `key`",
            ),
            (
                json!({ "nats": ["nats://a"], "labels": { "a": "x".repeat(MAX_LABEL + 1) } }),
                "fleet.labels.a: expected a text of 1 to 256",
            ),
            (json!({ "nats": ["nats://a"], "labels": many }), "fleet.labels: expected at most 32 labels"),
            (json!({ "nats": ["nats://a"], "replicas": 6 }), "fleet.replicas: expected a whole number"),
            (json!({ "nats": ["nats://a"], "signers": [] }), "fleet.signers: expected a list of PEM files"),
            (json!({ "nats": ["nats://a"], "signers": files }), "fleet.signers: expected at most 64 files"),
            (
                json!({ "nats": ["nats://a"], "credentials": "c", "nkey": "k" }),
                "fleet: expected either `credentials` or `nkey`",
            ),
            (json!({ "nats": ["nats://a"], "nas": 1 }), "fleet.nas: unknown field"),
        ] {
            let errors = parse(fleet).unwrap_err();
            assert!(errors.len() == 1 && errors[0].starts_with(expected), "{errors:?}");
        }
        assert!(parse(json!({ "nats": ["nats://a"], "labels": { "a": "x".repeat(MAX_LABEL) } })).is_ok());
        assert!(parse(json!({ "nats": ["nats://a"], "signers": files[1..] })).is_ok());
        let nkey = parse(json!({ "nats": ["nats://a"], "nkey": "host.nk" })).unwrap().nkey;
        assert_eq!(nkey.as_deref(), Some(Path::new("/srv/host.nk")));
    }
}
