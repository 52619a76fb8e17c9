//! Where the libraries of apps are.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use crate::config::AppConfig;
use crate::library::source::SourcePath;

/// Where an app's library is, as far as it is known without a look at the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Library {
    /// What this leads to, which is watched.
    At(SourcePath),
    /// A file that a build has made. It is not watched: the builder announces the next one with
    /// [`App::rebuilt`](crate::app::handle::App::rebuilt).
    Built(PathBuf),
    /// There is none, because the build failed: the compiler's output.
    Failed(String),
}

/// The libraries that builds have made, by their crate's folder: they come before what is found there. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Libraries(Rc<RefCell<HashMap<PathBuf, Library>>>);

impl Libraries {
    /// Sets where the library of the crate in `folder` is; before the app is registered, or followed by
    /// [`App::rebuilt`](crate::app::handle::App::rebuilt).
    pub fn set(&self, folder: PathBuf, library: Library) {
        self.0.borrow_mut().insert(folder, library);
    }

    /// Where to look for the library of an app with this `path`.
    pub fn get(&self, path: &SourcePath) -> Library {
        self.0.borrow().get(&path.path).cloned().unwrap_or_else(|| Library::At(path.clone()))
    }
}

impl From<&AppConfig> for SourcePath {
    fn from(app: &AppConfig) -> Self {
        let build = &app.settings.build;
        Self { path: app.path.clone(), profile: build.profile.clone(), target: build.target.clone() }
    }
}
