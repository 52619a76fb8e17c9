//! The other apps that an app under test can call.

use std::collections::BTreeMap;
use std::sync::Arc;

use atoll_port::CallContext;
use atoll_port::app_calls::Apps;

use super::generation::TestGeneration;
use crate::protocol::ErrorObject;

/// The other apps, by name.
#[derive(Clone, Default)]
pub(super) struct Others {
    pub(super) apps: BTreeMap<String, Arc<TestGeneration>>,
    /// The setting `body_limit` of the app that calls them.
    pub(super) body_limit: usize,
}

impl Apps for Others {
    type App = TestGeneration;

    fn find(&self, name: &str) -> Result<Arc<TestGeneration>, String> {
        let app = self.apps.get(name).cloned();
        app.ok_or_else(|| format!("unknown app `{name}`: add it with `Builder::other_app`"))
    }

    fn fetch_limit(&self, _: &str) -> usize {
        self.body_limit
    }

    async fn trace<T>(
        &self,
        _: &TestGeneration,
        _: &str,
        _: impl FnOnce() -> String,
        context: CallContext,
        work: impl AsyncFnOnce(CallContext) -> Result<T, ErrorObject<'static>>,
    ) -> Result<T, ErrorObject<'static>> {
        work(context).await
    }
}
