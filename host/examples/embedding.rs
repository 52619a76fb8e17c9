//! An actix program with pages of its own and the apps of a registry file beside them:
//! `cargo run -p atoll-host --example embedding -- apps.json 127.0.0.1:3000`. A second one replaces the first.

use actix_web::web;
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

    let host = Host::builder(config).with_takeover().start()?;
    let server = host.server(&[address.parse()?], |service| {
        let page = web::get().to(async || "a page of the program's own\n");
        service.route("/", page);
    })?;
    for address in server.addresses() {
        println!("listening on http://{address}/");
    }
    server.run().await?;
    host.close().await;
    Ok(())
}
