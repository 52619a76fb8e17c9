//! What paths lead to.

use super::*;
use std::os::unix::fs::symlink;
use std::time::Duration;

fn locate(path: &Path) -> Source {
    Source::locate_with(&path.into(), "hello", &|_| None)
}

fn write(path: PathBuf, text: &str) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn crate_in(folder: &Path, name: &str) -> PathBuf {
    let text = format!("[package]\nname = \"{name}\"\n[lib]\ncrate-type = [\"cdylib\"]\n");
    write(folder.join("Cargo.toml"), &text);
    folder.to_owned()
}

fn age(path: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

fn error(source: &Source) -> String {
    source.library().unwrap_err().to_string()
}

#[test]
fn a_file_is_the_library_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path().join("plugin.bin"), "");
    let source = locate(&path);
    assert_eq!(source.library().unwrap(), path);
    assert_eq!(source.watch(), [path]);
}

#[test]
fn a_link_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("current");
    symlink("libhello.so", &link).unwrap();
    assert!(matches!(locate(&link).library(), Err(SourceError::NoFile { .. })));
    write(folder.path().join("libhello.so"), "");
    assert_eq!(locate(&link).library().unwrap(), link);
}

#[test]
fn a_missing_path_comes_with_a_guess() {
    let folder = tempfile::tempdir().unwrap();
    assert!(error(&locate(&folder.path().join("hello"))).starts_with("no such path"));
    fs::create_dir_all(folder.path().join("apps/hello")).unwrap();
    let source = locate(&folder.path().join("hello"));
    assert!(error(&source).ends_with("/hello; did you mean apps/hello?"), "{}", error(&source));
    assert_eq!(source.watch(), [folder.path().join("hello")]);
}

#[test]
fn a_missing_library_is_watched_for() {
    let folder = tempfile::tempdir().unwrap();
    let source = locate(&folder.path().join("a/libhello.so"));
    assert!(matches!(source.library(), Err(SourceError::NoFile { .. })));
    assert_eq!(source.watch(), [folder.path().join("a/libhello.so")]);
}

#[test]
fn a_folder_holds_one_library() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(locate(folder.path()).library(), Err(SourceError::EmptyFolder { .. })));
    let one = write(folder.path().join("libone.so"), "");
    write(folder.path().join("readme.md"), "");
    let source = locate(folder.path());
    assert_eq!(source.library().unwrap(), one);
    assert_eq!(source.watch(), [folder.path(), one.as_path()]);

    write(folder.path().join("libtwo.so"), "");
    assert!(error(&locate(folder.path())).contains("found libone.so, libtwo.so"));
    let named = write(folder.path().join("libhello.so"), "");
    assert_eq!(locate(folder.path()).library().unwrap(), named);
}

#[test]
fn a_crate_that_its_workspace_excludes_is_a_workspace_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root.join("Cargo.toml"), "[workspace]\nmembers = [\"apps/*\", \"out/in\"]\nexclude = [\"out\"]\n");
    let workspace = |path: &str| {
        let source = locate(&crate_in(&root.join(path), "app"));
        source.package().unwrap().workspace.clone()
    };
    assert_eq!(workspace("apps/a"), root);
    assert_eq!(workspace("out/a"), root.join("out/a"));
    assert_eq!(workspace("out/in"), root);
    // Where the crate really is.
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(root.join("apps/a"), &link).unwrap();
    assert_eq!(locate(&link).package().unwrap().workspace, root);
}

#[test]
fn a_crates_library_is_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path().join("Cargo.toml"), "[workspace]\nmembers = [\"apps/*\"]\n");
    let path = crate_in(&folder.path().join("apps/my-app"), "my-app");
    let source = locate(&path);
    let message = error(&source);
    let root = folder.path().display();
    assert!(message.contains(&format!("{root}/target/debug/libmy_app.so")), "{message}");
    assert!(message.ends_with(&format!("run `cargo build -p my-app` in {root}")), "{message}");
    let package = source.package().unwrap();
    assert_eq!((package.workspace.as_path(), package.library.as_str()), (folder.path(), "libmy_app.so"));

    let debug = write(folder.path().join("target/debug/libmy_app.so"), "");
    let release = write(folder.path().join("target/release/libmy_app.so"), "");
    age(&debug, 10);
    age(&release, 20);
    assert_eq!(locate(&path).library().unwrap(), debug);
    age(&release, 5);
    let source = locate(&path);
    assert_eq!(source.library().unwrap(), release);
    assert!(source.watch().contains(&path.join("Cargo.toml")));
    assert!(source.watch().contains(&debug));
    assert!(source.watch().contains(&path.join("target/debug/libmy_app.so")));
}

#[test]
fn a_library_may_have_a_name_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path().join("Cargo.toml"),
        "[package]\nname = \"my-app\"\n[lib]\nname = \"other\"\ncrate-type = [\"rlib\", \"cdylib\"]\n",
    );
    let library = write(folder.path().join("target/debug/libother.so"), "");
    assert_eq!(locate(folder.path()).library().unwrap(), library);
}

/// The source path of a crate with these build settings.
fn built_with(path: &Path, profile: Option<&str>, target: Option<&str>) -> Source {
    let [profile, target] = [profile, target].map(|name| name.map(str::to_owned));
    Source::locate_with(&SourcePath { path: path.to_owned(), profile, target }, "hello", &|_| None)
}

#[test]
fn the_profiles_of_the_workspace_have_folders_too() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let manifest = "[workspace]\nmembers = [\"apps/*\"]\n[profile.dist]\ninherits = \"release\"\n[profile.dev]\nopt-level = 1\n\
                    [profile.bench]\ndebug = true\n[profile.\"../out\"]\ndebug = true\n";
    write(root.join("Cargo.toml"), manifest);
    write(root.join(".cargo/config.toml"), "[profile.mini]\ninherits = \"release\"\n");
    let path = crate_in(&root.join("apps/hello"), "hello");
    let watched = locate(&path).watch().to_vec();
    let folders: Vec<_> = watched
        .iter()
        .filter_map(|path| path.strip_prefix(root.join("target")).ok()?.parent()?.to_str())
        .collect();
    assert_eq!(folders, ["debug", "release", "dist", "mini"]);
    assert!(watched.contains(&root.join("Cargo.toml")), "a profile may be added");

    let [debug, dist, mini] = ["debug", "dist", "mini"]
        .map(|folder| write(root.join("target").join(folder).join("libhello.so"), ""));
    age(&debug, 20);
    age(&mini, 10);
    assert_eq!(locate(&path).library().unwrap(), dist);
    age(&dist, 15);
    assert_eq!(locate(&path).library().unwrap(), mini);
}

#[test]
fn the_build_settings_choose_among_libraries() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    crate_in(root, "hello");
    let write = |place: &str| write(root.join("target").join(place).join("libhello.so"), "");
    let (debug, dist, crossed) = (write("debug"), write("dist"), write("a-b-c/debug"));
    age(&debug, 20);
    // No manifest names the profile, or the target.
    assert_eq!(built_with(root, None, None).library().unwrap(), debug);
    assert_eq!(built_with(root, Some("dist"), None).library().unwrap(), dist);
    assert_eq!(built_with(root, Some("dev"), None).library().unwrap(), debug);
    assert_eq!(built_with(root, None, Some("a-b-c")).library().unwrap(), crossed);
    assert_eq!(built_with(root, Some("dev"), Some("a-b-c")).library().unwrap(), crossed);
    let message = error(&built_with(root, Some("dist"), Some("a-b-c")));
    let root = root.display();
    assert_eq!(
        message,
        format!(
            "the library of crate hello is not built: looked for {root}/target/a-b-c/dist/libhello.so; run `cargo build -p hello \
             --profile dist --target a-b-c` in {root}"
        )
    );
}

#[test]
fn target_folders_elsewhere_are_looked_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = crate_in(&folder.path().join("apps/hello"), "hello");
    write(
        folder.path().join(".cargo/config.toml"),
        "[build]\ntarget-dir = \"out\"\ntarget = \"some-triple\"\n",
    );
    let configured = write(folder.path().join("out/some-triple/release/libhello.so"), "");
    assert_eq!(locate(&path).library().unwrap(), configured);

    let named = write(folder.path().join("env/debug/libhello.so"), "");
    age(&configured, 10);
    let target = folder.path().join("env").into_os_string();
    let source = Source::locate_with(&(&path).into(), "hello", &|name| {
        (name == "CARGO_TARGET_DIR").then(|| target.clone())
    });
    assert_eq!(source.library().unwrap(), named);
}

#[test]
fn a_crate_must_build_a_cdylib() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("Cargo.toml");
    write(manifest.clone(), "[package]\nname = \"hello\"\n");
    assert!(error(&locate(folder.path())).contains("no crate-type; add `crate-type = [\"cdylib\"]`"));
    write(manifest.clone(), "[package]\nname = \"hello\"\n[lib]\ncrate-type = [\"rlib\"]\n");
    let source = locate(folder.path());
    assert!(error(&source).contains("has crate-type = [\"rlib\"]"), "{}", error(&source));
    assert_eq!(source.watch(), [manifest]);
}

#[test]
fn a_manifest_that_is_none_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("Cargo.toml");
    write(manifest.clone(), "[workspace]\n");
    assert!(matches!(locate(folder.path()).library(), Err(SourceError::NoPackage { .. })));
    write(manifest, "[package\n");
    assert!(error(&locate(folder.path())).contains("line 1"), "{}", error(&locate(folder.path())));
}
