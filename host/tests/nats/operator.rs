//! A NATS server that accepts users by JWT, as `nsc` sets one up.

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// Who vouches for accounts, with one account for hosts.
pub(crate) struct Operator {
    account: KeyPair,
    /// The configuration of the server.
    pub(crate) config: String,
}

impl Operator {
    pub(crate) fn new() -> Self {
        let (operator, account, system) =
            (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
            "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        });
        let no_storage = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
        });
        let claims = |limits: Value| json!({ "type": "account", "version": 2, "limits": limits });
        let of_operator = json!({ "type": "operator", "version": 2, "system_account": system.public_key() });
        let preload: String = [(&account, limits), (&system, no_storage)]
            .map(|(account, limits)| {
                let key = account.public_key();
                format!("  {key}: {}\n", jwt(&operator, &key, claims(limits)))
            })
            .concat();
        let config = format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n{preload}}}\n",
            jwt(&operator, &operator.public_key(), of_operator),
            system.public_key(),
        );
        Self { account, config }
    }

    /// The credentials of a new user.
    pub(crate) fn credentials(&self) -> String {
        let user = KeyPair::new_user();
        let claims = json!({ "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1 });
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{}\n\
             ------END USER NKEY SEED------\n",
            jwt(&self.account, &user.public_key(), claims),
            user.seed().unwrap(),
        )
    }
}

/// What an issuer says about a key.
fn jwt(issuer: &KeyPair, subject: &str, nats: Value) -> String {
    let claims = json!({
        "jti": subject, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test", "sub": subject, "nats": nats,
    });
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(claims));
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&issuer.sign(signed.as_bytes()).unwrap()))
}
