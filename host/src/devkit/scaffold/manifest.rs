//! The `Cargo.toml` of a new crate.

use toml_edit::{DocumentMut, value};

use super::error::ScaffoldError;
use super::origin::Origin;
use super::template::Template;

/// The crates of Atoll itself.
const OWN: [&str; 2] = ["atoll-host", "atoll-plugin"];

/// What cargo has made of the package, with what makes an app of it.
pub(super) fn of_app(
    name: &str,
    made_by_cargo: &str,
    template: Template,
    origin: &Origin,
) -> Result<String, ScaffoldError> {
    let mut made: DocumentMut = made_by_cargo.parse().map_err(ScaffoldError::Manifest)?;
    let mut lints = DocumentMut::new();
    made.remove("dependencies");
    if let Some(found) = made.remove("lints") {
        lints.insert("lints", found);
    }
    let parts = [
        made.to_string(),
        template.manifest().to_owned(),
        template.dependencies().to_owned(),
        lints.to_string(),
    ];
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    let mut manifest: DocumentMut =
        (parts.collect::<Vec<_>>().join("\n\n") + "\n").parse().map_err(ScaffoldError::Manifest)?;

    for table in ["dependencies", "dev-dependencies"] {
        let Some(dependencies) = manifest.get_mut(table).and_then(|it| it.as_table_like_mut()) else {
            continue;
        };
        if dependencies.iter().any(|(dependency, _)| is_same_library(dependency, name)) {
            return Err(ScaffoldError::OfDependency { name: name.to_owned() });
        }
        for own in OWN {
            if let Some(dependency) = dependencies.get_mut(own).and_then(|it| it.as_table_like_mut()) {
                origin.write(own, dependency);
            }
        }
    }
    manifest["bin"][0]["name"] = value(name);
    Ok(manifest.to_string())
}

/// Whether two packages' libraries have the same name.
fn is_same_library(a: &str, b: &str) -> bool {
    a.replace('-', "_") == b.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: &str = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition.workspace = true\n\n\
                          [dependencies]\n\n[lints]\nworkspace = true\n";

    fn shop(template: Template, origin: &Origin) -> String {
        of_app("shop", MEMBER, template, origin).unwrap()
    }

    #[test]
    fn it_is_what_cargo_makes_and_what_an_app_needs() {
        let origin = Origin::Workspace(vec!["atoll-plugin".to_owned(), "atoll-host".to_owned()]);
        let expected = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition.workspace = true\n\n\
            [lib]\ncrate-type = [\"cdylib\"]\n\n\
            # `cargo run --features standalone` serves the app standalone.\n\
            [[bin]]\nname = \"shop\"\npath = \"src/main.rs\"\nrequired-features = [\"standalone\"]\n\n\
            [features]\nstandalone = [\"dep:atoll-host\"]\n\n\
            [dependencies]\n\
            atoll-host = { workspace = true, features = [\"standalone\"], optional = true }\n\
            atoll-plugin = { workspace = true }\n\n\
            [dev-dependencies]\n\
            atoll-plugin = { workspace = true, features = [\"test\"] }\n\n\
            [lints]\nworkspace = true\n";
        assert_eq!(shop(Template::Hello, &origin), expected);
    }

    #[test]
    fn outside_of_a_workspace_it_names_a_folder_or_a_version() {
        let path = shop(Template::Axum, &Origin::Checkout("/src/atoll".into()));
        assert!(
            path.contains("\natoll-plugin = { path = \"/src/atoll/plugin-api\", features = [\"tower\"] }\n")
        );
        assert!(path.contains("\natoll-host = { path = \"/src/atoll/host\", features"), "{path}");
        let version = shop(Template::Rpc, &Origin::Version("1.2.3"));
        assert!(version.contains("\natoll-plugin = { version = \"1.2.3\" }\n"), "{version}");
    }

    #[test]
    fn it_cannot_be_called_like_what_it_depends_on() {
        for name in ["atoll-plugin", "atoll_host", "axum", "serde"] {
            let refused = of_app(name, MEMBER, Template::Axum, &Origin::Version("1.2.3"));
            assert!(matches!(refused, Err(ScaffoldError::OfDependency { .. })), "{name}");
        }
    }
}
