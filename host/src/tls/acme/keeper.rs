//! What obtains certificates and renews them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use jiff::Timestamp;
use log::Level;
use rustls::sign::CertifiedKey;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::account::{self, Accounts};
use super::certificate::Certificate;
use super::challenges::Challenges;
use super::client::AcmeClient;
use super::error::{AcmeError, OrderError};
use super::issued::Issued;
use super::order::{self, Method};
use super::schedule;
use super::settings::AcmeSettings;
use super::store::Store;
use crate::observe::certificates::{CertificateSource, Certificates};
use crate::tls::validity::Validity;

/// How many orders there are at once.
const ORDERS: usize = 4;

/// Obtains a certificate for each domain, and renews it.
#[derive(Debug)]
pub(in crate::tls) struct Keeper {
    settings: AcmeSettings,
    store: Store,
    accounts: Accounts,
    challenges: Challenges,
    methods: Vec<Method>,
    issued: Issued,
    known: Certificates,
    orders: Semaphore,
}

impl Keeper {
    /// Uses the certificates that are kept; orders nothing before it [runs](Self::run).
    pub(in crate::tls) fn open(settings: AcmeSettings, known: Certificates) -> Result<Self, AcmeError> {
        if !settings.agreed {
            return Err(AcmeError::Terms);
        }
        if settings.domains.is_empty() {
            return Err(AcmeError::NoDomains);
        }
        let store = Store::open(&settings.folder, &settings.directory)?;
        let client = AcmeClient::new(settings.ca_file.as_deref())?;
        let keeper = Self {
            accounts: Accounts::new(client, store.clone()),
            store,
            challenges: Challenges::default(),
            methods: vec![Method::Tls],
            issued: Issued::none(settings.domains.iter().map(ToString::to_string)),
            known,
            orders: Semaphore::new(ORDERS),
            settings,
        };
        for domain in &keeper.settings.domains {
            keeper.known.wanted(domain.as_str());
            if let Some(key) = keeper.store.certificate(domain.as_str()) {
                keeper.serve(domain.as_str(), &key);
            }
        }
        Ok(keeper)
    }

    /// The certificates in use.
    pub(in crate::tls) fn issued(&self) -> &Issued {
        &self.issued
    }

    /// The challenges that are open.
    pub(in crate::tls) fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// Obtains and renews certificates. `over_http`: certificate authorities can ask over HTTP, too.
    pub(in crate::tls) async fn run(mut self, over_http: bool) {
        self.methods.extend(over_http.then_some(Method::Http));
        join_all(self.settings.domains.iter().map(|domain| self.keep(domain.as_str()))).await;
    }

    async fn keep(&self, domain: &str) {
        let earlier = fastrand::f64();
        let mut failures = 0;
        loop {
            let wait = self.time_to_renewal(domain, earlier);
            if !wait.is_zero() {
                sleep(wait.min(schedule::LONGEST_SLEEP)).await;
                continue;
            }
            match self.order(domain, earlier, failures).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let delay = schedule::retry_delay(self.settings.retry_delay, failures);
                    self.report(domain, &error, delay);
                    sleep(delay).await;
                }
            }
        }
    }

    /// How long the certificate in use can stay; zero without one.
    fn time_to_renewal(&self, domain: &str, earlier: f64) -> Duration {
        let validity = self.issued.of_name(domain).and_then(|key| Validity::of(&key));
        let wait = |validity: Validity| {
            schedule::renewal(&validity, earlier).duration_since(SystemTime::now()).unwrap_or_default()
        };
        validity.map(wait).unwrap_or_default()
    }

    /// Obtains a new certificate, unless another process of this user has done so meanwhile.
    async fn order(&self, domain: &str, earlier: f64, failures: u32) -> Result<(), OrderError> {
        let Ok(_turn) = self.orders.acquire().await else { return Ok(()) };
        let (store, name) = (self.store.clone(), domain.to_owned());
        if let Some(key) = account::run(move || Ok(store.certificate(&name))).await? {
            self.serve(domain, &key);
            if !self.time_to_renewal(domain, earlier).is_zero() {
                log::info!("found a new certificate for {domain}");
                return Ok(());
            }
        }
        log::info!("ordering a certificate for {domain} from {}", self.settings.directory);
        let Certificate { key, pem } = self.obtain(domain, failures).await?;
        self.serve(domain, &key);
        // It is used even if it cannot be kept.
        let (store, name) = (self.store.clone(), domain.to_owned());
        let kept = account::run(move || store.save_certificate(&name, &pem)).await;
        if self.time_to_renewal(domain, earlier).is_zero() {
            let reason =
                "it is due for renewal already: compare this machine's clock with the certificate's times";
            return Err(OrderError::Certificate(reason.to_owned()));
        }
        log::info!("using a new certificate for {domain}");
        self.known.ordered(domain);
        if let Err(error) = kept {
            log::error!("the certificate for {domain} is lost when the host ends: cannot keep it: {error}");
        }
        Ok(())
    }

    async fn obtain(&self, domain: &str, failures: u32) -> Result<Certificate, OrderError> {
        // After a failure, the other method comes first.
        let mut methods = self.methods.clone();
        methods.rotate_left(failures as usize % self.methods.len());
        let account = self.accounts.get(&self.settings).await?;
        match order::obtain(&account, domain, &methods, &self.challenges).await {
            Err(error) if error.is_of_account() => {
                let account = self.accounts.replace(&self.settings, &account).await?;
                order::obtain(&account, domain, &methods, &self.challenges).await
            }
            obtained => obtained,
        }
    }

    /// Has new connections use a certificate.
    fn serve(&self, domain: &str, key: &Arc<CertifiedKey>) {
        self.issued.set(domain, key);
        let expires = Validity::of(key).map(|validity| validity.end);
        self.known.valid(CertificateSource::Acme, domain, expires);
    }

    fn report(&self, domain: &str, error: &OrderError, delay: Duration) {
        self.known.failed(domain, &error.to_string());
        let validity = self.issued.of_name(domain).and_then(|key| Validity::of(&key));
        let Some(end) = validity.map(|validity| validity.end) else {
            log::error!("there is no certificate for {domain}; trying again in {delay:?}: {error}");
            return;
        };
        let until = Timestamp::try_from(end).map(|end| end.to_string()).unwrap_or_default();
        let level = if end < SystemTime::now() { Level::Error } else { Level::Warn };
        log::log!(
            level,
            "cannot renew the certificate for {domain}, which is valid until {until}; trying again in {delay:?}: {error}"
        );
    }
}
