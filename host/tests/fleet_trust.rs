//! Who may decide what the hosts of a fleet run.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod nats;
#[path = "nats/operator.rs"]
mod operator;
mod support;

use std::path::PathBuf;

use atoll_host::internal::fleet::nats::{Fleet, FleetError};
use atoll_host::internal::fleet::{Record, Target, Wave};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{EncodePrivateKey, EncodePublicKey};
use futures_util::TryStreamExt;
use nats::{Nats, app, status, wait_for_text};
use nkeys::KeyPair;
use operator::Operator;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair as TlsKey,
};
use serde_json::{Value, json};
use support::{Host, Launch, contains, versioned, wait_until, workspace};

fn program() -> Option<PathBuf> {
    installed::all(["nats-server"]).map(|[program]| program)
}

/// The files of a key pair, private and public, for someone with this number.
fn key_pair(number: u8) -> [String; 2] {
    let key = SigningKey::from_bytes(&[number; 32]);
    let private = key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string();
    [private, key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()]
}

/// A host that serves what Ann has signed.
fn trusting_host(nats: &Nats, name: &str) -> Host {
    let fleet = json!({ "nats": [nats.url()], "host": name, "signers": ["ann.pem"] });
    let host = nats.launch(name, json!({ "fleet": fleet })).write("ann.pem", &key_pair(1)[1]).start();
    host.wait_for_log(&["joined the fleet default as", name]);
    host
}

/// `atoll deploy` of someone with this number.
fn signed(nats: &Nats, signer: u8, library: impl AsRef<[u8]>) -> Launch {
    nats.deploy(library).write("signer.key", &key_pair(signer)[0]).args(["--signing-key", "signer.key"])
}

/// Has a runtime do this.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn hosts_serve_what_a_signer_has_signed_and_nothing_else() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    // There is no host yet that could refuse it.
    nats.deployed(versioned(1));
    let host = trusting_host(&nats, "a");
    nats.wait_for_hosts(&host, &["a"]);
    let is_listed = |reason: &str| host.again("ls").arg("--fleet").run().stdout.contains(reason);
    wait_until("the host refuses it", || {
        is_listed("is not signed, and this host serves signed versions only")
    });
    // The fleet has it, and no host does.
    assert_eq!(host.get("/apps/app/").status, 503);

    // It is the same version, with a signature.
    let ended = signed(&nats, 1, versioned(1)).run();
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(host.get("/apps/app/").text(), "1");
    let described = || host.again("describe").args(["app", "--fleet"]).run().stdout;
    contains(&described(), &["signed by     ann.pem\n"]);

    for (deployment, reason) in [
        (nats.deploy(versioned(2)), "is not signed"),
        (signed(&nats, 2, versioned(2)), "which is none of the `signers` of `fleet` on this host"),
    ] {
        let refused = deployment.run();
        assert_eq!(refused.status.code(), Some(4), "{}{}", refused.stdout, refused.stderr);
        contains(&refused.stderr, &["went back: a: ", reason]);
        contains(app(&host)["failure"]["reason"].as_str().unwrap(), &[reason]);
    }
    assert_eq!(host.get("/apps/app/").text(), "1");
    contains(&described(), &["signed by     ann.pem\n"]);

    // A rollback needs no key: the signature of the earlier version still counts.
    let ended = signed(&nats, 1, versioned(3)).run();
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(host.get("/apps/app/").text(), "3");
    let back = host.again("rollback").args(["app", "--fleet"]).run();
    assert!(back.status.success(), "{}{}", back.stdout, back.stderr);
    assert_eq!(host.get("/apps/app/").text(), "1");

    // Who can write to NATS cannot use the signature for another library.
    let forged = block_on(async {
        let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
        let store = context.get_object_store("atoll-default-libraries").await.unwrap();
        let stored: Vec<_> = store.list().await.unwrap().try_collect().await.unwrap();
        let fleet = Fleet::connect(&nats.settings()).await?;
        let (record, revision) = fleet.record("app").await?.unwrap();
        let Target::Version(mut release) = record.target.clone() else { panic!("{record:?}") };
        release.library = stored.into_iter().find(|object| object.name != release.library).unwrap().name;
        release.version = "f".repeat(12);
        let forged = Record { target: Target::Version(release), wave: Wave::All, ..record };
        fleet.publish("app", &forged, Some(revision)).await
    });
    forged.unwrap();
    wait_until("the host refuses it", || {
        is_listed("the signature of the version ffffffffffff does not match")
    });
    assert!(!described().contains("signed by"), "the record names Ann, who has not signed it");
    assert_eq!(host.get("/apps/app/").text(), "1");
}

#[test]
fn a_library_that_was_changed_in_the_object_store_is_refused() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let deployed = signed(&nats, 1, versioned(1)).run();
    assert!(deployed.status.success(), "{}{}", deployed.stdout, deployed.stderr);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (store, library) = runtime.block_on(async {
        let fleet = Fleet::connect(&nats.settings()).await.unwrap();
        let (record, _) = fleet.record("app").await.unwrap().unwrap();
        let library = record.target.release().unwrap().library.clone();
        let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
        let store = context.get_object_store("atoll-default-libraries").await.unwrap();
        let info = store.info(&library).await.unwrap();
        let chunks = format!("$O.atoll-default-libraries.C.{}", info.nuid);
        let stream = context.get_stream("OBJ_atoll-default-libraries").await.unwrap();
        stream.purge().filter(&chunks).await.unwrap();
        for piece in vec![0; info.size].chunks(info.size.div_ceil(info.chunks)) {
            context.publish(chunks.clone(), piece.to_vec().into()).await.unwrap().await.unwrap();
        }
        (store, library)
    });
    let host = trusting_host(&nats, "a");
    let is_listed = |reason: &str| host.again("ls").arg("--fleet").run().stdout.contains(reason);
    wait_until("the host refuses it", || {
        is_listed(&format!("the library {library} in the object store of the fleet is damaged"))
    });
    // Another library under its name.
    runtime.block_on(store.put(&*library, &mut &*versioned(2))).unwrap();
    let refused = signed(&nats, 1, versioned(1)).run();
    assert_eq!(refused.status.code(), Some(1), "{}{}", refused.stdout, refused.stderr);
    contains(&refused.stderr, &[&format!("is damaged: expected hash {library}, found ")]);
    // The fleet has it, and no host does.
    assert_eq!(host.get("/apps/app/").status, 503);
}

#[test]
fn a_key_that_cannot_be_used_is_reported_before_anything_is_done() {
    let config = |signers: Value| {
        let fleet = json!({ "nats": ["nats://127.0.0.1:1"], "signers": signers });
        json!({ "fleet": fleet, "apps": [{ "name": "app", "path": "libapp.so" }] }).to_string()
    };
    let missing = Launch::serve(config(json!(["none.pem"]))).run();
    assert_eq!(missing.status.code(), Some(1));
    contains(&missing.stderr, &["`signers` of `fleet`", "none.pem: No such file"]);
    let found = missing.again("doctor").run();
    assert_eq!(found.status.code(), Some(1));
    contains(&found.stdout, &["problem", "fleet default: cannot use the key in ", "none.pem: No such file"]);

    let [ann, ann_public] = key_pair(1);
    let deploy = |key: &[&str]| {
        let deploy = Launch::command("deploy")
            .args(["--fleet"])
            .args(key)
            .write("apps.json", config(json!(["ann.pem"])));
        let ended = deploy
            .write("ann.pem", &ann_public)
            .write("ann.key", &ann)
            .write("bob.key", &key_pair(2)[0])
            .run();
        assert_eq!(ended.status.code(), Some(1));
        ended.stderr
    };
    contains(&deploy(&[]), &["its hosts serve signed versions only; pass --signing-key KEY"]);
    contains(
        &deploy(&["--signing-key", "bob.key"]),
        &["is not the key of one of the `signers` of the fleet default"],
    );
    contains(&deploy(&["--signing-key", "ann.pem"]), &["ann.pem: expected an ed25519 private key in PEM"]);
    contains(&deploy(&["--signing-key", "ann.key"]), &["cannot connect to NATS at nats://127.0.0.1:1"]);
}

#[test]
fn two_fleets_on_one_server_see_nothing_of_each_other() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let host = |fleet: &str| {
        let fleet = json!({ "name": fleet, "nats": [nats.url()], "host": fleet });
        nats.launch("", json!({ "fleet": fleet })).start()
    };
    let (one, other) = (host("one"), host("other"));
    let deploy = |fleet: &str, version: u8| {
        let config = json!({
            "fleet": { "name": fleet, "nats": [nats.url()] }, "apps": [{ "name": "app", "path": "libapp.so" }],
        });
        let deploy = nats.deploy(versioned(version)).write("apps.json", config.to_string()).run();
        assert!(deploy.status.success(), "{}{}", deploy.stdout, deploy.stderr);
    };
    nats.wait_for_hosts(&one, &["one"]);
    deploy("one", 1);
    assert_eq!(one.get("/apps/app/").text(), "1");
    nats.wait_for_hosts(&other, &["other"]);
    assert_eq!(status(&other)["apps"], json!([]));
    deploy("other", 2);
    assert_eq!([&one, &other].map(|host| host.get("/apps/app/").text()), ["1", "2"]);
    nats.wait_for_hosts(&one, &["one"]);
    assert_eq!(app(&one)["hosts"].as_array().unwrap().len(), 1);
}

#[test]
fn hosts_are_accepted_by_credentials_or_by_an_nkey() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nats.conf");
    let with = |text: &str| {
        std::fs::write(&config, text).unwrap();
        Nats::start_with(&program, &["-c", &config.display().to_string()])
    };
    let launch = |nats: &Nats, field: &str, content: &str| {
        let mut fleet = json!({ "nats": [nats.url()], "host": "a" });
        fleet[field] = json!("secret");
        nats.launch("", json!({ "fleet": fleet })).write("secret", content).start()
    };

    let operator = Operator::new();
    let nats = with(&operator.config);
    let host = launch(&nats, "credentials", &operator.credentials());
    host.wait_for_log(&["joined the fleet default as a"]);
    nats.wait_for_hosts(&host, &["a"]);
    let stranger = launch(&nats, "credentials", &Operator::new().credentials());
    let line = stranger.wait_for_log(&["not in the fleet default"]);
    contains(&line, &["authorization violation: no server accepts the credentials in ", "/secret;"]);
    let nothing = launch(&nats, "credentials", "none");
    contains(
        &nothing.wait_for_log(&["not in the fleet"]),
        &["cannot use the credentials for NATS in ", "/secret: "],
    );

    let user = KeyPair::new_user();
    let nats = with(&format!("authorization {{ users: [ {{ nkey: {} }} ] }}\n", user.public_key()));
    let host = launch(&nats, "nkey", &format!("{}\n", user.seed().unwrap()));
    host.wait_for_log(&["joined the fleet default as a"]);
    nats.wait_for_hosts(&host, &["a"]);
    let stranger = launch(&nats, "nkey", &KeyPair::new_user().seed().unwrap());
    let line = stranger.wait_for_log(&["not in the fleet default"]);
    contains(&line, &["authorization violation: no server accepts the NKey in ", "/secret;"]);
    let nothing = launch(&nats, "nkey", "none");
    contains(&nothing.wait_for_log(&["not in the fleet"]), &["/secret: expected the seed of a user"]);
    let without = nats.launch("b", json!({})).start();
    contains(&without.wait_for_log(&["not in the fleet"]), &["connections without `credentials` or `nkey`"]);
}

#[test]
fn a_server_may_require_certificates_of_hosts() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, TlsKey::generate().unwrap()).unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("ca.pem"), authority.pem()).unwrap();
    for name in ["server", "host"] {
        let key = TlsKey::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        std::fs::write(file(&format!("{name}.pem")), params.signed_by(&key, &authority).unwrap().pem())
            .unwrap();
        std::fs::write(file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let [ca, cert, key] = ["ca.pem", "server.pem", "server.key"].map(file);
    let tls = ["--tlsverify", "--tlscacert", &ca, "--tlscert", &cert, "--tlskey", &key];
    let nats = Nats::start_with(&program, &tls);
    let url = nats.url().replace("127.0.0.1", "localhost");
    let launch =
        |tls: Value| nats.launch("", json!({ "fleet": { "nats": [url], "host": "a", "tls": tls } })).start();
    let host = launch(json!({ "ca": ca, "cert": file("host.pem"), "key": file("host.key") }));
    host.wait_for_log(&["joined the fleet default as a"]);
    nats.wait_for_hosts(&host, &["a"]);
    let without = launch(json!({ "ca": ca }));
    contains(
        &without.wait_for_log(&["not in the fleet default"]),
        &["cannot connect to NATS at nats://localhost:"],
    );
}

/// The configuration of a NATS server in the book's chapter on fleets.
fn permissions() -> String {
    let chapter = std::fs::read_to_string(workspace().join("docs/src/fleet.md")).unwrap();
    let (_, rest) = chapter.split_once("### Permissions").unwrap();
    let (_, rest) = rest.split_once("```text\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn each_role_may_do_its_part_and_no_more() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nats.conf");
    let passwords: String =
        ["ADMIN", "HOST", "DEPLOYER", "READER"].map(|role| format!("{role}_PASSWORD: s3cret\n")).concat();
    std::fs::write(&config, passwords + &permissions()).unwrap();
    let nats = Nats::start_with(&program, &["-c", &config.display().to_string()]);
    let fleet = |role: &str| {
        let url = nats.url().replace("//", &format!("//{role}:s3cret@"));
        json!({ "name": "prod", "nats": [url], "host": "a" })
    };
    let launch = |role: &str, version: u8, command: &[&str]| {
        let config = json!({ "fleet": fleet(role), "apps": [{ "name": "app", "path": "libapp.so" }] });
        nats.deployer(command[0], versioned(version), json!({}))
            .args(&command[1..])
            .write("apps.json", config.to_string())
    };
    let deploy = ["deploy", "app", "--fleet", "--hold", "0"];
    let denied = |role: &str, command: &[&str], subject: &str| {
        let ended = launch(role, 2, command).run();
        assert_eq!(ended.status.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
        contains(&ended.stderr, &["NATS does not permit it: Permissions Violation for Publish to ", subject]);
    };

    let start = || nats.launch("", json!({ "fleet": fleet("host") })).start();
    let early = start();
    let line = early.wait_for_log(&["not in the fleet prod"]);
    contains(&line, &["Permissions Violation for Publish to ", "$JS.API.STREAM.CREATE.KV_atoll-prod-apps"]);
    // The administrator creates the buckets.
    let created = launch("admin", 1, &["apply", "empty.json", "--fleet"])
        .write("empty.json", json!({ "fleet": fleet("admin"), "apps": [] }).to_string());
    let created = created.run();
    assert!(created.status.success(), "{}{}", created.stdout, created.stderr);
    drop(early);
    let host = start();
    host.wait_for_log(&["joined the fleet prod as a"]);
    nats.wait_for_hosts(&host, &["a"]);

    let deployed = launch("deployer", 1, &deploy).run();
    assert!(deployed.status.success(), "{}{}", deployed.stdout, deployed.stderr);
    assert!(!deployed.stderr.contains("Permissions Violation"), "{}", deployed.stderr);
    wait_for_text(&host, "1");
    let plan = launch("reader", 1, &["apply", "apps.json", "--fleet"]).run();
    assert!(plan.status.success(), "{}{}", plan.stdout, plan.stderr);
    contains(&plan.stdout, &["= app: "]);

    for role in ["reader", "host"] {
        denied(role, &deploy, "");
        denied(role, &["remove", "app", "--fleet"], "");
    }
    let written = block_on(async {
        let url = nats.url().replace("//", "//host:s3cret@");
        let mut settings = nats.settings();
        (settings.name, settings.nats) = ("prod".to_owned(), vec![url.parse().unwrap()]);
        let fleet = Fleet::connect(&settings).await?;
        let record = Record::removed(None, "host", 0);
        fleet.publish("app", &record, Some(1)).await
    });
    let Err(FleetError::Denied(reason)) = written else { panic!("{written:?}") };
    contains(&reason, &["$KV.atoll-prod-apps.app.app"]);
    let removed = launch("deployer", 1, &["remove", "app", "--fleet"]).run();
    assert!(removed.status.success(), "{}{}", removed.stdout, removed.stderr);
    assert_eq!(host.get("/apps/app/").status, 404);
}
