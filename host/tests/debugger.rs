//! A debugger that is attached to the host finds the sources of an app, and goes on doing so when it is reloaded.

mod crates;
mod installed;
mod support;

use std::path::Path;

use crates::{dev, save, wait_for_answer};
use support::{Host, Launch, wait_until};

/// The source of an app that answers with `text`, by a function at the beginning of this line.
const LINE: u32 = 4;

fn source(text: &str) -> String {
    format!(
        "use atoll_plugin::prelude::*;\n\
         #[inline(never)]\n\
         fn answer(text: &'static str) -> Response {{\n\
             Response::text(text)\n\
         }}\n\
         fn app() -> Application {{ Application::new().all(\"/{{*path}}\", |_: Request| answer({text:?})) }}\n\
         atoll_plugin::export_app!(app);\n"
    )
}

/// GDB, attached to a host, with a breakpoint in the app's source at which it says where it is and goes on. `None`: it may
/// not.
fn attach(gdb: &Path, host: &Host, file: &str) -> Option<Host> {
    let commands = format!(
        "set pagination off\nset confirm off\nset breakpoint pending on\nset print thread-events off\n\
         break {file}:{LINE}\ncommands\nbt 1\ncontinue\nend\necho attached\\n\ncontinue\n"
    );
    let gdb = Launch::program(gdb).write("commands", commands);
    let script = gdb.folder().join("commands");
    let gdb = gdb.args(["-q", "-nx", "-batch", "-p", &host.pid().to_string(), "-x"]).arg(script).spawn();
    let mut forbidden = false;
    wait_until("gdb is attached", || {
        forbidden = gdb.log().contains("Operation not permitted");
        forbidden || gdb.stdout().contains("\nattached")
    });
    if forbidden {
        eprintln!("skipped: this user may not trace processes (see kernel.yama.ptrace_scope)");
        // It has nothing to do, and ends.
        gdb.ended();
        return None;
    }
    Some(gdb)
}

#[test]
fn a_breakpoint_is_hit_before_and_after_a_reload() {
    let Some([gdb]) = installed::all(["gdb"]) else { return };
    let name = "dev-debug";
    let host = dev(&[(name, &source("one"))]).start();
    wait_for_answer(&host, name, "one");
    let Some(gdb) = attach(&gdb, &host, "dev-debug/src/lib.rs") else { return };
    let hits = |generation: u32| {
        let stop = format!("\"{name}#{generation}.0\" hit Breakpoint 1");
        gdb.stdout().lines().filter(|line| line.contains(&stop)).count()
    };

    assert_eq!(host.get("/apps/dev-debug/").text(), "one");
    wait_until("the breakpoint is hit, and the source is found", || {
        hits(1) == 1 && gdb.stdout().contains(&format!("{LINE}\tResponse::text(text)"))
    });
    save(&host, name, &source("two"));
    host.wait_for_log(&["dev-debug: reloaded in"]);
    assert_eq!(host.get("/apps/dev-debug/").text(), "two");
    wait_until("the breakpoint is hit in the new library", || hits(2) == 1);
    wait_until("the old library is gone", || host.mapped().len() == 1);
    assert_eq!(host.get("/apps/dev-debug/").text(), "two");
    wait_until("it is hit again", || hits(2) == 2);
}
