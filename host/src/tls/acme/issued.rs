//! The certificates by ACME that are in use.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

/// Certificates by ACME with their domains, in lower case, in the order of the settings. Clones are handles to the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Issued(Arc<ArcSwap<List>>);

type List = Vec<(String, Option<Arc<CertifiedKey>>)>;

impl Issued {
    /// None yet, for these domains.
    pub(super) fn none(domains: impl Iterator<Item = String>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(domains.map(|domain| (domain, None)).collect())))
    }

    /// The one for a name.
    pub(in crate::tls) fn of_name(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let list = self.0.load();
        let (_, key) = list.iter().find(|(domain, _)| name.eq_ignore_ascii_case(domain))?;
        key.clone()
    }

    /// The one for the first domain that has one.
    pub(in crate::tls) fn first(&self) -> Option<Arc<CertifiedKey>> {
        self.0.load().iter().find_map(|(_, key)| key.clone())
    }

    /// Has new connections use this one.
    pub(super) fn set(&self, domain: &str, key: &Arc<CertifiedKey>) {
        self.0.rcu(|list| {
            let mut list = List::clone(list);
            list.iter_mut().filter(|(it, _)| it == domain).for_each(|(_, old)| *old = Some(key.clone()));
            list
        });
    }
}
