//! The connection to NATS.

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::{self, context, kv, object_store, stream};
use async_nats::{ConnectErrorKind, ConnectOptions, Event, ServerAddr, ServerError};
use percent_encoding::percent_decode_str;
use tokio::sync::watch;

use super::credentials::{nkey, not_accepted};
use super::error::FleetError;
use crate::config::{FleetSettings, NatsUrl};
use crate::fleet::limits::{LEASE_TTL, PRESENCE_TTL};

/// How long a server may take to accept a connection, and to answer a request.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// How many values of the record of an app NATS keeps.
const REVISIONS: i64 = 8;

/// A fleet in NATS, as long as one connection lasts.
pub struct Fleet {
    pub(super) client: async_nats::Client,
    pub(super) context: jetstream::Context,
    pub(super) apps: kv::Store,
    pub(super) hosts: kv::Store,
    pub(super) host_apps: kv::Store,
    pub(super) libraries: object_store::ObjectStore,
    pub(super) leases: kv::Store,
    pub(super) states: object_store::ObjectStore,
    name: String,
    is_lost: watch::Receiver<bool>,
    denied: watch::Receiver<Option<String>>,
}

impl Fleet {
    /// Connects, and creates the buckets that are not there.
    ///
    /// # Errors
    /// See [`FleetError`].
    pub async fn connect(settings: &FleetSettings) -> Result<Self, FleetError> {
        let (lost, is_lost) = watch::channel(false);
        let (deny, denied) = watch::channel(None);
        let own = format!("atoll-{}-", settings.name);
        let options = options(settings).await?.event_callback(move |event| {
            match event {
                Event::Disconnected | Event::Closed => drop(lost.send_replace(true)),
                // It names the subject.
                Event::ServerError(ServerError::Other(error))
                    if error.starts_with("Permissions Violation") && error.contains(&own) =>
                {
                    deny.send_replace(Some(error));
                }
                _ => {}
            }
            async {}
        });
        let servers: Vec<_> = settings.nats.iter().map(|url| url.secret().to_owned()).collect();
        let client = options.connect(servers).await.map_err(|error| FleetError::Connect {
            servers: settings.nats.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            reason: match error.kind() {
                ConnectErrorKind::AuthorizationViolation => not_accepted(settings).into(),
                _ => error.into(),
            },
        })?;
        let context = jetstream::new(client.clone());
        let (name, replicas) = (&settings.name, settings.replicas);
        let apps = key_value(&context, format!("atoll-{name}-apps"), |stream| stream::Config {
            description: Some("The apps of an Atoll fleet".to_owned()),
            max_messages_per_subject: REVISIONS,
            num_replicas: replicas,
            ..stream
        });
        let hosts = key_value(&context, format!("atoll-{name}-hosts"), |stream| stream::Config {
            description: Some("The hosts of an Atoll fleet".to_owned()),
            max_age: PRESENCE_TTL,
            storage: stream::StorageType::Memory,
            num_replicas: replicas,
            ..stream
        });
        let host_apps = key_value(&context, format!("atoll-{name}-host-apps"), |stream| stream::Config {
            description: Some("What the hosts of an Atoll fleet report of their apps".to_owned()),
            storage: stream::StorageType::Memory,
            num_replicas: replicas,
            ..stream
        });
        let leases = key_value(&context, format!("atoll-{name}-leases"), |stream| stream::Config {
            description: Some("The leases of the apps of an Atoll fleet that run on one host".to_owned()),
            max_age: LEASE_TTL,
            num_replicas: replicas,
            ..stream
        });
        let (apps, hosts) = (permitted(&denied, apps).await?, permitted(&denied, hosts).await?);
        let (host_apps, leases) = (permitted(&denied, host_apps).await?, permitted(&denied, leases).await?);
        let store = async |of, description| {
            permitted(&denied, objects(&context, format!("atoll-{name}-{of}"), description, replicas)).await
        };
        let libraries = store("libraries", "The libraries of an Atoll fleet").await?;
        let states = store("states", "The states of apps that change their host").await?;
        let name = name.clone();
        Ok(Self { client, context, apps, hosts, host_apps, libraries, leases, states, name, is_lost, denied })
    }

    /// Waits for a request, which the server does not answer if it does not permit it.
    pub(super) async fn permitted<T>(
        &self,
        request: impl Future<Output = Result<T, FleetError>>,
    ) -> Result<T, FleetError> {
        permitted(&self.denied, request).await
    }

    /// Waits until the connection is lost.
    ///
    /// Cancel safe.
    pub async fn lost(&self) {
        let mut is_lost = self.is_lost.clone();
        // If nothing can report it any more, it has ended.
        let _ = is_lost.wait_for(|is_lost| *is_lost).await;
    }

    /// The name of one of its buckets.
    pub(super) fn bucket(&self, of: &str) -> String {
        format!("atoll-{}-{of}", self.name)
    }

    /// The stream of the object store with the libraries.
    pub(super) async fn library_stream(&self) -> Result<stream::Stream, context::GetStreamError> {
        self.context.get_stream(format!("OBJ_{}", self.bucket("libraries"))).await
    }

    /// How many bytes a message may have.
    pub(super) fn max_payload(&self) -> usize {
        self.client.server_info().max_payload
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("apps", &self.apps.name).finish_non_exhaustive()
    }
}

/// Waits for a request. The server reports that it does not permit something, and does not answer the request.
async fn permitted<T>(
    denied: &watch::Receiver<Option<String>>,
    request: impl Future<Output = Result<T, FleetError>>,
) -> Result<T, FleetError> {
    let mut denied = denied.clone();
    denied.mark_unchanged();
    tokio::select! {
        result = request => result,
        Ok(()) = denied.changed() => Err(FleetError::Denied(denied.borrow().clone().unwrap_or_default())),
    }
}

async fn options(settings: &FleetSettings) -> Result<ConnectOptions, FleetError> {
    let mut options = ConnectOptions::new()
        .name(format!("atoll {}", settings.host_name()))
        .connection_timeout(ANSWER_LIMIT)
        .request_timeout(Some(ANSWER_LIMIT));
    if let Some((user, password)) = settings.nats.iter().find_map(user_and_password) {
        options = options.user_and_password(user, password);
    }
    if let Some(path) = &settings.credentials {
        let failed = |reason| FleetError::Credentials { path: path.clone(), reason };
        options = options.credentials_file(path).await.map_err(failed)?;
    }
    if let Some(path) = &settings.nkey {
        options = options.nkey(nkey(path)?);
    }
    if let Some(tls) = &settings.tls {
        options = options.require_tls(true);
        if let Some(ca) = &tls.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &tls.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
    }
    Ok(options)
}

/// The user and the password in a URL, which the client does not use by itself.
pub(super) fn user_and_password(url: &NatsUrl) -> Option<(String, String)> {
    let address: ServerAddr = url.secret().parse().ok()?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decoded(address.username()?), decoded(address.password()?)))
}

/// A bucket that is there, or a new one with other settings than the usual ones.
async fn key_value(
    context: &jetstream::Context,
    bucket: String,
    settings: impl FnOnce(stream::Config) -> stream::Config,
) -> Result<kv::Store, FleetError> {
    // One that is there may have other settings, such as replicas, which are its owner's to choose.
    if let Ok(found) = context.get_key_value(&bucket).await {
        return Ok(found);
    }
    // What `create_key_value` does, except that it asks the server for its limits first, which servers before 2.10 answer in another
    // way.
    let config = stream::Config {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        discard: stream::DiscardPolicy::New,
        ..stream::Config::default()
    };
    let failed = |reason: async_nats::Error| FleetError::Bucket { bucket: bucket.clone(), reason };
    context.create_stream(settings(config)).await.map_err(|error| failed(error.into()))?;
    context.get_key_value(&bucket).await.map_err(|error| failed(error.into()))
}

async fn objects(
    context: &jetstream::Context,
    bucket: String,
    description: &str,
    num_replicas: usize,
) -> Result<object_store::ObjectStore, FleetError> {
    if let Ok(found) = context.get_object_store(&bucket).await {
        return Ok(found);
    }
    let config = object_store::Config {
        bucket: bucket.clone(),
        description: Some(description.to_owned()),
        num_replicas,
        ..object_store::Config::default()
    };
    let created = context.create_object_store(config).await;
    created.map_err(|error| FleetError::Bucket { bucket, reason: error.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_and_the_password_of_a_url_are_decoded() {
        let of = |url: &str| user_and_password(&url.parse().unwrap());
        assert_eq!(of("nats://ann:p%40ss@a:4222"), Some(("ann".into(), "p@ss".into())));
        assert_eq!(of("nats://a:4222"), None);
    }
}
