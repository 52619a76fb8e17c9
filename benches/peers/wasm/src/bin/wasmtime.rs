//! An instance of the app's module for each request: `wasmtime ADDRESS`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use actix_web::{HttpRequest, HttpResponse};
use anyhow::{Context, ensure};
use peer_servers::{Apps, argument, exchange, serve};
use peer_wasm as guest;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, ModuleExport,
    PoolingAllocationConfig, Store,
};

/// How much of an instance's memory is zeroed in place for the next one, rather than given back to the kernel.
const KEEP_RESIDENT: usize = 64 * 1024;

/// An app whose module is loaded.
struct Loaded {
    instances: InstancePre<()>,
    memory: ModuleExport,
    greet: ModuleExport,
}

/// All apps, for all threads.
struct Runtime {
    engine: Engine,
    /// The app, compiled ahead of time.
    compiled: PathBuf,
    loaded: RwLock<HashMap<String, Arc<Loaded>>>,
}

impl Runtime {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let mut pool = PoolingAllocationConfig::default();
        pool.max_memory_size(KEEP_RESIDENT).linear_memory_keep_resident(KEEP_RESIDENT);
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let compiled = folder.join("greet.cwasm");
        std::fs::write(&compiled, Module::new(&engine, guest::PLAIN)?.serialize()?)?;
        Ok(Self { engine, compiled, loaded: RwLock::default() })
    }

    /// The app, which is loaded when it is asked for first.
    fn app(&self, name: &str) -> anyhow::Result<Arc<Loaded>> {
        let poisoned = "a thread failed while it loaded an app";
        if let Some(app) = self.loaded.read().ok().context(poisoned)?.get(name) {
            return Ok(app.clone());
        }
        let app = Arc::new(self.load()?);
        self.loaded.write().ok().context(poisoned)?.insert(name.to_owned(), app.clone());
        Ok(app)
    }

    fn load(&self) -> anyhow::Result<Loaded> {
        // SAFETY: this process has written the file, to a folder of its own.
        let module = unsafe { Module::deserialize_file(&self.engine, &self.compiled)? };
        let export = |name| module.get_export_index(name).context("the module does not export it");
        let (memory, greet) = (export("memory")?, export("greet")?);
        Ok(Loaded { instances: Linker::new(&self.engine).instantiate_pre(&module)?, memory, greet })
    }

    fn answer(&self, app: &str, request: &[u8]) -> anyhow::Result<HttpResponse> {
        ensure!(request.len() <= guest::ANSWER - guest::REQUEST, "the request is too large for the guest");
        let app = self.app(app)?;
        let mut store = Store::new(&self.engine, ());
        let instance = app.instances.instantiate(&mut store)?;
        let export = instance.get_module_export(&mut store, &app.memory);
        let memory = export.and_then(wasmtime::Extern::into_memory).context("no memory")?;
        let export = instance.get_module_export(&mut store, &app.greet);
        let greet = export.and_then(wasmtime::Extern::into_func).context("no function")?;
        memory.write(&mut store, guest::REQUEST, request)?;
        let length = greet.typed::<u32, u32>(&store)?.call(&mut store, u32::try_from(request.len())?)?;
        let end = guest::ANSWER + usize::try_from(length)?;
        exchange::response(
            memory.data(&store).get(guest::ANSWER..end).context("an answer outside the memory")?,
        )
    }
}

struct Front(Arc<Runtime>);

impl Apps for Front {
    async fn answer(&self, app: &str, path: &str, request: &HttpRequest) -> anyhow::Result<HttpResponse> {
        self.0.answer(app, &exchange::request(path, request))
    }
}

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = Arc::new(Runtime::new(folder.path())?);
    Ok(serve(&argument(1)?, move || Front(runtime.clone()))?)
}
