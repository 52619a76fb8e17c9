//! What is searched for: how many libraries at most, which not, and in the folder of a library.

use std::path::{Path, PathBuf};

use crate::fs::real_path::real_path;

/// How many shared libraries beside it an app's library may need, directly or through others. Each is a file descriptor
/// for an app process.
pub(crate) const NEEDED_LIBRARIES: usize = 64;

/// The libraries that are in each process once: the C library's and the unwinder, which the host itself has loaded.
const OF_THE_PROCESS: [&str; 10] = [
    "libc.so.6",
    "libm.so.6",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libresolv.so.2",
    "libanl.so.1",
    "libmvec.so.1",
    "libgcc_s.so.1",
];

/// Whether this is the name of one of them.
pub(super) fn is_of_the_process(name: &str) -> bool {
    OF_THE_PROCESS.contains(&name) || name.starts_with("ld-linux")
}

/// The folder of a library, and the one of the file that it is a link to.
pub(super) fn origins(library: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        [library, &real_path(library)].iter().filter_map(|path| Some(path.parent()?.to_owned())).collect();
    folders.dedup();
    folders
}

/// Whether the dynamic loader looks in this folder by itself.
pub(super) fn is_of_the_system(folder: &Path) -> bool {
    let folder = real_path(folder);
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let roots = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"].map(|root| real_path(Path::new(root)));
    roots.iter().any(|root| folder == *root || folder == root.join(&triple))
}
