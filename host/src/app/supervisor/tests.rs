//! How a supervisor handles faults of the host's own, with libraries that are none.

use std::cell::Cell;
use std::time::Duration;

use abi_stable::prefix_type::WithMetadata;
use atoll_plugin::abi::{Exit, GenerationHandle, HostRef, Message, Plugin, PluginRef, PortHandle, Received};
use atoll_port::{OutgoingCall, WorkerEnd};
use futures_util::future::{LocalBoxFuture, ready};
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::*;
use crate::abi::library_context::LibraryContext;
use crate::abi::vtable;
use crate::app::lifecycle::Phase;
use crate::config::Origins;
use crate::library::check::CheckError;
use crate::library::inspect::Inspected;
use crate::library::inspect::tests::good_library;
use crate::library::loaded::mapping::{FinalCheck, Mapping};
use crate::library::loaded::{Loaded, PinReason};
use crate::library::loader::{LoadMode, Loader};
use crate::library::stage::Staged;
use crate::memory::buffer;

const LIMIT: Duration = Duration::from_secs(20);

unsafe extern "C" fn bind(_: HostRef, _: GenerationHandle, _: u8) {}

/// There are no other apps to call.
#[derive(Debug)]
struct NoCalls;

impl CallSink for NoCalls {
    fn accept(&self, _: OutgoingCall) {}
}

/// A worker that is ready at once, and has nothing to do until it is to stop.
unsafe extern "C" fn main(handle: PortHandle) -> Exit {
    // SAFETY: the handle has a count of the port, which is given back below.
    let port = unsafe { &*handle.0.cast::<WorkerEnd>() };
    let mut message = Message::default();
    while let Received::Message = port.receive(None, &mut message) {
        let call: serde_json::Value = serde_json::from_slice(&message.json).unwrap();
        if call["method"] == "stop" {
            break;
        }
        if !call["id"].is_null() {
            let answer =
                serde_json::json!({ "jsonrpc": "2.0", "id": call["id"], "result": { "saves": false } });
            port.send(Message { json: buffer::from_vec(answer.to_string().into()), ..Message::default() });
        }
    }
    // SAFETY: as above.
    unsafe { vtable::host().port_release()(handle) };
    Exit::Stopped
}

unsafe extern "C" fn unbind() {}

const PLUGIN: &WithMetadata<Plugin> = &WithMetadata::new(Plugin { bind, main, unbind });

/// What a mapping does when it is to be closed.
#[derive(Clone, Copy, Debug)]
enum Closing {
    Works,
    Panics,
}

impl Mapping for Closing {
    unsafe fn close(self: Box<Self>, _: FinalCheck) -> Result<(), (Option<Box<dyn Mapping>>, PinReason)> {
        match *self {
            Self::Works => Ok(()),
            Self::Panics => panic!("this mapping panics"),
        }
    }
}

#[derive(Debug)]
struct Fake {
    /// How many loads panic before the first that does not.
    panics: Cell<usize>,
    closing: Closing,
}

impl Loader for Fake {
    fn prepare<'a>(&'a self, _: &'a Staged) -> LocalBoxFuture<'a, Result<LoadMode, CheckError>> {
        ready(Ok(LoadMode::SideBySide)).boxed_local()
    }

    fn load(
        &self,
        inspected: Inspected,
        context: Arc<LibraryContext>,
    ) -> LocalBoxFuture<'_, Result<Loaded, CheckError>> {
        async move {
            if let Some(left) = self.panics.get().checked_sub(1) {
                self.panics.set(left);
                panic!("this loader panics");
            }
            let root = PluginRef(PLUGIN.static_as_prefix());
            Ok(Loaded::held(Box::new(self.closing), root, context, inspected))
        }
        .boxed_local()
    }
}

/// Runs a test with an app of this loader, and what it shares with others.
async fn with_app(loader: Fake, test: impl AsyncFnOnce(Arc<App>, Pins)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libfake.so");
    std::fs::write(&path, good_library()).unwrap();
    let config = AppConfig {
        id: None,
        name: "fake".to_owned(),
        path,
        routes: Vec::new(),
        settings: Settings::default(),
        origins: Origins::default(),
    };
    let run = async {
        let shared = AppResources::new(|_| Rc::new(loader), None, None, None, false).unwrap();
        let app = register(&config, &shared, Arc::new(NoCalls), None);
        test(app.clone(), shared.pins).await;
        app.close().await;
    };
    timeout(LIMIT, LocalSet::new().run_until(run)).await.expect("it comes to its end");
}

#[tokio::test]
async fn a_start_up_that_panics_is_a_failed_start() {
    let loader = Fake { panics: Cell::new(1), closing: Closing::Works };
    with_app(loader, async |app, _| {
        let error = app.wait().await.unwrap_err().to_string();
        assert!(error.contains("the host failed to start it: this loader panics"), "{error}");
        // It is tried again, after a pause, as after any other failure.
        while app.wait().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(app.phase(), Phase::Serving);
    })
    .await;
}

#[tokio::test]
async fn a_teardown_that_panics_is_a_pinned_generation() {
    let loader = Fake { panics: Cell::new(0), closing: Closing::Panics };
    with_app(loader, async |app, pins| {
        app.wait().await.unwrap();
        app.stop().await;
        let pinned = pins.list();
        assert!(
            matches!(&pinned[..], [pinned] if pinned.reason.contains("the host failed to unload it")),
            "{pinned:?}"
        );
        app.wait().await.unwrap();
    })
    .await;
}
