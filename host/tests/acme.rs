//! Certificates by ACME, from pebble.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod client;
mod installed;
mod pebble;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use atoll_host::{AcmeSettings, TlsSettings};
use pebble::{Pebble, Place};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use support::{Call, Connection, Host, Launch, contains, wait_for, wait_until};

fn apps() -> Value {
    json!([{ "name": "probe", "path": "libprobe.so" }])
}

fn pebble() -> Option<PathBuf> {
    installed::all(["pebble"]).map(|[program]| program)
}

/// The certificate that a client gets for a name, if it is one of this authority.
fn certificate(host: &Host, root: &CertificateDer<'static>, name: &'static str) -> Option<Vec<u8>> {
    client::handshake(host.address(), root, name).ok().map(|certificate| certificate.to_vec())
}

/// Waits until a client gets a certificate for a name.
#[track_caller]
fn wait_for_certificate(host: &Host, root: &CertificateDer<'static>, name: &'static str) -> Vec<u8> {
    wait_for(&format!("there is a certificate for {name}"), || certificate(host, root, name))
}

/// What `atoll doctor` reports of a certificate.
fn doctor(host: &Host, name: &str) -> Value {
    let ended = Launch::command("doctor")
        .args(["--format", "json", "--config", &host.path("apps.json")])
        .env("TMPDIR", host.folder().join("tmp"))
        .run();
    let findings: Value = serde_json::from_str(&ended.stdout).unwrap();
    let check = format!("certificate {name}");
    let found = findings.as_array().unwrap().iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("{check} in {findings}")).clone()
}

fn metrics(host: &Host) -> String {
    Connection::open(host.admin()).unwrap().call(&Call::get("/metrics")).unwrap().text()
}

/// The files that keep certificates and accounts.
fn kept(folder: &Path) -> Vec<PathBuf> {
    let mut folders = std::fs::read_dir(folder.join("state/atoll/acme")).unwrap();
    let folder = folders.next().unwrap().unwrap().path();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_certificate_is_obtained_and_kept_over_a_restart() {
    let (Some(program), place) = (pebble(), Place::new()) else { return };
    let pebble = Pebble::start(&program, place, &json!({}));
    let root = pebble.root();
    let of_file = rcgen::generate_simple_self_signed(["file.example".to_owned()]).unwrap();
    let listen = place.https().to_string();
    // The validation has no certificate of a client; the client of this test has one.
    let host = place
        .host(&apps(), &["one.example", "TWO.example"])
        .library("probe")
        .write("authority.pem", &pebble.authority)
        .write("cert.pem", of_file.cert.pem())
        .write("key.pem", of_file.signing_key.serialize_pem())
        .args(["--listen", &listen, "--acme-contact", "ops@one.example", "--admin", "127.0.0.1:0"])
        .args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"])
        .start();
    let file_root = of_file.cert.der().clone();
    assert!(certificate(&host, &file_root, "file.example").is_some(), "it serves meanwhile");
    let first = wait_for_certificate(&host, &root, "one.example");
    wait_for_certificate(&host, &root, "two.example");
    assert!(certificate(&host, &file_root, "file.example").is_some());
    let response = client::get_by_name(host.address(), &root, "one.example", "/apps/probe/get-only");
    assert_eq!(response.unwrap(), "got");
    host.wait_for_log(&["using a new certificate for two.example"]);
    assert_eq!(pebble.issued(), 2);

    assert_eq!(doctor(&host, "one.example")["level"], "ok");
    assert_eq!(doctor(&host, "cert.pem")["level"], "ok");
    contains(
        &metrics(&host),
        &[
            "atoll_certificate_expiration_timestamp_seconds{name=\"cert.pem\",source=\"file\"} ",
            "atoll_certificate_expiration_timestamp_seconds{name=\"one.example\",source=\"acme\"} ",
            "atoll_acme_orders_total{domain=\"one.example\",outcome=\"ok\"} 1",
            "atoll_acme_orders_total{domain=\"one.example\",outcome=\"failed\"} 0",
        ],
    );

    let files = kept(host.folder());
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["account.json", "one.example.pem", "two.example.pem"]);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert!(files.iter().all(|file| mode(file) == 0o600));
    assert_eq!(mode(files[0].parent().unwrap()), 0o700);

    // Without the authority, which a restart does not need.
    let ended = host.stop();
    drop(pebble);
    let again = place.with_acme(ended.again("serve"), &["one.example", "two.example"], "200ms");
    let host = again.args(["--listen", &listen]).start();
    assert_eq!(certificate(&host, &root, "one.example").unwrap(), first);
    assert!(certificate(&host, &root, "two.example").is_some());
    assert_eq!(host.log_lines(&["certificate"]), [""; 0]);
}

#[test]
fn clients_need_a_certificate_and_the_authority_does_not() {
    let (Some(program), place) = (pebble(), Place::new()) else { return };
    let pebble = Pebble::start(&program, place, &json!({}));
    let clients = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
    let host = place
        .host(&json!([]), &["one.example"])
        .write("authority.pem", &pebble.authority)
        .write("clients.pem", clients.cert.pem())
        .args(["--listen", &place.https().to_string(), "--tls-client-ca", "clients.pem"])
        .start();
    host.wait_for_log(&["using a new certificate for one.example"]);
    let refused = client::get_by_name(host.address(), &pebble.root(), "one.example", "/healthz");
    assert!(refused.is_none(), "{refused:?}");
}

#[test]
fn a_certificate_is_renewed_before_it_expires() {
    let (Some(program), place) = (pebble(), Place::new()) else { return };
    let pebble = Pebble::start_with(&program, place, &json!({ "certificateValidityPeriod": 12 }), "100");
    let host = place
        .host(&json!([]), &["one.example"])
        .write("authority.pem", &pebble.authority)
        .args(["--listen", &place.https().to_string()])
        .start();
    let root = pebble.root();
    let first = wait_for_certificate(&host, &root, "one.example");
    // No client meets one that has expired.
    let second = wait_for("it is renewed", || {
        let found = certificate(&host, &root, "one.example").expect("there is a valid certificate");
        (found != first).then_some(found)
    });
    assert_ne!(first, second);
    let kept = kept(host.folder());
    let kept = kept.iter().find(|file| file.ends_with("one.example.pem")).unwrap();
    wait_until("the new one is kept", || {
        CertificateDer::from_pem_file(kept).is_ok_and(|certificate| *certificate == *second)
    });
}

#[test]
fn an_order_that_fails_is_tried_again() {
    let (Some(program), place) = (pebble(), Place::new()) else { return };
    let pebble = Pebble::start(&program, place, &json!({}));
    pebble.names.remove("two.example");
    let host = place
        .host(&apps(), &["one.example", "two.example"])
        .library("probe")
        .write("authority.pem", &pebble.authority)
        .args(["--listen", &place.https().to_string(), "--admin", "127.0.0.1:0"])
        .start();
    let root = pebble.root();
    wait_for_certificate(&host, &root, "one.example");
    let why = "could not validate the domain over TLS-ALPN on port 443: ";
    let failed = ["ERROR", "there is no certificate for two.example; trying again in ", why];
    host.wait_for_log(&[&failed[..], &["again in 200ms"]].concat());
    host.wait_for_log(&[&failed[..], &["again in 400ms"]].concat());
    let reached = client::get_by_name(host.address(), &root, "one.example", "/apps/probe/get-only");
    assert_eq!(reached.unwrap(), "got", "it serves the other name");
    let ready = client::get_by_name(host.address(), &root, "one.example", "/readyz");
    assert_eq!(ready.unwrap(), "ready\n");
    let finding = doctor(&host, "two.example");
    assert_eq!(finding["level"], "problem");
    contains(finding["found"].as_str().unwrap(), &["no certificate yet: ", why]);
    let text = metrics(&host);
    assert!(!text.contains("atoll_acme_orders_total{domain=\"two.example\",outcome=\"failed\"} 0"), "{text}");

    pebble.names.add("two.example");
    wait_for_certificate(&host, &root, "two.example");
    wait_until("the doctor finds it", || doctor(&host, "two.example")["level"] == "ok");
}

#[test]
fn a_name_is_validated_over_http_where_tls_does_not_reach_the_host() {
    let (Some(program), place) = (pebble(), Place::new()) else { return };
    let pebble = Pebble::start(&program, place, &json!({}));
    let host = place
        .host(&json!([]), &["one.example"])
        .write("authority.pem", &pebble.authority)
        .args(["--listen", "127.0.0.1:0", "--redirect-http", &place.http().to_string()])
        .start();
    host.wait_for_log(&["one.example", "over TLS-ALPN on port 443"]);
    wait_for_certificate(&host, &pebble.root(), "one.example");
    // What the authority does not ask for is redirected, as before.
    let token = Call::get("/.well-known/acme-challenge/token");
    assert_eq!(Connection::open(place.http()).unwrap().call(&token).unwrap().status, 308);
}

#[test]
fn an_account_elsewhere_is_used() {
    let (Some(program), place) = (pebble(), Place::new()) else { return };
    let keys = json!({ "kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W" });
    let required = json!({ "externalAccountBindingRequired": true, "externalAccountMACKeys": keys });
    let pebble = Pebble::start(&program, place, &required);
    let launch = || {
        place
            .host(&json!([]), &["one.example"])
            .write("authority.pem", &pebble.authority)
            .write("key", format!("{}\n", keys["kid-1"].as_str().unwrap()))
            .args(["--listen", &place.https().to_string()])
    };
    let host = launch().start();
    host.wait_for_log(&["there is no certificate for one.example", "(externalAccountRequired)"]);
    drop(host);
    let host = launch().args(["--acme-eab-kid", "kid-1", "--acme-eab-key-file", "key"]).start();
    wait_for_certificate(&host, &pebble.root(), "one.example");
}

#[test]
fn an_account_that_the_authority_has_forgotten_is_replaced() {
    let (Some(program), place) = (pebble(), Place::new()) else { return };
    let listen = place.https().to_string();
    let pebble = Pebble::start(&program, place, &json!({}));
    let host = place
        .host(&json!([]), &["one.example"])
        .write("authority.pem", &pebble.authority)
        .args(["--listen", &listen])
        .start();
    wait_for_certificate(&host, &pebble.root(), "one.example");
    host.wait_for_log(&["using a new certificate"]);
    let (mut ended, mut pebble) = (host.stop(), pebble);
    let unknown = "the certificate authority does not know the account";
    for (name, contact) in
        [("two.example", &[][..]), ("three.example", &["--acme-contact", "ops@one.example"])]
    {
        // Another one, with another key, in the same place.
        drop(pebble);
        pebble = Pebble::start(&program, place, &json!({}));
        std::fs::write(ended.folder().join("authority.pem"), &pebble.authority).unwrap();
        let again = place.with_acme(ended.again("serve"), &["one.example", name], "200ms");
        let host = again.args(["--listen", &listen]).args(contact).start();
        wait_for_certificate(&host, &pebble.root(), name);
        host.wait_for_log(&["WARN", unknown]);
        ended = host.stop();
    }
    // The new one is kept, and gets other contacts.
    let files = kept(ended.folder());
    std::fs::remove_file(files.iter().find(|file| file.ends_with("three.example.pem")).unwrap()).unwrap();
    let again = place.with_acme(ended.again("serve"), &["three.example"], "200ms");
    let host = again.args(["--listen", &listen]).start();
    wait_for_certificate(&host, &pebble.root(), "three.example");
    assert_eq!(host.log_lines(&["account"]), [""; 0]);
    let account = kept(host.folder()).into_iter().find(|file| file.ends_with("account.json")).unwrap();
    let account: Value = serde_json::from_slice(&std::fs::read(account).unwrap()).unwrap();
    assert_eq!(account["contacts"], json!([]));
}

#[test]
fn a_certificate_that_is_due_already_is_not_ordered_again_and_again() {
    let (Some(program), place) = (pebble(), Place::new()) else { return };
    // By the time that it comes, two thirds of it are over.
    let pebble = Pebble::start(&program, place, &json!({ "certificateValidityPeriod": 1 }));
    let launch = Launch::command("serve").write("apps.json", "[]").write("authority.pem", &pebble.authority);
    let launch = place.with_acme(launch, &["one.example"], "1h");
    let host = launch.args(["--listen", &place.https().to_string()]).start();
    host.wait_for_log(&["trying again in 3600s", "it is due for renewal already"]);
    assert_eq!(pebble.issued(), 1);
}

/// Runs in a separate process, which [`a_program_has_certificates_for_its_own_server`] starts.
#[test]
#[ignore = "it is started by another test"]
fn embedded() {
    let place = std::fs::read_to_string("place").unwrap();
    let [directory, http] = place.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{place}") };
    actix_web::rt::System::new().block_on(async {
        let host = atoll_host::Host::builder("apps.json").start().unwrap();
        let listen = ["127.0.0.1:0".parse().unwrap()];
        let no_pages = |_: &mut actix_web::web::ServiceConfig| {};
        let nothing = host.server(&listen, no_pages).unwrap().with_tls(TlsSettings::default()).unwrap_err();
        assert_eq!(
            nothing.to_string(),
            "there is no certificate: add one with its key, or a domain for ACME"
        );

        let acme = AcmeSettings::new(["one.example".parse().unwrap()], "kept")
            .with_directory(directory.parse().unwrap())
            .with_ca_file("authority.pem")
            .with_contact("ops@one.example")
            .with_retry_delay(Duration::from_millis(100));
        let tls = TlsSettings::default().with_acme(acme.clone());
        let disagreeing = host.server(&listen, no_pages).unwrap().with_tls(tls).unwrap_err();
        assert!(disagreeing.to_string().contains("requires that you agree to the terms"), "{disagreeing}");

        let tls = TlsSettings::default()
            .with_acme(acme.agreeing_to_terms())
            .with_certificate("cert.pem", "key.pem");
        let server = host.server(&listen, no_pages).unwrap().with_redirect(&[http.parse().unwrap()]).unwrap();
        let server = server.with_tls(tls).unwrap();
        println!("\nlistening on https://{}/", server.addresses()[0]);
        server.run().await.unwrap();
        host.close().await;
    });
}

#[test]
fn a_program_has_certificates_for_its_own_server() {
    let (Some(program), place) = (pebble(), Place::new()) else { return };
    let pebble = Pebble::start(&program, place, &json!({}));
    let of_file = rcgen::generate_simple_self_signed(["file.example".to_owned()]).unwrap();
    let test = ["--ignored", "--exact", "embedded", "--nocapture"];
    let host = Launch::program(std::env::current_exe().unwrap())
        .args(test)
        .write("apps.json", "[]")
        .write("authority.pem", &pebble.authority)
        .write("cert.pem", of_file.cert.pem())
        .write("key.pem", of_file.signing_key.serialize_pem())
        .write("place", format!("{}\n{}\n", place.directory(), place.http()))
        .start();
    let root = pebble.root();
    wait_for_certificate(&host, &root, "one.example");
    assert!(certificate(&host, of_file.cert.der(), "file.example").is_some());
    let response = client::get_by_name(host.address(), &root, "one.example", "/healthz");
    assert_eq!(response.unwrap(), "ok\n");
    assert_eq!(Connection::open(place.http()).unwrap().call(&Call::get("/a")).unwrap().status, 308);
    assert!(host.stop().status.success());
}

#[test]
fn a_directory_that_cannot_be_reached_is_named() {
    let place = Place::new();
    let host = place
        .host(&json!([]), &["one.example"])
        .write("authority.pem", rcgen::generate_simple_self_signed([]).unwrap().cert.pem())
        .args(["--listen", "127.0.0.1:0"])
        .start();
    host.wait_for_log(&["there is no certificate for one.example", "cannot be used: ", "Connection refused"]);
}

#[test]
fn what_cannot_work_is_an_error_at_the_start() {
    let error = |arguments: &[&str]| {
        let launch = Launch::serve("[]").write("none.pem", "").write("file", "");
        let ended = launch.args(arguments).run();
        assert!(!ended.status.success(), "{arguments:?}");
        ended.stderr
    };
    let agreed = ["--acme", "a.example", "--acme-agree-tos"];
    for (arguments, expected) in [
        (&["--acme", "a.example"][..], "--acme-agree-tos"),
        (&["--acme", "*.a.example", "--acme-agree-tos"], "a wildcard needs a challenge over DNS"),
        (&["--acme-contact", "ops@a.example"], "--acme <DOMAIN>"),
        (&["--h2c", agreed[0], agreed[1], agreed[2]], "cannot be used with"),
        (&["--acme-directory", "http://a.example"], "expected `production` or `staging`"),
        (&["--acme-contact", "ops"], "expected an email address"),
        (&["--acme-retry-delay", "5"], "expected a time with a unit"),
        (&["--acme-ca-file", "none.pem"], "cannot use the CA file none.pem for ACME"),
        (&["--state-dir", "file"], "cannot keep certificates in file/acme/acme-v02.api.letsencrypt.org-"),
        (
            &["--acme-eab-kid", "1", "--acme-eab-key-file", "missing"],
            "cannot read the key for --acme-eab-kid",
        ),
    ] {
        let with_agreement = [&agreed[..], arguments].concat();
        let given = if arguments.contains(&"--acme") || expected.contains("DOMAIN") {
            arguments
        } else {
            &with_agreement
        };
        let message = error(given);
        assert!(message.contains(expected), "{given:?}: {message}");
    }
}
