//! The interface of a library that is open: compared with the host's, bound, and called.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{CheckingGlobals, check_layout_compatibility_with_globals};
use abi_stable::library::{AbiHeader, AbiHeaderRef};
use atoll_plugin::abi::{Exit, PluginRef};
use atoll_port::{WorkerEnd, table};

use super::error::LoadError;
use super::verified::Verified;
use crate::abi::library_context::LibraryContext;
use crate::abi::vtable;
use crate::library::content_hash::ContentHash;

/// The libraries whose interface was compared with the host's.
static VERIFIED: Verified = Verified::new();

/// Takes note that the interface of a library with this content is the host's: it is not compared again.
pub(crate) fn note_verified(content: ContentHash) {
    VERIFIED.insert(content);
}

/// Checks a library's interface against the host's, with fresh globals: abi_stable's own ones keep pointers into
/// libraries that are gone. With the hash of what is open, that is done once for all libraries with this content.
///
/// # Safety
/// `header` is the `LibHeader` of a library that is open, and stays so as long as the result is used; its file has this
/// hash.
pub(crate) unsafe fn check_root(
    header: AbiHeaderRef,
    content: Option<ContentHash>,
) -> Result<PluginRef, LoadError> {
    let interface = |reason: String| LoadError::Interface { host: atoll_plugin::VERSION, reason };
    if !header.is_valid() {
        let [library, host] =
            [&*header, &AbiHeader::VALUE].map(|it| format!("{}.{}", it.abi_major, it.abi_minor));
        return Err(interface(format!("it was built with abi_stable {library}, and this host with {host}")));
    }
    let header = header.upgrade().map_err(|error| interface(error.to_string()))?;
    if !content.is_some_and(|content| VERIFIED.contains(content)) {
        let layout = header.layout().ok_or_else(|| interface("it has no layout information".to_owned()))?;
        let globals = CheckingGlobals::new();
        check_layout_compatibility_with_globals(<PluginRef as StableAbi>::LAYOUT, layout, &globals)
            .map_err(|errors| interface(errors.to_string()))?;
        if let Some(content) = content {
            VERIFIED.insert(content);
        }
    }
    // SAFETY: the layout was checked, here or in a library with the same content.
    unsafe { header.init_root_module_with_unchecked_layout::<PluginRef>() }
        .map_err(|error| interface(error.to_string()))
}

/// Binds a library to its context.
pub(crate) fn bind(root: PluginRef, context: &Arc<LibraryContext>) {
    // SAFETY: the context lives until the library is unloaded, which drops it last.
    unsafe { root.bind()(vtable::host(), context.handle(), context.reports().max_level()) };
}

/// Runs a library's `main` on the calling thread.
pub(crate) fn run(root: PluginRef, port: Arc<WorkerEnd>) -> Exit {
    // SAFETY: the library is bound; the handle carries one count of the port.
    unsafe { root.main()(table::port_handle(port)) }
}
