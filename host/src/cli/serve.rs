//! `atoll serve`.

use std::rc::Rc;
use std::sync::Arc;

use anyhow::Context;
use atoll_host::config::Config;
use atoll_host::server::{self, Server};
use atoll_host::{Registry, Services, logging};

use super::ServeArgs;

/// Serves the apps of a registry until the process is told to end.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    logging::init();
    actix_web::rt::System::new().block_on(async {
        let config = Config::load(&args.config)?;
        let services = Rc::new(Services::new()?);
        let registry = Arc::new(Registry::default());
        registry.apply(&config, &services);
        let server = Server::bind(registry.clone(), args.listen)
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        println!("{}", server::banner(&registry, &server.addresses()));
        let follow = server::follow_config(args.config.clone(), registry.clone(), services.clone());
        let follow = actix_web::rt::spawn(follow);
        server.run().await?;
        follow.abort();
        registry.close().await;
        Ok(())
    })
}
