//! The app as an Extism plugin, which each of the front's threads has once and reuses: `extism ADDRESS`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use actix_web::{HttpRequest, HttpResponse};
use anyhow::anyhow;
use extism::{CompiledPlugin, Plugin, PluginBuilder};
use peer_servers::{Apps, argument, exchange, serve};
use peer_wasm as guest;

/// The apps that have been compiled, for all threads; this happens when one is asked for first.
type Compiled = Arc<Mutex<HashMap<String, CompiledPlugin>>>;

struct Front {
    compiled: Compiled,
    plugins: RefCell<HashMap<String, Plugin>>,
}

impl Front {
    fn new(compiled: Compiled) -> Self {
        Self { compiled, plugins: RefCell::default() }
    }

    fn plugin(&self, app: &str) -> anyhow::Result<Plugin> {
        let mut compiled =
            self.compiled.lock().map_err(|_| anyhow!("a thread failed while it compiled an app"))?;
        if let Some(compiled) = compiled.get(app) {
            return Plugin::new_from_compiled(compiled);
        }
        let plugin = CompiledPlugin::new(PluginBuilder::new(wat::parse_str(guest::EXTISM)?))?;
        Plugin::new_from_compiled(compiled.entry(app.to_owned()).or_insert(plugin))
    }
}

impl Apps for Front {
    async fn answer(&self, app: &str, path: &str, request: &HttpRequest) -> anyhow::Result<HttpResponse> {
        let mut plugins = self.plugins.borrow_mut();
        if !plugins.contains_key(app) {
            plugins.insert(app.to_owned(), self.plugin(app)?);
        }
        let plugin = plugins.get_mut(app).ok_or_else(|| anyhow!("the plugin is gone"))?;
        exchange::response(plugin.call::<&[u8], &[u8]>("greet", &exchange::request(path, request))?)
    }
}

fn main() -> anyhow::Result<()> {
    let compiled = Compiled::default();
    Ok(serve(&argument(1)?, move || Front::new(compiled.clone()))?)
}
