//! The apps whose requests go to other hosts of the fleet.

use std::collections::HashMap as Configs;
use std::sync::Arc;

use foldhash::HashMap;

use crate::app::handle::App;
use crate::config::{AppConfig, Route};
use crate::dispatch::app_index::Table;
use crate::dispatch::routes::Routes;

/// What stands for an app on other hosts.
#[derive(Clone, Debug)]
pub(crate) struct AppElsewhere {
    /// It takes the requests to the app.
    pub(crate) app: Arc<App>,
    /// The routes of the app, besides `/apps/{name}/`. Those of an app that is registered here are here as well.
    pub(crate) routes: Vec<Route>,
}

/// Which app is here, and which elsewhere. This is the only place that decides it.
pub(super) fn table(
    apps: HashMap<String, Arc<App>>,
    configs: &Configs<String, AppConfig>,
    elsewhere: &[AppElsewhere],
) -> Table {
    let mut serving = apps.clone();
    let stands_for = |elsewhere: &AppElsewhere| {
        let name = elsewhere.app.name().to_string();
        apps.get(&name).map(|app| (name, app.clone()))
    };
    let stood_for = elsewhere.iter().filter_map(stands_for).collect();
    serving.extend(elsewhere.iter().map(|elsewhere| {
        let app = &elsewhere.app;
        (app.name().to_string(), app.clone())
    }));
    let mut routes = Routes::default();
    for (name, config) in configs {
        let Some(app) = serving.get(name) else { continue };
        config.routes.iter().for_each(|route| routes.add(route, app.clone()));
    }
    // A route that an app of this host has stays with it.
    for AppElsewhere { app, routes: more } in elsewhere {
        more.iter().for_each(|route| routes.add(route, app.clone()));
    }
    Table { apps, serving, stood_for, routes }
}
