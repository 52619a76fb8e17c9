//! `atoll dev`: what is built for which change, and how.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod crates;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use atoll_host::internal::build::cargo;
use crates::{fixtures, target, wait_for_answer};
use serde_json::json;
use support::{Host, Launch, wait_until};

/// The manifest of an app's crate, with more lines under `[dependencies]` and after them. `name` is this test's only: the
/// libraries of all are in one folder.
fn app(name: &str, more: &str) -> String {
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-api").canonicalize().unwrap();
    format!(
        "[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n\
         [dependencies]\natoll-plugin = {{ path = {plugin:?} }}\n{more}"
    )
}

fn plain(name: &str, version: &str, more: &str) -> String {
    format!("[package]\nname = {name:?}\nversion = {version:?}\nedition = \"2024\"\n[dependencies]\n{more}")
}

/// The source of an app that answers with a text, which is an expression.
fn says(more: &str, text: &str) -> String {
    format!(
        "use atoll_plugin::prelude::*;\n{more}\n\
         fn app() -> Application {{ Application::new().all(\"/{{*path}}\", |_: Request| {text}) }}\n\
         atoll_plugin::export_app!(app);\n"
    )
}

fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// `atoll dev` for apps in the folder `ws/NAME`, which are of these names, with the files of the test. `ws` is a workspace.
fn dev(names: &[&str], files: &[(&str, &str)]) -> Launch {
    let apps: Vec<_> =
        names.iter().map(|name| json!({ "name": name, "path": format!("ws/{name}") })).collect();
    let launch = Launch::command("dev")
        .args(["--listen", "127.0.0.1:0"])
        .env("CARGO_TARGET_DIR", target())
        .env("CARGO_NET_OFFLINE", "true")
        .write("apps.json", json!(apps).to_string());
    for (file, text) in files {
        write(launch.folder(), file, text);
    }
    let lock = fixtures().join("Cargo.lock");
    fs::copy(&lock, launch.folder().join("ws/Cargo.lock")).unwrap();
    // Without a limit on its time: the dependencies may have to be built first.
    let built = cargo()
        .args(["build", "--quiet", "--lib", "--package", "atoll-plugin", "--offline", "--target-dir"])
        .arg(target())
        .current_dir(launch.folder().join("ws"))
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    launch
}

fn builds(host: &Host, name: &str) -> usize {
    host.log_lines(&[&format!("{name}: built in")]).len()
}

/// The root of a workspace with all crates in it.
const WORKSPACE: &str = "[workspace]\nresolver = \"3\"\nmembers = [\"dev-*\"]\n";

#[test]
fn whatever_cargo_would_build_for_is_built_for() {
    let name = "dev-inputs";
    // What an app is made of: each is one word of its answer.
    let source = says(
        "mod generated { pub mod word; }",
        "concat!(include_str!(\"../../../shared/page.html\"), ' ', env!(\"PROTO\"), ' ', env!(\"DOTENV\"), ' ', \
         env!(\"TEMPLATE\"), ' ', env!(\"LATER\")).to_owned() + \" \" + generated::word::WORD + \" \" + near::WORD + \
         \" \" + fastrand::WORD + \" \" + option_env!(\"OF_CONFIG\").unwrap_or(\"unset\")",
    );
    let script = r#"
        fn main() {
            for (name, file) in [
                ("PROTO", "../../proto/x.proto"),
                ("DOTENV", "../.env"),
                ("TEMPLATE", "../templates/a/page.html"),
                ("LATER", "../../later/word"),
            ] {
                println!("cargo:rustc-env={name}={}", std::fs::read_to_string(file).unwrap_or("none".to_owned()));
            }
            for path in ["../../proto/x.proto", "../.env", "../templates", "../../later/word"] {
                println!("cargo:rerun-if-changed={path}");
            }
        }"#;
    let far = "pub const WORD: &str = \"far\";";
    let workspace = format!("{WORKSPACE}[patch.crates-io]\nfastrand = {{ path = \"../patched\" }}\n");
    let launch = dev(
        &[name],
        &[
            ("ws/Cargo.toml", &workspace),
            ("ws/dev-inputs/Cargo.toml", &app(name, "near = { path = \"../near\" }\nfastrand = \"2\"\n")),
            ("ws/dev-inputs/src/lib.rs", &source),
            ("ws/dev-inputs/build.rs", script),
            ("ws/near/Cargo.toml", &plain("near", "0.1.0", "far = { path = \"../../far\" }\n")),
            ("ws/near/src/lib.rs", "pub use far::WORD;"),
            ("far/Cargo.toml", &plain("far", "0.1.0", "")),
            ("far/src/lib.rs", far),
            ("patched/Cargo.toml", &plain("fastrand", "2.99.0", "")),
            ("patched/src/lib.rs", "pub const WORD: &str = \"patched\";"),
            ("shared/page.html", "page"),
            ("proto/x.proto", "proto"),
            ("ws/.env", "dotenv"),
            ("ws/templates/a/page.html", "template"),
            ("generated/word.rs", "pub const WORD: &str = \"generated\";"),
            ("ws/dev-inputs/src/lib.rs", &source),
        ],
    );
    std::os::unix::fs::symlink("../../../generated", launch.folder().join("ws/dev-inputs/src/generated"))
        .unwrap();
    let host = launch.start();
    let mut words = ["page", "proto", "dotenv", "template", "none", "generated", "far", "patched", "unset"]
        .map(str::to_owned);
    wait_for_answer(&host, name, &words.join(" "));

    let saves: [(usize, &str, &str); 8] = [
        (0, "shared/page.html", "{}"),
        (1, "proto/x.proto", "{}"),
        (2, "ws/.env", "{}"),
        (3, "ws/templates/a/page.html", "{}"),
        // It is named, and was not there.
        (4, "later/word", "{}"),
        (5, "generated/word.rs", "pub const WORD: &str = \"{}\";"),
        (6, "far/src/lib.rs", "pub const WORD: &str = \"{}\";"),
        (7, "patched/src/lib.rs", "pub const WORD: &str = \"{}\";"),
    ];
    for (place, file, text) in saves {
        words[place] = format!("SAVED{place}");
        write(host.folder(), file, &text.replace("{}", &words[place]));
        wait_for_answer(&host, name, &words.join(" "));
    }
    // Cargo's own settings for the crate, which were not there.
    words[8] = "set".to_owned();
    write(host.folder(), "ws/dev-inputs/.cargo/config.toml", "[env]\nOF_CONFIG = \"set\"\n");
    wait_for_answer(&host, name, &words.join(" "));
}

#[test]
fn what_an_app_writes_builds_nothing() {
    let name = "dev-writes";
    let writes = |text: &str| {
        let text = format!(
            "{{ let folder = std::path::Path::new(env!(\"CARGO_MANIFEST_DIR\"));\n\
             std::fs::create_dir_all(folder.join(\"uploads\")).unwrap();\n\
             for file in [\"data.json\", \"app.db\", \"notes\", \"uploads/a.html\", \"access.log\", \"src/seen.txt\"] {{\n\
                 std::fs::write(folder.join(file), format!(\"{{:?}}\", std::time::Instant::now())).unwrap();\n\
             }}\n\
             {text:?} }}"
        );
        says("", &text)
    };
    let host = dev(
        &[name],
        &[
            ("ws/Cargo.toml", WORKSPACE),
            ("ws/dev-writes/Cargo.toml", &app(name, "")),
            ("ws/dev-writes/src/lib.rs", &writes("one")),
        ],
    )
    .start();
    wait_for_answer(&host, name, "one");
    for _ in 0..5 {
        assert_eq!(host.get("/apps/dev-writes/").text(), "one");
    }
    // Whatever was written before is noticed before this.
    write(host.folder(), "ws/dev-writes/src/lib.rs", &writes("two"));
    wait_for_answer(&host, name, "two");
    let changes = host.log_lines(&["changed: building"]);
    assert!(changes.iter().all(|line| line.contains("src/lib.rs changed")), "{changes:?}");
    assert_eq!(builds(&host, name), 2);
}

#[test]
fn what_a_build_script_without_wishes_sees_is_all_that_git_does_not_ignore() {
    let name = "dev-ignored";
    let host = dev(
        &[name],
        &[
            ("ws/Cargo.toml", WORKSPACE),
            (".gitignore", "uploads/\n"),
            ("ws/dev-ignored/Cargo.toml", &app(name, "")),
            ("ws/dev-ignored/src/lib.rs", &says("", "env!(\"WORD\")")),
            (
                "ws/dev-ignored/build.rs",
                "fn main() { println!(\"cargo:rustc-env=WORD={}\", std::fs::read_to_string(\"word\").unwrap()) }",
            ),
            ("ws/dev-ignored/word", "one"),
        ],
    )
    .start();
    wait_for_answer(&host, name, "one");
    for file in ["uploads/a", "uploads/b", "app.sqlite-wal"] {
        write(host.folder(), &format!("ws/dev-ignored/{file}"), "written");
    }
    write(host.folder(), "ws/dev-ignored/word", "two");
    wait_for_answer(&host, name, "two");
    let changes = host.log_lines(&["changed: building"]);
    assert!(changes.iter().all(|line| line.contains("word changed")), "{changes:?}");
}

#[test]
fn what_a_failed_build_complains_about_is_built_for() {
    let name = "dev-complains";
    let code = |file: &str| {
        says("include!(\"../../../shared/code.rs\");", &format!("include_str!(\"../../../{file}\")"))
    };
    let host = dev(
        &[name],
        &[
            ("ws/Cargo.toml", WORKSPACE),
            ("ws/dev-complains/Cargo.toml", &app(name, "")),
            ("ws/dev-complains/src/lib.rs", &code("later/page.html")),
            ("shared/code.rs", "const UNUSED: u32 = nothing;"),
            ("later/other.html", ""),
        ],
    )
    .start();
    host.wait_for_log(&["dev-complains: the build failed"]);
    write(host.folder(), "later/page.html", "page");
    wait_until("the missing file is no error any more", || {
        host.log_lines(&["dev-complains: the build failed"]).len() == 2
    });
    write(host.folder(), "shared/code.rs", "");
    wait_for_answer(&host, name, "page");
    // A module that is missing.
    write(host.folder(), "ws/dev-complains/src/lib.rs", &says("mod word;", "word::WORD"));
    wait_until("the module is missing", || host.log_lines(&["dev-complains: the build failed"]).len() == 3);
    write(host.folder(), "ws/dev-complains/src/word.rs", "pub const WORD: &str = \"module\";");
    wait_for_answer(&host, name, "module");
}

#[test]
fn each_crate_is_built_as_cargo_in_its_folder_would() {
    let names = ["dev-own", "dev-common", "dev-excluded"];
    let source = says(
        "",
        "format!(\"{} {} {}\", option_env!(\"WHOSE\").unwrap_or(\"nobody\"), cfg!(debug_assertions), \
         env!(\"CARGO_MANIFEST_DIR\").ends_with(env!(\"CARGO_PKG_NAME\")))",
    );
    let manifests = names.map(|name| app(name, ""));
    let excluding = "[workspace]\nresolver = \"3\"\nmembers = [\"dev-*\"]\nexclude = [\"dev-excluded\"]\n";
    let host = dev(
        &names,
        &[
            ("ws/Cargo.toml", excluding),
            ("ws/.cargo/config.toml", "[env]\nWHOSE = \"the-workspaces\"\n"),
            ("ws/dev-own/Cargo.toml", &manifests[0]),
            ("ws/dev-own/src/lib.rs", &source),
            (
                "ws/dev-own/.cargo/config.toml",
                "[env]\nWHOSE = \"its-own\"\n[profile.dev.package.dev-own]\ndebug-assertions = false\n",
            ),
            ("ws/dev-common/Cargo.toml", &manifests[1]),
            ("ws/dev-common/src/lib.rs", &source),
            ("ws/dev-excluded/Cargo.toml", &manifests[2]),
            ("ws/dev-excluded/src/lib.rs", &source),
        ],
    );
    fs::copy(fixtures().join("Cargo.lock"), host.folder().join("ws/dev-excluded/Cargo.lock")).unwrap();
    // As if another cargo, of another toolchain, ran the command.
    fs::create_dir(host.folder().join(".cargo")).unwrap();
    let host = host
        .write(".cargo/config.toml", "[env]\nWHOSE = \"the-runners\"\n")
        .env("WHOSE", "the-runners")
        .env("CARGO", "/nowhere/cargo")
        .env("CARGO_MANIFEST_DIR", "/nowhere")
        .env("CARGO_PKG_NAME", "nothing")
        .env("RUSTUP_TOOLCHAIN", "no-such-toolchain")
        .env("RUSTUP_TOOLCHAIN_SOURCE", "default")
        .start();
    for (name, says) in
        names.iter().zip(["its-own false true", "the-workspaces true true", "the-workspaces true true"])
    {
        wait_for_answer(&host, name, says);
    }
}

#[test]
fn an_app_may_depend_on_another_apps_crate() {
    let (shop, stock) = ("dev-shop", "dev-stock");
    let exports =
        says("pub struct Order(pub &'static str);\npub const NAME: &str = \"order\";", "Order(NAME).0")
            .replace("atoll_plugin::export_app!", "#[cfg(feature = \"app\")]\natoll_plugin::export_app!")
            .replace("fn app()", "#[cfg_attr(not(feature = \"app\"), expect(dead_code))]\nfn app()");
    let features = "[features]\ndefault = [\"app\"]\napp = []\n";
    let depends = "dev-shop = { path = \"../dev-shop\", default-features = false }\n";
    let host = dev(
        &[shop, stock],
        &[
            ("ws/Cargo.toml", WORKSPACE),
            ("ws/dev-shop/Cargo.toml", &app(shop, features)),
            ("ws/dev-shop/src/lib.rs", &exports),
            ("ws/dev-stock/Cargo.toml", &app(stock, depends)),
            (
                "ws/dev-stock/src/lib.rs",
                &says("use dev_shop::Order;", "format!(\"stock of {}\", Order(dev_shop::NAME).0)"),
            ),
        ],
    )
    .start();
    wait_for_answer(&host, shop, "order");
    wait_for_answer(&host, stock, "stock of order");
    write(host.folder(), "ws/dev-shop/src/lib.rs", &exports.replace("\"order\"", "\"basket\""));
    wait_for_answer(&host, shop, "basket");
    wait_for_answer(&host, stock, "stock of basket");
}

#[test]
fn a_function_that_makes_no_app_is_named() {
    let name = "dev-no-app";
    let returns = |what: &str, made: &str| {
        format!(
            "use atoll_plugin::prelude::*;\nstruct Shown;\nfn app() -> {what} {{ {made} }}\n\
             atoll_plugin::export_app!(app);\n"
        )
    };
    let host = crates::dev(&[(name, &returns("Option<Application>", "None"))]).start();
    let detail = |host: &Host| host.get("/apps/dev-no-app/").text();
    let expect = |words: &[&str]| {
        wait_until(&format!("the compiler says {words:?}"), || {
            let text = detail(&host);
            words.iter().all(|word| text.contains(word)) && !text.contains("E0599") && !text.contains("&&&")
        });
    };
    expect(&["the exported function returns `", "Option<", "or `Result<Application, E>`"]);
    let save = |source: &str| crates::save(&host, name, source);
    save(&returns("Result<Application, Shown>", "Err(Shown)"));
    expect(&["the exported function returns `", "Shown>`", "implements `Display`"]);
    save(&returns("()", ""));
    expect(&["the exported function returns `()`"]);
    save(&returns("Application", "todo!()").replace("fn app", "async fn app"));
    expect(&["the exported function returns `impl Future<Output"]);
    save(&returns("Application", "todo!()").replace("app()", "app(_: u32)"));
    // Other errors follow from this one.
    wait_until("the compiler names the function", || {
        detail(&host).contains("`fn(u32) -> atoll_plugin::Application {app}` cannot be exported as an app")
    });
}

#[test]
fn a_programs_crate_keeps_its_program_and_its_tests() {
    let name = "dev-keeps";
    let launch = dev(
        &[name],
        &[
            ("ws/Cargo.toml", WORKSPACE),
            ("ws/dev-keeps/Cargo.toml", &app(name, "")),
            (
                "ws/dev-keeps/src/lib.rs",
                &says("pub fn word() -> String { String::from(\"kept\") }", "word()"),
            ),
            (
                "ws/dev-keeps/src/main.rs",
                "fn main() { std::fs::write(\"out\", dev_keeps::word()).unwrap(); }",
            ),
            ("ws/dev-keeps/tests/word.rs", "#[test]\nfn word() { assert_eq!(dev_keeps::word(), \"kept\"); }"),
        ],
    );
    let folder: PathBuf = launch.folder().join("ws/dev-keeps");
    for arguments in [&["run", "--quiet"][..], &["test", "--quiet"]] {
        let output = cargo()
            .args(arguments)
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", target())
            .env("CARGO_NET_OFFLINE", "true")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(fs::read_to_string(folder.join("out")).unwrap(), "kept");
    let host = launch.start();
    wait_for_answer(&host, name, "kept");
}
