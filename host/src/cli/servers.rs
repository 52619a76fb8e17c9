//! The servers that a user has given names, and the token for one.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use atoll_host::internal::admin::AdminServer;
use atoll_host::internal::regular_file::{SMALL_FILE_LIMIT, read_to_string};
use serde::Deserialize;

/// The variable with a token. It comes before the file of a server.
const TOKEN: &str = "ATOLL_TOKEN";

/// The file of the user's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserConfig {
    #[serde(default)]
    servers: BTreeMap<String, NamedServer>,
}

/// `[servers.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct NamedServer {
    url: String,
    /// Relative to the folder of the file.
    token_file: Option<PathBuf>,
}

/// The server with this URL, or with this name in the user's settings, with its token.
pub(super) fn find(to: &str) -> anyhow::Result<AdminServer> {
    let (url, token_file) = if to.contains("://") { (to.to_owned(), None) } else { named(to)? };
    let server: AdminServer = url.parse()?;
    let token = match (env::var(TOKEN), token_file) {
        (Ok(token), _) => Some(token),
        (Err(env::VarError::NotUnicode(_)), _) => bail!("{TOKEN} is not valid UTF-8"),
        (Err(env::VarError::NotPresent), Some(file)) => Some(
            read_to_string(&file, SMALL_FILE_LIMIT)
                .with_context(|| format!("cannot read the token from {}", file.display()))?,
        ),
        (Err(env::VarError::NotPresent), None) => None,
    };
    match token.as_deref().map(str::trim) {
        None | Some("") => Ok(server),
        Some(token) => Ok(server.with_token(token)?),
    }
}

fn named(name: &str) -> anyhow::Result<(String, Option<PathBuf>)> {
    let folder = folder(env::var_os("XDG_CONFIG_HOME").map(PathBuf::from), env::home_dir());
    let Some(folder) = folder else {
        bail!(
            "no server `{name}`: this user has no home folder; pass a URL such as https://apps.example.com:3001"
        );
    };
    let path = folder.join("config.toml");
    let config = read(&path)?;
    let Some(server) = config.servers.get(name) else {
        let known: Vec<&str> = config.servers.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        bail!(
            "unknown server `{name}`: {} names {known}; add [servers.{name}] with a url, or pass a URL",
            path.display()
        );
    };
    Ok((server.url.clone(), server.token_file.as_ref().map(|file| folder.join(file))))
}

/// The folder of the user's settings, by the XDG Base Directory Specification.
fn folder(of_user: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let home = home.filter(|home| home.is_absolute()).map(|home| home.join(".config"));
    Some(of_user.filter(|folder| folder.is_absolute()).or(home)?.join("atoll"))
}

fn read(path: &Path) -> anyhow::Result<UserConfig> {
    match read_to_string(path, SMALL_FILE_LIMIT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(UserConfig::default()),
        text => {
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_that_of_the_user() {
        let found = |user: Option<&str>, home: Option<&str>| {
            folder(user.map(PathBuf::from), home.map(PathBuf::from)).map(|path| path.display().to_string())
        };
        assert_eq!(found(Some("/c"), Some("/h")).unwrap(), "/c/atoll");
        assert_eq!(found(Some("c"), Some("/h")).unwrap(), "/h/.config/atoll");
        assert_eq!(found(None, None), None);
    }

    #[test]
    fn a_file_names_servers_and_nothing_else() {
        let parse = |text: &str| toml::from_str::<UserConfig>(text);
        let config = parse("[servers.prod]\nurl = \"https://a\"\ntoken-file = \"prod.token\"\n").unwrap();
        let prod = &config.servers["prod"];
        assert_eq!(
            (prod.url.as_str(), prod.token_file.as_deref()),
            ("https://a", Some(Path::new("prod.token")))
        );
        assert!(parse("[servers.prod]\nurl = \"https://a\"\ntoken = \"s3cret\"\n").is_err());
        assert!(parse("[server.prod]\nurl = \"https://a\"\n").is_err());
    }
}
