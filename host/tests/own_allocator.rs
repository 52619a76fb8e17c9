//! An app with an allocator of its own: its buffers are copied at the port, and it is reloaded as any other.

mod support;

use serde_json::json;
use support::{Launch, patched, wait_until};

#[test]
fn an_app_with_its_own_allocator_works_and_is_unloaded() {
    let host = Launch::serve(json!([{ "name": "app", "path": "libapp.so" }]))
        .write("libapp.so", patched("own-allocator", "1"))
        .start();
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for version in 2..8 {
        let reply = host.post("/apps/app/", body.clone());
        assert_eq!((reply.status, reply.header("x-length").as_deref()), (200, Some("100000")));
        assert_eq!(reply.body, [&body[..], &body[..]].concat());
        host.replace("libapp.so", patched("own-allocator", &version.to_string()));
        wait_until("the next version answers", || host.get("/apps/app/").text() == version.to_string());
    }
    wait_until("the old ones are gone", || host.mapped().len() == 1);
    let open = || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().flatten();
        files
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .filter(|file| file.ends_with("apps.json"))
            .count()
    };
    wait_until("the file that each leaves open is closed", || open() == 1);
}

/// mimalloc's constructor takes the thread that it runs on for the main thread, so that one has to live as long as the
/// library.
#[test]
fn mimalloc_as_an_apps_own_allocator() {
    let host = Launch::serve(json!([{ "name": "app", "path": "libapp.so", "workers": 2 }]))
        .write("libapp.so", patched("mimalloc-app", "1"))
        .start();
    for version in 2..22 {
        let before = (version - 1).to_string();
        for _ in 0..4 {
            assert_eq!(host.get("/apps/app/").text(), before);
        }
        host.replace("libapp.so", patched("mimalloc-app", &version.to_string()));
        wait_until("the next version answers", || host.get("/apps/app/").text() == version.to_string());
    }
    wait_until("the old ones are gone", || host.mapped().len() == 1);
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
    let keepers = || host.threads().iter().filter(|name| name.starts_with("lib app#")).count();
    wait_until("only the last library has its thread", || keepers() == 1);
}
