//! `atoll token`.

use std::process::ExitCode;

use atoll_host::config::AppPattern;
use atoll_host::internal::admin::{NewToken, Permission, Token};
use clap::{Args, Subcommand};
use jiff::{Span, SpanRelativeTo, Timestamp};

use super::arguments::{Form, Format, Registry};
use super::table::{Cell, Column, table};
use super::{out, style, units};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll token create ci --app 'acme-*' --allow deploy > ci.token
  atoll token ls
  atoll token revoke ci

The host keeps only hashes of tokens: `create` is the only command that prints a secret. A token that may deploy an app can \
run any code as the user of the host.";

/// Create, list and revoke tokens for the admin API.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print its secret.
    Create(CreateArgs),
    /// List the tokens, without their secrets.
    Ls(LsArgs),
    /// Revoke a token; the host refuses it from then on.
    Revoke(RevokeArgs),
}

#[derive(Args, Clone, Debug)]
pub(super) struct CreateArgs {
    /// The name of the token, which versions and the log show.
    name: String,
    /// An app that the token is for: a name, a prefix such as `acme-*`, or `*` for all apps. Repeatable.
    #[arg(long, value_name = "APP", required = true)]
    app: Vec<AppPattern>,
    /// What the token allows: `read`, `operate` (start, stop, reload, …) or `deploy` (push, promote, roll back). `operate` and
    /// `deploy` include `read`. Repeatable, or separated by commas.
    #[arg(long, value_name = "PERMISSION", required = true, value_delimiter = ',')]
    allow: Vec<Permission>,
    /// When the token expires: a time from now, such as `90d` or `12h`, or `never`.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = expiry)]
    expires: Expiry,
    #[command(flatten)]
    registry: Registry,
}

#[derive(Args, Clone, Debug)]
pub(super) struct LsArgs {
    #[command(flatten)]
    registry: Registry,
    #[command(flatten)]
    form: Form,
}

#[derive(Args, Clone, Debug)]
pub(super) struct RevokeArgs {
    /// The name of the token.
    name: String,
    #[command(flatten)]
    registry: Registry,
}

/// When a token expires, in milliseconds since 1970; `None`: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expiry(Option<u64>);

fn expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" {
        return Ok(Expiry(None));
    }
    let after = |span: Span| {
        let time = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        let end = Timestamp::now().checked_add(time).ok().filter(|_| time.is_positive())?;
        u64::try_from(end.as_millisecond()).ok()
    };
    let end = text.parse::<Span>().ok().and_then(after);
    end.map(|end| Expiry(Some(end))).ok_or_else(|| "expected a time such as 90d or 12h, or never".to_owned())
}

/// Does what is asked with the tokens of a host.
pub(super) fn run(command: &TokenCommand) -> anyhow::Result<ExitCode> {
    match command {
        TokenCommand::Create(args) => create(args)?,
        TokenCommand::Ls(args) => list(args)?,
        TokenCommand::Revoke(args) => {
            args.registry.connect()?.revoke_token(&args.name)?;
            out::print(format!("token {} revoked\n", args.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn create(args: &CreateArgs) -> anyhow::Result<()> {
    let new = NewToken {
        name: args.name.clone(),
        apps: args.app.clone(),
        permissions: args.allow.iter().copied().collect(),
        expires_ms: args.expires.0,
    };
    let created = args.registry.connect()?.create_token(&new)?;
    let token = created.token;
    eprintln!(
        "token {}: {} for {}, {}; its secret is not shown again",
        token.name,
        permissions(&token),
        apps(&token),
        expires(&token)
    );
    out::print(format!("{}\n", created.secret))?;
    Ok(())
}

fn list(args: &LsArgs) -> anyhow::Result<()> {
    let tokens = args.registry.connect()?.tokens()?;
    if args.form.format == Format::Json {
        return out::print_json(&tokens);
    }
    let columns = [
        Column::Left("TOKEN"),
        Column::Left("APPS"),
        Column::Left("ALLOWS"),
        Column::Left("CREATED"),
        Column::Left("EXPIRES"),
    ];
    let rows: Vec<_> = tokens.iter().map(row).collect();
    Ok(out::print_text(&table(columns, &rows))?)
}

fn row(token: &Token) -> [Cell; 5] {
    let is_expired = token.is_expired(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0));
    let expires = if is_expired { Cell::styled(expires(token), style::BAD) } else { expires(token).into() };
    [
        (&*token.name).into(),
        apps(token).into(),
        permissions(token).into(),
        units::time(token.created_ms).into(),
        expires,
    ]
}

fn apps(token: &Token) -> String {
    token.apps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn permissions(token: &Token) -> String {
    token.permissions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn expires(token: &Token) -> String {
    let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
    match token.expires_ms {
        None => "never expires".to_owned(),
        Some(end) if token.is_expired(now) => format!("expired {}", units::time(end)),
        Some(end) => format!("expires {}", units::time(end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_expires_after_a_time_or_never() {
        assert_eq!(expiry("never"), Ok(Expiry(None)));
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap();
        let Expiry(end) = expiry("90d").unwrap();
        let days = (end.unwrap() - now) / 86_400_000;
        assert!((89..=90).contains(&days), "{days}");
        for wrong in ["", "90", "-1d", "0s", "soon"] {
            assert!(expiry(wrong).unwrap_err().contains("90d"), "{wrong}");
        }
    }
}
