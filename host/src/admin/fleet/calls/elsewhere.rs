//! What stands for the apps of other hosts.
//!
//! It is an app like any other for those who send requests to it. Its one worker is a port whose messages go to the thread with
//! the connection to NATS, as long as there is one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use atoll_port::{CallSink, Limits, OutgoingCall, Port};
use foldhash::HashMap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::app::command::{Command, Commands};
use crate::app::handle::App;
use crate::app::resources::HandleResources;
use crate::app::unavailable::Unavailable;
use crate::config::{AppConfig, Config, ConfigError, Entry};
use crate::fleet::AppElsewhere;
use crate::fleet::call_limits::MAX_WAITING;
use crate::fleet::calls::{Sent, ToFleet};
use crate::generation::handle::{Generation, Identity};
use crate::generation::runner::{HeapBytes, Runner};
use crate::observe::events::EventBus;
use crate::observe::trace::SpanSink;
use crate::observe::usage::Usage;
use crate::registry::{self, Registry};

/// What stands for the apps of other hosts.
pub(super) struct AppsElsewhere {
    registry: Arc<Registry>,
    events: EventBus,
    spans: Option<Weak<dyn SpanSink>>,
    apps: BTreeMap<String, Remote>,
    /// The ports over this connection, also of apps that are no longer elsewhere and have requests.
    ports: HashMap<u32, Weak<Port>>,
    last_port: u32,
    /// Where they send to; `None`: there is no connection.
    sent: Option<mpsc::UnboundedSender<Sent>>,
}

struct Remote {
    app: Arc<App>,
    config: AppConfig,
    entry: Option<Entry>,
    /// Over this connection.
    port: Option<Arc<Port>>,
}

impl AppsElsewhere {
    pub(super) fn new(registry: Arc<Registry>, events: EventBus, spans: Option<Weak<dyn SpanSink>>) -> Self {
        Self {
            registry,
            events,
            spans,
            apps: BTreeMap::new(),
            ports: HashMap::default(),
            last_port: 0,
            sent: None,
        }
    }

    /// The port of this number.
    pub(super) fn port(&self, number: u32) -> Option<Arc<Port>> {
        self.ports.get(&number)?.upgrade()
    }

    /// Has the ports send there from now on.
    pub(super) fn connect(&mut self, sent: mpsc::UnboundedSender<Sent>) {
        self.sent = Some(sent);
        let names: Vec<String> = self.apps.keys().cloned().collect();
        names.iter().for_each(|name| self.open(name));
    }

    /// Ends all requests over this connection.
    pub(super) fn disconnect(&mut self) {
        self.sent = None;
        for remote in self.apps.values_mut() {
            remote.app.set_serving(None);
            remote.port = None;
        }
        for port in std::mem::take(&mut self.ports).values().filter_map(Weak::upgrade) {
            port.close();
        }
        // What does not serve here is asked all the same.
        let is_registered = |name: &String| self.registry.get(name).is_some();
        self.apps.retain(|name, _| !is_registered(name));
        self.register();
    }

    /// Sends the requests to these apps to other hosts, unless this host takes them, and none else.
    pub(super) fn update(&mut self, known: &BTreeMap<String, AppElsewhere>) {
        let is_elsewhere = |(name, app): &(&String, &AppElsewhere)| match self.registry.get(name) {
            Some(here) => !here.phase().takes_requests() && !app.hosts.is_empty(),
            None => true,
        };
        let wanted: BTreeMap<&String, &AppElsewhere> = known.iter().filter(is_elsewhere).collect();
        let count = self.apps.len();
        self.apps.retain(|name, _| wanted.contains_key(name));
        let mut has_changed = self.apps.len() != count;
        for (name, app) in wanted {
            if self.apps.get(name).is_some_and(|remote| remote.entry == app.entry) {
                continue;
            }
            // A name that no app can have is in no path.
            let Some(config) = config_of(name, app.entry.as_ref(), &self.registry) else { continue };
            has_changed = true;
            match self.apps.get_mut(name) {
                Some(remote) => {
                    remote.app.set_settings(config.settings.clone());
                    (remote.config, remote.entry) = (config, app.entry.clone());
                }
                None => self.add(name, config, app.entry.clone()),
            }
        }
        if has_changed {
            self.ports.retain(|_, port| port.strong_count() > 0);
            self.register();
        }
    }

    fn add(&mut self, name: &str, config: AppConfig, entry: Option<Entry>) {
        let commands = Commands::new(take_command);
        let spans = self.spans.as_ref().and_then(Weak::upgrade);
        let resources = HandleResources {
            events: &self.events,
            // The hosts that have it count what it uses, and take its lease.
            usage: &Usage::default(),
            in_fleet: false,
            is_elsewhere: true,
            spans: spans.as_ref(),
            shows_details: false,
        };
        let app = App::new(&config, commands, resources, None);
        self.apps.insert(name.to_owned(), Remote { app: Arc::new(app), config, entry, port: None });
        self.open(name);
    }

    /// Opens the port of an app, if there is a connection.
    fn open(&mut self, name: &str) {
        let (Some(sent), Some(remote)) = (&self.sent, self.apps.get_mut(name)) else { return };
        self.last_port = self.last_port.wrapping_add(1);
        let transport = Arc::new(ToFleet::new(self.last_port, sent.clone()));
        let limits = Limits { queue: MAX_WAITING, calls: 0, message: remote.config.settings.message_limit };
        let warnings = remote.app.app_log().warnings().clone();
        let port = Port::new(remote.app.name().clone(), limits, warnings, Arc::new(NoCalls), |_| transport);
        self.ports.insert(self.last_port, Arc::downgrade(&port));
        let identity = Identity {
            app: remote.app.name().clone(),
            number: 0,
            version: "elsewhere".to_owned(),
            app_log: remote.app.app_log().clone(),
            noticed: None,
        };
        let generation = Generation::new(identity, vec![port.clone()], Arc::new(OtherHosts));
        remote.app.set_serving(Some(Arc::new(generation)));
        remote.port = Some(port);
    }

    fn register(&self) {
        let all = self.apps.values();
        self.registry.set_elsewhere(
            all.map(|remote| registry::AppElsewhere {
                app: remote.app.clone(),
                routes: remote.config.routes.clone(),
            })
            .collect(),
        );
    }
}

/// The settings with which this host takes the requests to an app of others: its own, if the app is registered here, or those of the
/// record in the fleet, or the usual ones. What the hosts that have the app apply is left out. `None`: no app can have this name.
fn config_of(name: &str, entry: Option<&Entry>, registry: &Registry) -> Option<AppConfig> {
    let in_fleet = || {
        let config = in_fleet(name, entry.cloned().unwrap_or_default());
        config.or_else(|error| {
            let usual = in_fleet(name, Entry::new())?;
            log::warn!("{name}: its requests are sent to other hosts with the usual settings: {error}");
            Ok::<_, ConfigError>(usual)
        })
    };
    let mut config = match registry.config(name) {
        Some(config) => config,
        None => in_fleet().ok().flatten()?,
    };
    let settings = &mut config.settings;
    (settings.rate, settings.max_concurrency) = (None, None);
    // The host that has it reports the generation.
    settings.app_header = false;
    Some(config)
}

/// What an entry of the fleet's record of an app means.
fn in_fleet(name: &str, entry: Entry) -> Result<Option<AppConfig>, ConfigError> {
    let mut app = entry;
    app.insert("name".to_owned(), name.into());
    app.insert("path".to_owned(), "elsewhere.so".into());
    let text = json!({ "apps": [Value::Object(app)] }).to_string();
    let config = Config::parse(&text, Path::new("/"), "the fleet's record of the app")?;
    Ok(config.apps.into_iter().next())
}

/// Without a connection, the app cannot be reached. It is no one's to start or to stop here.
fn take_command(command: Command) -> bool {
    match command {
        Command::Wanted(answer) | Command::Start(answer) => {
            let _ = answer.send(Err(Unavailable::NotConnected));
            true
        }
        _ => false,
    }
}

/// What runs the apps of other hosts: nothing of this host.
struct OtherHosts;

impl Runner for OtherHosts {
    fn note_stop(&self) {}

    fn stop<'a>(&'a self, _: Duration, close: &'a (dyn Fn() + Send + Sync)) -> BoxFuture<'a, Vec<String>> {
        close();
        std::future::ready(Vec::new()).boxed()
    }

    fn set_log_level(&self, _: u8) {}

    fn heap(&self) -> HeapBytes {
        HeapBytes::default()
    }

    fn cpu_time(&self) -> Duration {
        Duration::ZERO
    }
}

/// An app on another host makes its calls there.
#[derive(Debug)]
struct NoCalls;

impl CallSink for NoCalls {
    fn accept(&self, call: OutgoingCall) {
        call.port.end_call(call.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: Value) -> Entry {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn settings_are_those_of_the_record_without_what_the_other_hosts_apply() {
        let record = json!({
            "deadline_ms": 700, "route": { "path_prefix": "/shop" }, "rate": 5, "max_concurrency": 2, "server_timing": true, "app_header": true
        });
        let config = config_of("shop", Some(&entry(record)), &Registry::default()).unwrap();
        assert_eq!((config.settings.deadline_ms, config.routes.len()), (700, 1));
        assert_eq!((config.settings.rate, config.settings.max_concurrency), (None, None));
        assert!(config.settings.server_timing && !config.settings.app_header);
    }

    #[test]
    fn a_record_of_another_version_of_atoll_is_no_reason_to_lose_the_app() {
        let usual = config_of("shop", None, &Registry::default());
        assert!(usual.is_some() && config_of("no/name", None, &Registry::default()).is_none());
        assert_eq!(config_of("shop", Some(&entry(json!({ "new_setting": 1 }))), &Registry::default()), usual);
    }
}
