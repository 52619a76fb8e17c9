//! Compares Atoll with its peers: `cargo run --release --manifest-path benches/peers/Cargo.toml`.
//!
//! Each peer is a server in a child process that does the same job: `GET /apps/hello/greet/tobe` is answered with
//! `{"name":"tobe"}`. README.md says more.

mod load;
mod measure;
mod options;
mod page;
mod peer;
mod plot;
mod proc;
mod report;
#[path = "../../dispatch/request.rs"]
mod request;
mod server;
mod tied;
mod tools;

use anyhow::{Context, ensure};
use clap::Parser;

use crate::options::Options;
use crate::peer::Peer;
use crate::report::Report;
use crate::server::Server;
use crate::tools::Tools;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let peers = options.peers();
    let tools = Tools::get(&peers, options.offline)?;
    let (there, missing): (Vec<Peer>, _) = peers.iter().partition(|peer| tools.program(**peer).is_ok());
    for peer in &missing {
        if let Err(reason) = tools.program(*peer) {
            eprintln!("without {}: {reason:#}", peer.name());
        }
    }

    let folder = tempfile::Builder::new().prefix("atoll-peers-").tempdir()?;
    let mut servers = Vec::new();
    for peer in there {
        eprintln!("starting {}", peer.name());
        let server = Server::start(peer, &tools, folder.path(), options.cold);
        servers.push(server.with_context(|| format!("{} cannot be measured", peer.name()))?);
    }
    ensure!(servers.len() > 1, "there is nothing to compare the bare server with");
    let measured = measure::measure(&servers, &options)?;
    drop(servers);

    let report = Report::new(&measured, &tools, &options)?;
    println!("{report}");
    if options.is_whole() && missing.is_empty() && !options.no_write {
        page::write(&report.to_string(), &plot::plot(&report))?;
    } else {
        page::draft(&plot::plot(&report))?;
        eprintln!("The book is as it was: it gets the figures of a run with all peers, without --no-write.");
    }
    Ok(())
}
