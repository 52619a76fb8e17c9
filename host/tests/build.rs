//! `atoll build`: a folder to deploy, served without cargo, and exchanged under load.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use atoll_host::internal::build::cargo;
use atoll_plugin::stamp::TARGET;
use object::{Object, ObjectSection};
use serde_json::{Value, json};
use support::{
    Host, Launch, Load, atoll, fixtures_target, library, mutated, wait_for, wait_until, workspace,
};
use tempfile::TempDir;

/// A folder with crates and their `apps.json`.
struct Project {
    folder: TempDir,
}

/// What a command has said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// The source of an app that answers everything with `text`, and panics at `/panic`.
fn answers(text: &str) -> String {
    format!(
        "use atoll_plugin::prelude::*;\n\
         #[inline(never)]\n\
         fn surfaces(_: Request) -> Response {{ panic!(\"at the surface\") }}\n\
         fn app() -> Application {{\n\
             Application::new().get(\"/panic\", surfaces).all(\"/{{*path}}\", |_: Request| {text:?})\n\
         }}\n\
         atoll_plugin::export_app!(app);\n"
    )
}

impl Project {
    /// Crates of these names, each a member of one workspace. No other test has the same: the libraries of all are in
    /// one folder.
    fn new(names: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("atoll-test-").tempdir().unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        let project = Self { folder };
        // Quick to build, and with what is to be stripped.
        let manifest = format!(
            "[workspace]\nresolver = \"3\"\nmembers = {names:?}\n\
             [profile.release]\nopt-level = 0\ndebug = \"line-tables-only\"\n"
        );
        project.write("Cargo.toml", &manifest);
        fs::copy(workspace().join("host/tests/fixtures/Cargo.lock"), project.path("Cargo.lock")).unwrap();
        for name in names {
            let plugin = workspace().join("plugin-api").canonicalize().unwrap();
            let manifest = format!(
                "[package]\nname = {name:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                 [lib]\ncrate-type = [\"cdylib\"]\n[dependencies]\natoll-plugin = {{ path = {plugin:?} }}\n"
            );
            fs::create_dir_all(project.path(name).join("src")).unwrap();
            project.write(&format!("{name}/Cargo.toml"), &manifest);
            project.save(name, &answers("one"));
        }
        project.register(names);
        // Without a limit on its time: the dependencies may have to be built first.
        if let Some(name) = names.first() {
            let built = cargo()
                .args(["build", "--quiet", "--release", "--lib", "--package", name, "--offline"])
                .args(["--config", "profile.release.strip=\"debuginfo\"", "--target-dir"])
                .arg(fixtures_target())
                .current_dir(project.folder.path())
                .output()
                .unwrap();
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        }
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn save(&self, name: &str, source: &str) {
        self.write(&format!("{name}/src/lib.rs"), source);
    }

    fn register(&self, names: &[&str]) {
        let apps: Vec<_> =
            names.iter().map(|name| json!({ "name": name, "path": name, "env": { "WHO": name } })).collect();
        self.write("apps.json", &json!(apps).to_string());
    }

    /// Runs `atoll` in the project's folder.
    fn atoll(&self, arguments: &[&str]) -> Said {
        let output = Command::new(atoll())
            .args(arguments)
            .current_dir(self.folder.path())
            .env("TMPDIR", self.path("tmp"))
            .env("CARGO_TARGET_DIR", fixtures_target())
            .env("CARGO_NET_OFFLINE", "true")
            .output()
            .unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Said { code: output.status.code(), stdout, stderr }
    }

    /// The host of the folder `deploy`, which could not build anything.
    fn serve(&self) -> Host {
        Launch::command("serve")
            .args(["--listen", "127.0.0.1:0", "--config"])
            .arg(self.path("deploy/apps.json"))
            .env("TMPDIR", self.path("tmp"))
            .env("PATH", "/nowhere")
            .env("CARGO", "/nowhere/cargo")
            .start()
    }

    fn deployed(&self) -> Vec<String> {
        names(&self.path("deploy"))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn sections(library: &Path) -> Vec<String> {
    let bytes = fs::read(library).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    file.sections().map(|section| section.name().unwrap().to_owned()).collect()
}

#[test]
fn a_new_version_is_deployed_and_rolled_back_under_load() {
    let (a, b) = ("build-a", "build-b");
    let project = Project::new(&[a, b]);
    let built = project.atoll(&["build", "--format", "json"]).json();
    assert_eq!(project.deployed(), ["apps.json", "build-a.so", "build-b.so"]);
    assert_eq!((&built["apps"][0]["library"], &built["removed"]), (&json!("new"), &json!([])));
    let registry: Value =
        serde_json::from_slice(&fs::read(project.path("deploy/apps.json")).unwrap()).unwrap();
    assert_eq!(registry[0], json!({ "name": a, "path": "build-a.so", "env": { "WHO": a } }));
    let checked = project.atoll(&["check", "deploy/build-a.so", "--format", "json"]).json();
    for field in ["hash", "size", "package", "rustc", "path"] {
        assert_eq!(checked["apps"][0][field], built["apps"][0][field], "{field}");
    }

    let host = project.serve();
    let (path_a, path_b) = ("/apps/build-a/", "/apps/build-b/");
    assert_eq!((host.get(path_a).text(), host.get(path_b).text()), ("one".to_owned(), "one".to_owned()));
    // Names are what is left of the symbols.
    assert_eq!(host.get("/apps/build-a/panic").status, 500);
    host.wait_for_log(&["build_a::surfaces"]);

    let load = Load::start(host.address(), &[path_a, path_b]);
    project.save(a, &answers("two"));
    let built = project.atoll(&["build"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let line = |name| built.stdout.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line(a).ends_with("  changed") && line(b).ends_with("  unchanged"), "{}", built.stdout);
    assert!(built.stdout.ends_with("atoll serve --config deploy/apps.json\n"), "{}", built.stdout);
    wait_until("the new version answers", || host.get(path_a).text() == "two");

    let back = project.atoll(&["rollback", a, "--config", "deploy/apps.json"]);
    assert_eq!((back.code, back.stderr.as_str()), (Some(0), ""));
    assert_eq!(host.get(path_a).text(), "one");

    // The fixed version, and one app less.
    project.save(a, &answers("three"));
    project.register(&[a]);
    let built = project.atoll(&["build"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert!(
        built.stdout.contains("build-b is no longer registered: removed its library\n"),
        "{}",
        built.stdout
    );
    assert_eq!(project.deployed(), ["apps.json", "build-a.so"]);
    wait_until("the fixed version answers", || host.get(path_a).text() == "three");
    wait_until("the other app is gone", || host.get(path_b).status == 404);

    let replies = load.stop();
    let texts: Vec<_> = replies[0].iter().map(|reply| (reply.status, reply.text())).collect();
    assert!(texts.iter().all(|(status, _)| *status == 200), "no request of an app that stays is lost");
    let mut seen: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
    seen.dedup();
    assert_eq!(seen, ["one", "two", "one", "three"]);
    let of_b: Vec<_> = replies[1].iter().map(|reply| reply.status).collect();
    let served = of_b.iter().take_while(|status| **status == 200).count();
    assert!(served > 0 && of_b[served..].iter().all(|status| *status == 404), "{of_b:?}");
}

#[test]
fn the_library_of_a_build_script_is_deployed_with_the_app() {
    let name = "build-native";
    let project = Project::new(&[name]);
    let source = answers("one").replace("\"one\"", "unsafe { build_native() }.to_string()");
    project.save(name, &format!("unsafe extern \"C\" {{ fn build_native() -> i32; }}\n{source}"));
    let script = "fn main() {\n\
        let out = std::env::var(\"OUT_DIR\").unwrap();\n\
        let file = format!(\"{out}/libbuild_native.so\");\n\
        let made = std::process::Command::new(\"cc\").args([\"-shared\", \"-fPIC\", \"-o\", &file, \"native.c\"]).status();\n\
        assert!(made.unwrap().success());\n\
        println!(\"cargo::rerun-if-changed=native.c\\ncargo::rustc-link-search={out}\");\n\
        println!(\"cargo::rustc-link-lib=dylib=build_native\");\n\
        }";
    project.write("build-native/build.rs", script);
    project.write("build-native/native.c", "int build_native(void) { return 1; }");
    let built = project.atoll(&["build", "--format", "json"]).json();
    assert_eq!(built["apps"][0]["libraries"][0]["name"], "libbuild_native.so");
    assert_eq!(project.deployed(), ["apps.json", "build-native.libs", "build-native.so"]);
    let bundles = names(&project.path("deploy/build-native.libs"));
    let bundle = project.path("deploy/build-native.libs").join(&bundles[0]);
    assert_eq!(names(&bundle), ["libbuild_native.so"]);
    let checked = project.atoll(&["check", "deploy/build-native.so", "--format", "json"]).json();
    assert_eq!(checked["apps"][0]["hash"], built["apps"][0]["hash"]);

    let host = project.serve();
    assert_eq!(host.get("/apps/build-native/").text(), "1");
    project.write("build-native/native.c", "int build_native(void) { return 2; }");
    project.atoll(&["build", "--format", "json"]).json();
    wait_until("the new version answers", || host.get("/apps/build-native/").text() == "2");
}

#[test]
fn an_app_is_built_as_its_settings_ask() {
    let (plain, other) = ("build-plain", "build-settings");
    let project = Project::new(&[plain, other]);
    let manifest = fs::read_to_string(project.path("Cargo.toml")).unwrap();
    let profile = "[profile.quick]\ninherits = \"dev\"\ndebug-assertions = false\ndebug = false\n";
    project.write("Cargo.toml", &(manifest + profile));
    let manifest = fs::read_to_string(project.path(other).join("Cargo.toml")).unwrap();
    project.write(
        &format!("{other}/Cargo.toml"),
        &(manifest + "[features]\ndefault = [\"usual\"]\nusual = []\nloud = []\n"),
    );
    let source = answers("as built").replace(
        "\"as built\"",
        "format!(\"{} {} {}\", cfg!(feature = \"usual\"), cfg!(feature = \"loud\"), cfg!(debug_assertions))",
    );
    project.save(other, &source);
    let build = json!({ "features": ["loud"], "no_default_features": true, "profile": "quick", "target": TARGET, "locked": true });
    let registry =
        json!([{ "name": plain, "path": plain }, { "name": other, "path": other, "build": build }]);
    project.write("apps.json", &registry.to_string());

    let built = project.atoll(&["build"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let host = project.serve();
    let path = format!("/apps/{other}/");
    assert_eq!(host.get(&path).text(), "false true false");
    assert_eq!(host.get("/apps/build-plain/").text(), "one");
    // A host that finds the library where cargo has put it.
    let of_crates = Launch::command("serve")
        .args(["--listen", "127.0.0.1:0", "--config"])
        .arg(project.path("apps.json"))
        .env("TMPDIR", project.path("tmp"))
        .env("CARGO_TARGET_DIR", fixtures_target())
        .start();
    assert_eq!(of_crates.get(&path).text(), "false true false");

    // Cargo decides whether the lock file is up to date, before anything is written.
    let lock = fs::read_to_string(project.path("Cargo.lock")).unwrap();
    project.write("Cargo.lock", &lock.replace("name = \"build-settings\"", "name = \"build-elsewhere\""));
    let refused = project.atoll(&["build"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stderr.contains("--locked"), "{}", refused.stderr);
    assert!(fs::read_to_string(project.path("Cargo.lock")).unwrap().contains("build-elsewhere"));
}

#[test]
fn one_app_is_built_and_the_others_stay() {
    let (c, d) = ("build-c", "build-d");
    let project = Project::new(&[c, d]);
    let one = project.atoll(&["build", d, "--format", "json"]).json();
    assert_eq!(project.deployed(), ["apps.json", "build-d.so"]);
    assert_eq!(one["apps"].as_array().unwrap().len(), 1);
    project.save(c, &answers("two"));
    project.save(d, "compile_error!(\"it is not built\");");
    let both = project.atoll(&["build", c, "--format", "json"]).json();
    assert_eq!(project.deployed(), ["apps.json", "build-c.so", "build-d.so"]);
    let outcomes: Vec<_> = both["apps"].as_array().unwrap().iter().map(|app| &app["library"]).collect();
    assert_eq!(outcomes, ["new", "unchanged"]);
    let host = project.serve();
    let texts = [host.get("/apps/build-c/").text(), host.get("/apps/build-d/").text()];
    assert_eq!(texts, ["two", "one"]);
}

#[test]
fn what_is_left_of_the_symbols_is_chosen() {
    let name = "build-symbols";
    let project = Project::new(&[name]);
    let library = project.path("deploy/build-symbols.so");
    let mut sizes = Vec::new();
    for (symbols, kept) in [("profile", (true, true)), ("names", (true, false)), ("none", (false, false))] {
        // The libraries are of the same code, whose dependencies may have to be built for it: without a limit on time.
        project.atoll(&["build", "--symbols", symbols, "--format", "json"]).json();
        let sections = sections(&library);
        let has = |name: &str| sections.iter().any(|section| section == name);
        assert_eq!((has(".symtab"), has(".debug_line")), kept, "{symbols}: {sections:?}");
        sizes.push(fs::metadata(&library).unwrap().len());
    }
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
}

#[test]
fn what_is_not_good_changes_nothing() {
    let name = "build-bad";
    let project = Project::new(&[name]);
    assert_eq!(project.atoll(&["build"]).code, Some(0));
    let content = |name: &str| fs::read(project.path("deploy").join(name)).unwrap();
    let before = ["apps.json", "build-bad.so"].map(content);
    let refused = |arguments: &[&str], because: &str| {
        let said = project.atoll(&[&["build"], arguments].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(because), "{because:?} in {}", said.stderr);
        assert_eq!(["apps.json", "build-bad.so"].map(content), before, "{arguments:?}");
        assert_eq!(project.deployed(), ["apps.json", "build-bad.so"]);
    };

    refused(&["build-bda"], "unknown app `build-bda`: did you mean `build-bad`?");
    refused(&["--config", "none.json"], "none.json: no such file");
    // The project's own registry would be lost.
    refused(&["--out", "."], "apps.json was not created by `atoll build`");
    project.save(name, "compile_error!(\"not yet\");");
    refused(&[], "not yet");
    refused(&[], "atoll: the build failed; deploy is unchanged");

    project.save(name, &answers("good"));
    let stampless =
        json!([{ "name": name, "path": name }, { "name": "other", "path": library("stampless") }]);
    project.write("apps.json", &stampless.to_string());
    refused(&[], "other was refused: not an Atoll app");
    let missing = json!([{ "name": name, "path": name }, { "name": "other", "path": "none.so" }]);
    project.write("apps.json", &missing.to_string());
    refused(&[], "other: no library at ");

    let wrong = project.atoll(&["build", "--symbols", "some"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(2), ""));
}

#[test]
fn a_library_is_copied_with_a_checksum_at_its_end() {
    let project = Project::new(&[]);
    let apps =
        json!({ "defaults": { "workers": 2 }, "apps": [{ "name": "probe", "path": library("probe") }] });
    project.write("apps.json", &apps.to_string());
    let built = project.atoll(&["build", "--out", "a/new/folder"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert!(built.stdout.contains("probe 0.1.0") && built.stdout.contains("  new\n"), "{}", built.stdout);
    let copy = project.path("a/new/folder/probe.so");
    let (copy, original) = (fs::read(&copy).unwrap(), fs::read(library("probe")).unwrap());
    let (contents, checksum) = copy.split_at(original.len());
    assert_eq!(checksum, blake3::hash(contents).as_bytes());
    let differ = contents.iter().zip(&original).filter(|(now, before)| now != before).count();
    assert_eq!(differ, "true ".len(), "besides, its stamp says so");
    let again = project.atoll(&["build", "--out", "a/new/folder", "--format", "json"]).json();
    assert_eq!(again["apps"][0]["library"], "unchanged");
    let registry = fs::read(project.path("a/new/folder/apps.json")).unwrap();
    let registry: Value = serde_json::from_slice(&registry).unwrap();
    let expected = json!({ "defaults": { "workers": 2 }, "apps": [{ "name": "probe", "path": "probe.so" }] });
    assert_eq!(registry, expected);
}

#[test]
fn crates_that_build_the_same_file_are_told() {
    let (e, f) = ("build-e", "build-f");
    let project = Project::new(&[e, f]);
    for name in [e, f] {
        let manifest = fs::read_to_string(project.path(&format!("{name}/Cargo.toml"))).unwrap();
        let manifest = manifest.replace("[lib]", "[lib]\nname = \"build_same\"");
        project.write(&format!("{name}/Cargo.toml"), &manifest);
    }
    let said = project.atoll(&["build"]);
    assert_eq!(said.code, Some(1), "{}{}", said.stdout, said.stderr);
    let both =
        "build-e and build-f both build libbuild_same.so: give one of them another `name` under `[lib]`";
    assert!(said.stderr.contains(both), "{}", said.stderr);
    assert_eq!(project.deployed(), Vec::<String>::new());
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let project = Project::new(&[]);
    project.write("apps.json", &json!([{ "name": "probe", "path": library("probe") }]).to_string());
    let refused = |out: &str, because: &str| {
        let said = project.atoll(&["build", "--out", out]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{}", said.stderr);
        assert!(said.stderr.contains(because), "{because:?} in {}", said.stderr);
    };
    project.write("file", "");
    refused("file", "apps.json: Not a directory (os error 20); choose another folder with --out");
    // Nobody makes folders there.
    refused("/proc/deploy", "cannot write /proc/deploy: ");
    let library = project.path("there/probe.so");
    fs::create_dir_all(&library).unwrap();
    refused("there", &format!("cannot read {}: Is a directory", library.display()));

    // What a build that was killed has left is removed, if it can be.
    let left = project.path("deploy/.atoll-unfinished-x");
    fs::create_dir_all(&left).unwrap();
    let built = project.atoll(&["build"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert!(built.stderr.contains(&format!("cannot remove {}: ", left.display())), "{}", built.stderr);
}

#[test]
fn cargo_ends_with_the_command() {
    let launch = Launch::command("build")
        .write("apps.json", json!([{ "name": "slow", "path": "slow" }]).to_string())
        .write("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"slow\"]\n");
    let folder = launch.folder().join("slow");
    fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = "[package]\nname = \"slow\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                    [lib]\ncrate-type = [\"cdylib\"]\n";
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/lib.rs"), "").unwrap();
    // It ends by itself too, so that nothing is left should this test fail.
    let script = "fn main() {\n\
        std::fs::write(\"new\", std::process::id().to_string()).unwrap();\n\
        std::fs::rename(\"new\", \"id\").unwrap();\n\
        std::thread::sleep(std::time::Duration::from_secs(100));\n\
    }";
    fs::write(folder.join("build.rs"), script).unwrap();
    let command = launch.env("CARGO_TARGET_DIR", folder.join("target")).spawn();
    let id = wait_for("the build runs", || fs::read_to_string(folder.join("id")).ok());
    let deploy = command.folder().join("deploy");
    let ended = command.stop();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("atoll: interrupted by SIGTERM; deploy is unchanged"), "{}", ended.stderr);
    assert!(!deploy.exists());
    // One that nobody has waited for yet is dead all the same.
    let state = || fs::read_to_string(format!("/proc/{id}/stat")).ok();
    wait_until("the build script ends", || {
        state().is_none_or(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
    });
}

#[test]
fn a_library_that_was_changed_on_the_way_is_refused() {
    let project = Project::new(&[]);
    project.write("apps.json", &json!([{ "name": "probe", "path": library("probe") }]).to_string());
    assert_eq!(project.atoll(&["build"]).code, Some(0));
    let library = project.path("deploy/probe.so");
    let sealed = fs::read(&library).unwrap();
    for seeds in (0..200).collect::<Vec<u64>>().chunks(25) {
        let mut arguments = vec!["check".to_owned(), "--format".to_owned(), "json".to_owned()];
        for seed in seeds {
            let name = format!("{}.so", seed % 25);
            let damaged = mutated(&sealed, *seed);
            assert_ne!(damaged, sealed, "{seed}");
            fs::write(project.path(&name), damaged).unwrap();
            arguments.push(name);
        }
        let said = project.atoll(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(said.code, Some(1), "{seeds:?}: {}", said.stderr);
        let report: Value = serde_json::from_str(&said.stdout).unwrap();
        let accepted: Vec<_> =
            report["apps"].as_array().unwrap().iter().filter(|app| app["ok"] == true).collect();
        assert!(accepted.is_empty(), "{seeds:?}: {accepted:#?}");
    }

    // A host goes on with what it has, and takes the good one when it comes.
    let host = project.serve();
    assert_eq!(host.get("/apps/probe/start").status, 200);
    let mut damaged = sealed.clone();
    damaged[sealed.len() / 2] ^= 1;
    for damaged in [&damaged[..], &sealed[..sealed.len() - 1], &[&sealed[..], b"x"].concat()] {
        let before = host.log_lines(&["checksum mismatch"]).len();
        fs::write(project.path("new.so"), damaged).unwrap();
        fs::rename(project.path("new.so"), &library).unwrap();
        wait_until("it is refused", || host.log_lines(&["checksum mismatch"]).len() > before);
    }
    assert_eq!(host.get("/apps/probe/start").json()["generation"], 1);
}
