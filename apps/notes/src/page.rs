//! Lists, a page at a time.

use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::store::Note;

const MOST_PER_PAGE: u32 = 100;

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Paging {
    page: u32,
    per_page: u32,
}

impl Default for Paging {
    fn default() -> Self {
        Self { page: 1, per_page: 20 }
    }
}

impl Paging {
    pub(crate) fn checked(self) -> Result<Self, Problem> {
        let per_page = !(1..=MOST_PER_PAGE).contains(&self.per_page);
        Problem::of_fields([
            ("page", self.page == 0, "1 or more".to_owned()),
            ("per_page", per_page, format!("1 to {MOST_PER_PAGE}")),
        ])?;
        Ok(self)
    }

    pub(crate) fn limit(self) -> u32 {
        self.per_page
    }

    pub(crate) fn offset(self) -> u64 {
        u64::from(self.page - 1) * u64::from(self.per_page)
    }

    /// A link to another page; relative, as the app does not know where it is mounted.
    fn link(self, page: u32) -> String {
        format!("?page={page}&per_page={}", self.per_page)
    }
}

/// A part of a list.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    notes: Vec<Note>,
    total: u64,
    page: u32,
    pages: u32,
    links: Links,
}

#[derive(Debug, Serialize)]
struct Links {
    first: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    last: String,
}

impl Page {
    pub(crate) fn new(notes: Vec<Note>, total: u64, paging: Paging) -> Self {
        let pages = total.div_ceil(paging.per_page.into()).max(1);
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        let page = paging.page;
        let links = Links {
            first: paging.link(1),
            prev: (page > 1).then(|| paging.link(pages.min(page - 1))),
            next: (page < pages).then(|| paging.link(page + 1)),
            last: paging.link(pages),
        };
        Self { notes, total, page, pages, links }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_link_to_each_other() {
        let links = |page, per_page, total| Page::new(Vec::new(), total, Paging { page, per_page }).links;
        let middle = links(2, 10, 30);
        assert_eq!(middle.prev.as_deref(), Some("?page=1&per_page=10"));
        assert_eq!(middle.next.as_deref(), Some("?page=3&per_page=10"));
        assert_eq!(middle.last, "?page=3&per_page=10");
        let only = links(1, 10, 0);
        assert_eq!((only.prev, only.next, only.last.as_str()), (None, None, "?page=1&per_page=10"));
        assert_eq!(links(9, 10, 11).prev.as_deref(), Some("?page=2&per_page=10"));
    }
}
