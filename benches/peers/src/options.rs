//! The command line.

use std::time::Duration;

use clap::Parser;

use crate::peer::Peer;

/// Compares Atoll with its peers: the same request over HTTP to each, alternately, in one run.
///
/// A run with all peers writes its table and plot into the book, docs/src/peers.md.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// How often it is each peer's turn; the medians count.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,

    /// How long a turn is under load: so long with many connections, and half as long with one.
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    pub(crate) seconds: f64,

    /// How many connections "many" is.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,

    /// How many apps are started first, one after the other, to see how long a first request takes.
    #[arg(long, default_value_t = 21)]
    pub(crate) cold: u32,

    /// Only these peers, and the bare server, which they are compared with. Nothing is written then.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Peer>,

    /// Use what is installed, and ask no package registry.
    #[arg(long)]
    pub(crate) offline: bool,

    /// Print the table, and leave the book as it is.
    #[arg(long)]
    pub(crate) no_write: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.1 to 60 is needed".to_owned()),
    }
}

impl Options {
    /// The peers that are asked for, the bare server first.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let wanted = |peer: &Peer| self.is_whole() || *peer == Peer::BASE || self.only.contains(peer);
        Peer::ALL.into_iter().filter(wanted).collect()
    }

    /// Whether all peers are asked for.
    pub(crate) fn is_whole(&self) -> bool {
        self.only.is_empty()
    }

    /// A turn with many connections.
    pub(crate) fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}
