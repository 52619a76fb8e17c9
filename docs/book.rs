//! The programs in the README and in the book, which compile and run as the doctests of this package. Its tests are those
//! of the tutorial's apps; `book-links` looks after the links.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("src/actix.md")]
    struct Actix;
    #[doc = include_str!("src/axum.md")]
    struct Axum;
    #[doc = include_str!("src/embedding.md")]
    struct Embedding;
    #[doc = include_str!("src/first-app.md")]
    struct FirstApp;
    #[doc = include_str!("src/migrating.md")]
    struct Migrating;
    #[doc = include_str!("src/streams.md")]
    struct Streams;
    #[doc = include_str!("src/testing.md")]
    struct Testing;
    #[doc = include_str!("src/writing-apps.md")]
    struct WritingApps;
}
