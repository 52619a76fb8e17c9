//! The account at the certificate authority.

use std::io;

use instant_acme::{Account, ExternalAccountKey, NewAccount};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::client::AcmeClient;
use super::error::OrderError;
use super::settings::AcmeSettings;
use super::store::{Store, StoredAccount};

/// The account that all orders use: opened or registered by the first of them.
#[derive(Debug)]
pub(super) struct Accounts {
    client: AcmeClient,
    store: Store,
    current: Mutex<Option<Current>>,
}

struct Current(Account);

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Current").field(&self.0.id()).finish()
    }
}

impl Accounts {
    pub(super) fn new(client: AcmeClient, store: Store) -> Self {
        Self { client, store, current: Mutex::new(None) }
    }

    /// The account.
    pub(super) async fn get(&self, settings: &AcmeSettings) -> Result<Account, OrderError> {
        let mut current = self.current.lock().await;
        if let Some(Current(account)) = &*current {
            return Ok(account.clone());
        }
        let store = self.store.clone();
        let account = match run(move || store.account()).await? {
            Some(stored) => match self.open(settings, stored).await {
                Err(error) if error.is_of_account() => self.register_again(settings).await?,
                opened => opened?,
            },
            None => self.register(settings).await?,
        };
        *current = Some(Current(account.clone()));
        Ok(account)
    }

    /// The account after an order that has shown that the certificate authority does not know the one before.
    pub(super) async fn replace(
        &self,
        settings: &AcmeSettings,
        unknown: &Account,
    ) -> Result<Account, OrderError> {
        let mut current = self.current.lock().await;
        // Another order may have done it meanwhile.
        if let Some(Current(account)) =
            current.as_ref().filter(|Current(account)| account.id() != unknown.id())
        {
            return Ok(account.clone());
        }
        let account = self.register_again(settings).await?;
        *current = Some(Current(account.clone()));
        Ok(account)
    }

    async fn open(&self, settings: &AcmeSettings, stored: StoredAccount) -> Result<Account, OrderError> {
        // What is read is given away to open the account.
        let copy = serde_json::to_value(&stored.credentials).map_err(io::Error::from)?;
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let account = builder.from_credentials(stored.credentials).await?;
        if stored.contacts != settings.contacts {
            let contacts = urls(settings);
            account.update_contacts(&contacts.iter().map(String::as_str).collect::<Vec<_>>()).await?;
            let credentials = serde_json::from_value(copy).map_err(io::Error::from)?;
            self.save(settings, credentials).await?;
        }
        Ok(account)
    }

    /// Registers a new account in place of one that the certificate authority does not know.
    async fn register_again(&self, settings: &AcmeSettings) -> Result<Account, OrderError> {
        log::warn!("the certificate authority does not know the account: registering a new one");
        self.register(settings).await
    }

    async fn register(&self, settings: &AcmeSettings) -> Result<Account, OrderError> {
        let contacts = urls(settings);
        let contacts: Vec<_> = contacts.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contacts,
            terms_of_service_agreed: settings.agreed,
            only_return_existing: false,
        };
        let external = settings.account.as_ref();
        let external = external.map(|account| ExternalAccountKey::new(account.id.clone(), &account.key));
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let directory = settings.directory.to_string();
        let (account, credentials) = builder.create(&new, directory, external.as_ref()).await?;
        self.save(settings, credentials).await?;
        log::info!("registered the account {} with the certificate authority", account.id());
        Ok(account)
    }

    async fn save(
        &self,
        settings: &AcmeSettings,
        credentials: instant_acme::AccountCredentials,
    ) -> Result<(), OrderError> {
        let (store, contacts) = (self.store.clone(), settings.contacts.clone());
        run(move || store.save_account(&StoredAccount { contacts, credentials })).await?;
        Ok(())
    }
}

fn urls(settings: &AcmeSettings) -> Vec<String> {
    settings.contacts.iter().map(|email| format!("mailto:{email}")).collect()
}

/// Runs `work`, which waits for the disk, beside the server.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
