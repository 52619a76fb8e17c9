//! Proxies in front of hosts, with the settings that the book has for them.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use super::support::{Host, Launch, wait_for, workspace};

/// The last block of settings under a headline of one of the book's pages.
pub(crate) fn settings(page: &str, headline: &str) -> String {
    let page = std::fs::read_to_string(workspace().join("docs/src").join(page)).unwrap();
    let (_, section) = page.split_once(&format!("\n## {headline}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks: Vec<_> = section.split("```").skip(1).step_by(2).collect();
    blocks.last().unwrap().trim_start_matches("text\n").to_owned()
}

/// Replaces a text that has to be there.
#[track_caller]
pub(crate) fn replace(settings: &str, from: &str, to: &str) -> String {
    assert!(settings.contains(from), "{from:?} is not in the book's settings:\n{settings}");
    settings.replace(from, to)
}

/// nginx with these settings of a site, whose certificate is in files of this name.
pub(crate) fn nginx_with(program: &Path, site: &str, name: &str, listen: SocketAddr) -> Launch {
    let certificate = rcgen::generate_simple_self_signed([format!("{name}.example.com")]).unwrap();
    let launch = Launch::program(program)
        .write(&format!("{name}.pem"), certificate.cert.pem())
        .write(&format!("{name}.key"), certificate.signing_key.serialize_pem());
    let folder = launch.folder().display().to_string();
    let site = replace(site, "listen 443 ssl;", &format!("listen {listen};"));
    let site = replace(&site, "/etc/ssl", &folder);
    let scratch: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .concat();
    let all = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr;\n\
         events {{}}\nhttp {{\naccess_log off;\n{scratch}{site}}}\n"
    );
    let launch = launch.write("nginx.conf", all);
    let file = launch.folder().join("nginx.conf");
    launch.args(["-e", "stderr", "-p", &folder, "-c"]).arg(file)
}

/// A proxy that has started; where it listens.
pub(crate) fn start(launch: impl Fn(SocketAddr) -> Launch) -> (Host, SocketAddr) {
    wait_for("there is a free port for the proxy", || {
        // It takes no socket that is open already, so another program may take the port before it.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let proxy = launch(address).spawn();
        let is_taken = wait_for("the proxy listens, or reports that it cannot", || {
            let is_taken = proxy.log().to_lowercase().contains("address already in use");
            (is_taken || TcpStream::connect(address).is_ok()).then_some(is_taken)
        });
        if is_taken {
            proxy.ended();
            return None;
        }
        Some((proxy, address))
    })
}
