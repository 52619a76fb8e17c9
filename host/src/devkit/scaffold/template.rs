//! The template of a new app.

use clap::ValueEnum;

/// The template of a new app.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Routes and handlers.
    #[default]
    Hello,
    /// An axum router.
    Axum,
    /// Methods that are called by JSON-RPC 2.0.
    Rpc,
    /// A WebSocket, with a page to try it.
    Websocket,
}

/// A file's path in the crate, and its text.
type File = (&'static str, &'static str);

const MAIN: File = ("src/main.rs", include_str!("../../../templates/main.rs"));

/// The file of a template.
macro_rules! file {
    ($template:literal, $path:literal) => {
        ($path, include_str!(concat!("../../../templates/", $template, "/", $path)))
    };
}

impl Template {
    /// The files of the crate, but for its manifest.
    pub(super) fn files(self) -> &'static [File] {
        match self {
            Self::Hello => &[MAIN, file!("hello", "src/lib.rs")],
            Self::Axum => &[MAIN, file!("axum", "src/lib.rs")],
            Self::Rpc => &[MAIN, file!("rpc", "src/lib.rs")],
            Self::Websocket => &[MAIN, file!("websocket", "src/lib.rs"), file!("websocket", "src/page.html")],
        }
    }

    /// The part of the manifest that is the same for all.
    pub(super) fn manifest(self) -> &'static str {
        include_str!("../../../templates/manifest.toml")
    }

    /// What the crate depends on.
    pub(super) fn dependencies(self) -> &'static str {
        match self {
            Self::Hello => include_str!("../../../templates/hello/dependencies.toml"),
            Self::Axum => include_str!("../../../templates/axum/dependencies.toml"),
            Self::Rpc => include_str!("../../../templates/rpc/dependencies.toml"),
            Self::Websocket => include_str!("../../../templates/websocket/dependencies.toml"),
        }
    }

    /// What to ask the app `name` for, behind `curl`; `base` is the host's URL.
    pub fn request(self, base: &str, name: &str) -> String {
        match self {
            Self::Hello | Self::Axum => format!("{base}/apps/{name}/greet/reef"),
            Self::Rpc => format!(
                r#"{base}/rpc/{name} -H content-type:application/json -d '{{"jsonrpc":"2.0","id":1,"method":"add","params":[1,2]}}'"#
            ),
            Self::Websocket => format!("{base}/apps/{name}/"),
        }
    }
}
