//! The Atoll host.
