//! The subjects of calls.

use super::frame::{ExchangeId, Instance};

/// The subjects of the calls in one fleet, for one instance.
#[derive(Debug)]
pub(crate) struct Subjects {
    /// `atoll.FLEET`.
    prefix: String,
    /// `atoll.FLEET.instance.OWN`.
    own: String,
}

/// For what NATS reports that nobody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A request.
    Request(ExchangeId),
    /// Something else to an instance.
    Peer(Instance),
}

impl Subjects {
    /// Those of this instance in a fleet.
    pub(crate) fn new(fleet: &str, own: Instance) -> Self {
        let prefix = format!("atoll.{}", escaped(fleet));
        Self { own: format!("{prefix}.instance.{own}"), prefix }
    }

    /// What is for all instances.
    pub(crate) fn all(&self) -> String {
        format!("{}.instances", self.prefix)
    }

    /// All that is for this instance.
    pub(crate) fn own(&self) -> String {
        format!("{}.*", self.own)
    }

    /// Where an instance takes messages.
    pub(crate) fn instance(&self, peer: Instance) -> String {
        format!("{}.instance.{peer}.message", self.prefix)
    }

    /// Where NATS reports that there is nobody for something that this instance sends.
    pub(crate) fn reply(&self, reply: Reply) -> String {
        let own = &self.own;
        match reply {
            Reply::Request(ExchangeId { port, request }) => format!("{own}.request-{port:x}-{request:x}"),
            Reply::Peer(peer) => format!("{own}.peer-{peer}"),
        }
    }

    /// What a subject that [`reply`](Self::reply) has made is for.
    pub(crate) fn read_reply(subject: &str) -> Option<Reply> {
        let token = subject.rsplit('.').next()?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        if let Some(peer) = token.strip_prefix("peer-") {
            return Some(Reply::Peer(Instance(number(peer)?)));
        }
        let (port, request) = token.strip_prefix("request-")?.split_once('-')?;
        let port = number(port)?.try_into().ok()?;
        Some(Reply::Request(ExchangeId { port, request: number(request)? }))
    }
}

/// A name as a part of a subject, which a dot ends. No name has a `=`.
fn escaped(name: &str) -> String {
    name.replace('.', "=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_names_one_instance_or_all() {
        let subjects = Subjects::new("prod.eu", Instance(0xab));
        assert_eq!(subjects.all(), "atoll.prod=eu.instances");
        assert_eq!(subjects.own(), "atoll.prod=eu.instance.00000000000000ab.*");
        assert_eq!(subjects.instance(Instance(1)), "atoll.prod=eu.instance.0000000000000001.message");
        for reply in [Reply::Peer(Instance(7)), Reply::Request(ExchangeId { port: 3, request: u64::MAX })] {
            let subject = subjects.reply(reply);
            assert!(subject.starts_with("atoll.prod=eu.instance.00000000000000ab."), "{subject}");
            assert_eq!(Subjects::read_reply(&subject), Some(reply));
        }
        for other in ["", "message", "a.peer-", "a.request-1", "a.request-x-1", "a.request-1ffffffff-1"] {
            assert_eq!(Subjects::read_reply(other), None, "{other}");
        }
    }
}
