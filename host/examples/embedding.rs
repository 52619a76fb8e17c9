//! An actix program with pages of its own and the apps of a registry file beside them:
//! `cargo run -p atoll-host --example embedding -- apps.json 127.0.0.1:3000`.

use std::sync::Arc;

use actix_web::{App, HttpServer, web};
use atoll_host::Host;

fn main() -> anyhow::Result<()> {
    atoll_host::run_child_process();
    actix_web::rt::System::new().block_on(serve())
}

async fn serve() -> anyhow::Result<()> {
    atoll_host::logging::init(atoll_host::logging::Format::Text);
    let mut arguments = std::env::args().skip(1);
    let (Some(config), Some(address)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("two arguments are expected: a registry file, and an address to listen on");
    };

    let host = Arc::new(Host::builder(config).start()?);
    let apps = host.clone();
    let application = move || {
        let page = web::get().to(async || "a page of the program's own\n");
        App::new().route("/", page).configure(apps.routes())
    };
    let server = HttpServer::new(application)
        // A client that leaves has its request cancelled, and pieces of streams are sent at once.
        .h1_allow_half_closed(false)
        .tcp_nodelay(true)
        .shutdown_timeout(30)
        .bind(&address)?;
    for address in server.addrs() {
        println!("listening on http://{address}/");
    }
    server.run().await?;
    host.close().await;
    Ok(())
}
