//! What the setting `cors` contains, and the layer that follows it.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders, Vary};

use super::read::{MAX_AGE, methods_schema, names_schema, origins_schema};

/// The setting `cors` of an app: which pages of other origins may use it. Made by reading an `apps.json`.
///
/// ```
/// use atoll_host::config::Config;
/// use std::path::Path;
///
/// let text = r#"[{ "name": "shop", "path": "shop", "cors": { "origins": ["https://Shop.example"] } }]"#;
/// let config = Config::parse(text, Path::new("/srv"), "apps.json")?;
/// let cors = serde_json::to_value(config.apps[0].settings.cors.as_ref())?;
/// assert_eq!(cors["origins"][0], "https://shop.example");
/// assert_eq!(cors["max_age_seconds"], 600);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CorsSettings {
    rules: Rules,
    layer: CorsLayer,
}

/// The fields of the setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Rules {
    /// The origins whose pages may use the app: a list such as `["https://app.example.com", "http://localhost:8080"]`, or
    /// `"*"` for all.
    #[schemars(schema_with = "origins_schema")]
    pub(super) origins: Allowed,

    /// Whether those pages may send cookies and other credentials; then no field can be `"*"`. Default false.
    #[schemars(default)]
    pub(super) credentials: bool,

    /// The methods that those pages may use, or `"*"` for all. Default ["GET","HEAD","POST","PUT","PATCH","DELETE"].
    #[schemars(schema_with = "methods_schema", default = "default_methods")]
    pub(super) methods: Allowed,

    /// The request headers that those pages may set, or `"*"` for all except `authorization`.
    /// Default ["authorization","content-type"].
    #[schemars(schema_with = "names_schema", default = "default_headers")]
    pub(super) headers: Allowed,

    /// The response headers that those pages may read besides the usual ones, or `"*"` for all. Default [].
    #[schemars(schema_with = "names_schema", default = "none")]
    pub(super) expose_headers: Allowed,

    /// How long browsers may remember the answer to a preflight, in seconds. Default 600.
    #[schemars(range(min = *MAX_AGE.start(), max = *MAX_AGE.end()), default = "default_max_age")]
    pub(super) max_age_seconds: u32,
}

/// What is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// `"*"`
    Any,
    /// Only these.
    Listed(Vec<String>),
}

/// What an [`Allowed`] is that has no limit.
pub(super) const ANY: &str = "*";

pub(super) fn default_methods() -> Allowed {
    listed(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
}

pub(super) fn default_headers() -> Allowed {
    listed(&["authorization", "content-type"])
}

pub(super) fn none() -> Allowed {
    listed(&[])
}

pub(super) fn default_max_age() -> u32 {
    600
}

fn listed(names: &[&str]) -> Allowed {
    Allowed::Listed(names.iter().map(|&name| name.to_owned()).collect())
}

impl Serialize for Allowed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => ANY.serialize(serializer),
            Self::Listed(names) => names.serialize(serializer),
        }
    }
}

/// Two are equal if their fields are.
impl PartialEq for CorsSettings {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Serialize for CorsSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rules.serialize(serializer)
    }
}

impl CorsSettings {
    /// `None`: a rule is not what the reader lets through.
    pub(super) fn new(rules: Rules) -> Option<Self> {
        let layer = layer(&rules)?;
        Some(Self { rules, layer })
    }

    /// What makes the headers of an answer.
    pub(crate) fn layer(&self) -> &CorsLayer {
        &self.layer
    }
}

fn layer(rules: &Rules) -> Option<CorsLayer> {
    let layer = CorsLayer::new()
        .allow_credentials(rules.credentials)
        .max_age(Duration::from_secs(rules.max_age_seconds.into()));
    let layer = match &rules.origins {
        Allowed::Any => layer.allow_origin(AllowOrigin::any()).vary(Vary::list([])),
        Allowed::Listed(origins) => {
            let origins = all(origins, |origin| HeaderValue::from_str(origin).ok())?;
            layer.allow_origin(AllowOrigin::list(origins)).vary(Vary::list([header::ORIGIN]))
        }
    };
    let layer = match &rules.methods {
        Allowed::Any => layer.allow_methods(AllowMethods::any()),
        Allowed::Listed(methods) => layer.allow_methods(AllowMethods::list(all(methods, |name| {
            Method::from_bytes(name.as_bytes()).ok()
        })?)),
    };
    let layer = match &rules.headers {
        Allowed::Any => layer.allow_headers(AllowHeaders::any()),
        Allowed::Listed(names) => layer.allow_headers(AllowHeaders::list(all(names, header_name)?)),
    };
    Some(match &rules.expose_headers {
        Allowed::Any => layer.expose_headers(ExposeHeaders::any()),
        Allowed::Listed(names) => layer.expose_headers(ExposeHeaders::list(all(names, header_name)?)),
    })
}

fn header_name(name: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(name.as_bytes()).ok()
}

fn all<T>(names: &[String], parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    names.iter().map(|name| parse(name)).collect()
}
