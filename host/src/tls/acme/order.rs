//! One order: from the account to a certificate.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeHandle, ChallengeType, Error, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};

use super::certificate::Certificate;
use super::challenges::{Answered, Challenges};
use super::error::{OrderError, problem};

/// How long a certificate authority may take to validate a domain, and then to issue a certificate.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).timeout(Duration::from_secs(120));

/// How the certificate authority validates a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// On port 443, in the handshake of TLS.
    Tls,
    /// On port 80.
    Http,
}

impl Method {
    fn challenge(self) -> ChallengeType {
        match self {
            Self::Tls => ChallengeType::TlsAlpn01,
            Self::Http => ChallengeType::Http01,
        }
    }

    fn over(self) -> &'static str {
        match self {
            Self::Tls => "over TLS-ALPN on port 443",
            Self::Http => "over HTTP on port 80",
        }
    }
}

/// Obtains a certificate for a domain, by the first of these methods that the certificate authority offers.
pub(super) async fn obtain(
    account: &Account,
    domain: &str,
    methods: &[Method],
    challenges: &Challenges,
) -> Result<Certificate, OrderError> {
    let domains = [Identifier::Dns(domain.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&domains)).await?;
    validate(&mut order, domain, methods, challenges).await?;
    let key_pem = order.finalize().await?;
    let chain_pem = order.poll_certificate(&PATIENCE).await?;
    let pem = format!("{}\n{}\n", chain_pem.trim_end(), key_pem.trim_end());
    Certificate::parse(pem.into_bytes()).map_err(OrderError::Certificate)
}

/// Has the certificate authority validate the domain.
async fn validate(
    order: &mut Order,
    domain: &str,
    methods: &[Method],
    challenges: &Challenges,
) -> Result<(), OrderError> {
    let (mut answered, mut used) = (Vec::new(), None);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // It may remember that the domain is this account's.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let offered = |method: &&Method| {
            authorization.challenges.iter().any(|challenge| challenge.r#type == method.challenge())
        };
        let method = *methods.iter().find(offered).ok_or(OrderError::NoChallenge)?;
        let challenge = authorization.challenge(method.challenge());
        let mut challenge = challenge.ok_or(OrderError::NoChallenge)?;
        answered.push(answer(&challenge, domain, method, challenges)?);
        used = Some(method);
        challenge.set_ready().await?;
    }
    let ready = order.poll_ready(&PATIENCE).await;
    let failed = match ready {
        Ok(OrderStatus::Invalid) => None,
        Ok(_) => return Ok(()),
        Err(Error::Api(reported)) => Some(reported),
        Err(error) => return Err(error.into()),
    };
    let reason = match reason(order).await {
        Some(reason) => reason,
        None => failed.as_ref().map_or_else(|| "it gives no reason".to_owned(), problem),
    };
    Err(OrderError::Validation { over: used.map_or("", Method::over), reason })
}

fn answer(
    challenge: &ChallengeHandle<'_>,
    domain: &str,
    method: Method,
    challenges: &Challenges,
) -> Result<Answered, OrderError> {
    let answer = challenge.key_authorization();
    match method {
        Method::Tls => challenges.answer_tls(domain, answer.digest().as_ref()),
        Method::Http => Ok(challenges.answer_http(&challenge.token, answer.as_str())),
    }
}

/// Why the certificate authority could not validate a domain. `None`: it does not say so.
async fn reason(order: &mut Order) -> Option<String> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        if let Some(error) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some(problem(error));
        }
    }
    None
}
