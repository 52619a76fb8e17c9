//! The NATS servers.

use std::net::TcpListener;
use std::path::Path;

use crate::nats::Nats;

/// One NATS server, or a cluster of them.
pub(super) struct Servers(Vec<Nats>);

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
        if count == 1 {
            return Ok(Self(vec![Nats::start_with(program, &["-c", &config])]));
        }
        let ports = (0..count).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
        let routes: Vec<_> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let all = routes.join(",");
        let server = |(number, route): (usize, &String)| {
            let name = format!("n{number}");
            let cluster = ["--cluster_name", "soak", "--cluster", route, "--routes", &all];
            let mut arguments = vec!["-c", &config, "--server_name", &name, "--no_advertise"];
            arguments.extend(cluster);
            Nats::start_with(program, &arguments)
        };
        Ok(Self(routes.iter().enumerate().map(server).collect()))
    }

    /// The copies of each bucket.
    pub(super) fn replicas(&self) -> usize {
        self.0.len()
    }

    pub(super) fn ports(&self) -> Vec<u16> {
        let port = |nats: &Nats| nats.url().rsplit(':').next().and_then(|port| port.parse().ok());
        self.0.iter().filter_map(port).collect()
    }

    pub(super) fn urls(&self) -> String {
        self.0.iter().map(Nats::url).collect::<Vec<_>>().join(",")
    }

    pub(super) fn one(&mut self, number: usize) -> &mut Nats {
        let count = self.0.len();
        &mut self.0[number % count]
    }

    pub(super) fn stop(&mut self) {
        self.0.iter_mut().for_each(Nats::stop);
    }

    pub(super) fn restart(&mut self) {
        self.0.iter_mut().for_each(Nats::restart);
    }
}

fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}
