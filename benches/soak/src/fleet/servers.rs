//! The NATS servers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use super::traffic::Traffic;
use crate::nats::Nats;

/// One NATS server, or a cluster of them.
pub(super) struct Servers {
    all: Vec<Nats>,
    /// Where the first one reports what goes through it.
    monitoring: SocketAddr,
}

/// How many bytes the streams of a server may have in all: a library that has more finds it full.
pub(super) const STORE: usize = 96 << 20;

impl Servers {
    /// # Errors
    /// There are no ports, or the configuration cannot be written.
    pub(super) fn start(program: &Path, count: usize, folder: &Path) -> Result<Self, String> {
        let config = folder.join("nats.conf");
        let text = format!("jetstream {{ max_file_store: {STORE} }}\n");
        std::fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
        let config = config.display().to_string();
        let port = free_port()?;
        let monitoring = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let port = port.to_string();
        if count == 1 {
            let all = vec![Nats::start_with(program, &["-c", &config, "-m", &port])];
            return Ok(Self { all, monitoring });
        }
        let ports = (0..count).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
        let routes: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let all = routes.join(",");
        let server = |(number, route): (usize, &String)| {
            let name = format!("n{number}");
            let cluster = ["--cluster_name", "soak", "--cluster", route, "--routes", &all];
            let mut arguments = vec!["-c", &config, "--server_name", &name, "--no_advertise"];
            arguments.extend(cluster);
            if number == 0 {
                arguments.extend(["-m", &port]);
            }
            Nats::start_with(program, &arguments)
        };
        Ok(Self { all: routes.iter().enumerate().map(server).collect(), monitoring })
    }

    /// What has gone through the first one since its start.
    ///
    /// # Errors
    /// It does not report it.
    pub(super) fn traffic(&self) -> Result<Traffic, String> {
        Traffic::of(self.monitoring)
    }

    /// The copies of each bucket.
    pub(super) fn replicas(&self) -> usize {
        self.all.len()
    }

    pub(super) fn ports(&self) -> Vec<u16> {
        let port = |nats: &Nats| nats.url().rsplit(':').next().and_then(|port| port.parse().ok());
        self.all.iter().filter_map(port).collect()
    }

    pub(super) fn urls(&self) -> String {
        self.all.iter().map(Nats::url).collect::<Vec<_>>().join(",")
    }

    pub(super) fn one(&mut self, number: usize) -> &mut Nats {
        let count = self.all.len();
        &mut self.all[number % count]
    }

    pub(super) fn stop(&mut self) {
        self.all.iter_mut().for_each(Nats::stop);
    }

    pub(super) fn restart(&mut self) {
        self.all.iter_mut().for_each(Nats::restart);
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}
