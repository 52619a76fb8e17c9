//! Where the code of a library is, and that of libc.

use std::ffi::{c_int, c_void};
use std::ops::Range;

/// The addresses of a library and of libc.
#[derive(Clone, Debug)]
pub(crate) struct Ranges {
    pub(super) library: Range<usize>,
    pub(super) libc: Range<usize>,
}

impl Ranges {
    /// Those of the library that this address is in; `None`: it is in none.
    pub(super) fn find(inside: usize) -> Option<Self> {
        let libc = libc::epoll_wait as unsafe extern "C" fn(_, _, _, _) -> _ as usize;
        Some(Self { library: object_with(inside)?, libc: object_with(libc)? })
    }
}

/// What is looked for, and found.
struct Search {
    address: usize,
    found: Option<Range<usize>>,
}

/// Where the program or library is that has this address.
fn object_with(address: usize) -> Option<Range<usize>> {
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
        // SAFETY: the linker gives an object's record, and `dl_iterate_phdr` its own argument.
        let (info, search) = unsafe { (&*info, &mut *search.cast::<Search>()) };
        // SAFETY: the record has so many headers.
        let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
        let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
        let (mut start, mut end) = (usize::MAX, 0);
        for header in loaded {
            let begin = info.dlpi_addr as usize + header.p_vaddr as usize;
            start = start.min(begin);
            end = end.max(begin + header.p_memsz as usize);
        }
        let is_it = (start..end).contains(&search.address);
        if is_it {
            search.found = Some(start..end);
        }
        is_it.into()
    }
    let mut search = Search { address, found: None };
    // SAFETY: `look` takes what is given here, during the call only.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    search.found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_one_object() {
        let here = object_with as fn(usize) -> Option<Range<usize>> as usize;
        let Ranges { library, libc } = Ranges::find(here).unwrap();
        assert!(library.contains(&here));
        assert!(library.end <= libc.start || libc.end <= library.start);
        assert_eq!(object_with(8), None);
    }
}
