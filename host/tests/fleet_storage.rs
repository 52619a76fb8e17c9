//! What a fleet keeps in NATS, and what it removes.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod installed;
mod nats;
mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use atoll_host::internal::ContentHash;
use atoll_host::internal::fleet::nats::Fleet;
use atoll_host::internal::fleet::{Record, Release, UNUSED_AGE, Wave};
use futures_util::TryStreamExt;
use nats::Nats;
use support::{Host, versioned, wait_until};
use tokio::time::timeout;

const BUCKET: &str = "atoll-default-libraries";

/// How often everything is read while it is written: about one time in 400 would not end if it depended on the server's count.
const READS: usize = 1000;

/// Writes a file, and uploads it as a library.
async fn upload(fleet: &Fleet, folder: &Path, content: &str) -> (String, u64) {
    let file = folder.join(content);
    std::fs::write(&file, content).unwrap();
    let hash = ContentHash::of_file(&file).unwrap().to_string();
    let size = fleet.put_library(&hash, &file).await.unwrap();
    (hash, size)
}

fn release(version: &str, library: &str) -> Release {
    serde_json::from_value(
        serde_json::json!({ "version": version, "library": library, "by": "ann", "at_ms": 1 }),
    )
    .unwrap()
}

/// The object store, as another client sees it: the names of the libraries, and the number of subjects of chunks.
async fn stored(context: &async_nats::jetstream::Context) -> (BTreeSet<String>, usize) {
    let store = context.get_object_store(BUCKET).await.unwrap();
    let objects: Vec<_> = store.list().await.unwrap().try_collect().await.unwrap();
    let stream = context.get_stream(format!("OBJ_{BUCKET}")).await.unwrap();
    let chunks = stream.info_with_subjects(format!("$O.{BUCKET}.C.>")).await.unwrap();
    let chunks: Vec<_> = chunks.try_collect().await.unwrap();
    (objects.into_iter().map(|object| object.name).collect(), chunks.len())
}

#[test]
fn a_library_that_no_version_needs_is_removed_when_it_is_old() {
    let Some([program]) = installed::all(["nats-server"]) else { return };
    let nats = Nats::start(&program);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let context = runtime.block_on(async {
        let fleet = Fleet::connect(&nats.settings()).await.unwrap();
        let client = async_nats::connect(nats.url()).await.unwrap();
        let context = async_nats::jetstream::new(client);
        let [(before, _), (current, _), (unused, size)] = [
            upload(&fleet, folder.path(), "before").await,
            upload(&fleet, folder.path(), "current").await,
            upload(&fleet, folder.path(), "unused").await,
        ];
        assert_eq!(size, 6);
        let first = Record::begin(None, "app", release("1", &before), Wave::All).unwrap().unwrap();
        let record = Record::begin(Some(&first), "app", release("2", &current), Wave::All).unwrap().unwrap();
        fleet.publish("app", &record, None).await.unwrap();
        // An upload that was interrupted.
        let chunk = context.publish(format!("$O.{BUCKET}.C.interrupted"), "half of it".into()).await.unwrap();
        chunk.await.unwrap();

        let all = BTreeSet::from([&before, &current, &unused].map(Clone::clone));
        assert_eq!(fleet.remove_unused(UNUSED_AGE).await.unwrap(), 0);
        assert_eq!(stored(&context).await, (all.clone(), 4), "someone may need it in a moment");
        // One who needs it keeps it.
        let meta = format!("$O.{BUCKET}.M.{}", data_encoding::BASE64URL.encode(unused.as_bytes()));
        let stream = context.get_stream(format!("OBJ_{BUCKET}")).await.unwrap();
        let touched = stream.get_last_raw_message_by_subject(&meta).await.unwrap().sequence;
        assert_eq!(upload(&fleet, folder.path(), "unused").await, (unused.clone(), 0));
        assert!(stream.get_last_raw_message_by_subject(&meta).await.unwrap().sequence > touched);
        assert_eq!(stored(&context).await, (all, 4));

        let needed = BTreeSet::from([before, current]);
        assert_eq!(fleet.remove_unused(Duration::ZERO).await.unwrap(), 1);
        assert_eq!(stored(&context).await, (needed.clone(), 3), "its chunks are left");
        assert_eq!(fleet.remove_unused(Duration::ZERO).await.unwrap(), 0);
        assert_eq!(stored(&context).await, (needed.clone(), 2));
        assert_eq!(upload(&fleet, folder.path(), "unused").await, (unused, 6), "it is uploaded again");
        context
    });
    // A deployment removes nothing that is new.
    let deployed = nats.deployed(versioned(1));
    assert!(!deployed.stdout.contains("unused libraries"), "{}", deployed.stdout);
    let (libraries, chunks) = runtime.block_on(stored(&context));
    assert!(libraries.len() >= 3 && chunks >= 3, "{libraries:?}");
}

/// The client waits for ever for what is not there.
#[test]
fn a_library_without_its_content_is_refused_and_uploaded_again() {
    let Some([program]) = installed::all(["nats-server"]) else { return };
    let nats = Nats::start(&program);
    nats.deployed(versioned(1));
    let pieces = lose(&nats, true);
    let host = nats.host("a");
    let refused = |host: &Host, found: usize| {
        let reason = format!("is incomplete: {found} of its {pieces} pieces are there; deploy the app again");
        wait_until("the host refuses it", || host.again("ls").arg("--fleet").run().stdout.contains(&reason));
    };
    refused(&host, 0);
    let again = nats.deployed(versioned(1));
    assert!(!again.stdout.contains("nothing to upload"), "{}", again.stdout);
    assert_eq!(host.get("/apps/app/").text(), "1");
    // A host that comes later, when one piece is missing.
    lose(&nats, false);
    let late = nats.host("b");
    refused(&late, pieces - 1);
    nats.deployed(versioned(1));
    assert_eq!(late.get("/apps/app/").text(), "1");
}

/// Has the object store lose the content of the library of the app, or the first piece of it; how many pieces it had.
fn lose(nats: &Nats, all: bool) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let fleet = Fleet::connect(&nats.settings()).await.unwrap();
        let (record, _) = fleet.record("app").await.unwrap().unwrap();
        let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.unwrap());
        let store = context.get_object_store(BUCKET).await.unwrap();
        let info = store.info(&record.target.release().unwrap().library).await.unwrap();
        let stream = context.get_stream(format!("OBJ_{BUCKET}")).await.unwrap();
        let content = format!("$O.{BUCKET}.C.{}", info.nuid);
        if all {
            stream.purge().filter(content).await.unwrap();
        } else {
            let last = stream.get_last_raw_message_by_subject(&content).await.unwrap().sequence;
            stream.delete_message(last + 1 - info.chunks as u64).await.unwrap();
        }
        info.chunks
    })
}

/// The server counts a value that is written while a client begins to read twice, and a reader that waits for as many waits for ever.
#[test]
fn hosts_and_their_apps_are_read_while_they_are_written() {
    let Some([program]) = installed::all(["nats-server"]) else { return };
    let nats = Nats::start(&program);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let fleet = Fleet::connect(&nats.settings()).await.unwrap();
        let names = ["a", "b", "c"];
        let first = |name: &'static str| {
            let presence = serde_json::json!({
                "host": name, "instance": "1", "addresses": [], "labels": {}, "atoll": "0.1.0", "started_ms": 1,
                "seen": 1,
            });
            (format!("host.{name}"), presence.to_string())
        };
        let buckets = [
            ("atoll-default-hosts", names.map(first)),
            ("atoll-default-host-apps", names.map(|name| (format!("{name}.app"), r#"{"phase":"idle"}"#.to_owned()))),
        ];
        let mut writers = tokio::task::JoinSet::new();
        for (bucket, values) in buckets {
            let client = async_nats::connect(nats.url()).await.unwrap();
            let bucket = async_nats::jetstream::new(client).get_key_value(bucket).await.unwrap();
            for (key, value) in &values {
                bucket.put(key, value.clone().into()).await.unwrap();
            }
            writers.spawn(async move {
                for (key, value) in values.iter().cycle() {
                    bucket.put(key, value.clone().into()).await.unwrap();
                }
            });
        }
        let limit = Duration::from_secs(5);
        for _ in 0..READS {
            let hosts = timeout(limit, fleet.hosts_with_app("app")).await.expect("it ends").unwrap();
            assert_eq!(hosts.iter().map(|(host, _)| &*host.host).collect::<Vec<_>>(), names);
            assert!(hosts.iter().all(|(_, app)| app.is_some()), "{hosts:?}");
            timeout(limit, fleet.apps_of_hosts()).await.expect("it ends").unwrap();
        }
        writers.abort_all();
    });
}
