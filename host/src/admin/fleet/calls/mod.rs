//! Calls between the hosts of a fleet, over the connection to NATS.
//!
//! [`Session`] has what belongs to one connection. What this host asks of others goes from the ports of [`AppsElsewhere`] through
//! [`Requests`](crate::fleet::calls::Requests); what others ask of this one is [`Served`].

mod body;
mod credit;
mod elsewhere;
mod http;
mod inbound;
mod method;
mod outbox;
mod reply;
mod served;
mod session;
mod task;
mod websocket;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_local};

use self::elsewhere::AppsElsewhere;
use self::outbox::Outbox;
use self::session::{Inputs, Session};
use crate::admin::state::State;
use crate::fleet::Membership;
use crate::fleet::calls::Instance;
use crate::fleet::nats::{Fleet, FleetError};

/// The calls of a host, over all its connections.
pub(super) struct Calls {
    fleet: Membership,
    state: State,
    apps: Rc<RefCell<AppsElsewhere>>,
    /// What takes requests of other hosts; `None`: nothing does.
    instance: Rc<Cell<Option<Instance>>>,
}

/// The calls over one connection. They end when it is dropped.
pub(super) struct Connected {
    task: JoinHandle<()>,
    session: Rc<Session>,
    instance: Rc<Cell<Option<Instance>>>,
}

impl Calls {
    pub(super) fn new(fleet: Membership, state: State) -> Self {
        let apps = AppsElsewhere::new(state.registry.clone(), state.events.clone(), state.spans.clone());
        Self { fleet, state, apps: Rc::new(RefCell::new(apps)), instance: Rc::default() }
    }

    /// Where this host takes requests of others, for its presence.
    pub(super) fn instance(&self) -> Option<String> {
        self.instance.get().map(|instance| instance.to_string())
    }

    /// Begins with a new connection.
    ///
    /// # Errors
    /// The connection was lost.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub(super) async fn connect(&self, fleet: &Fleet) -> Result<Connected, FleetError> {
        let (bus, own) = (fleet.bus(), Instance::random());
        let (outbox, outbound) = Outbox::new();
        let (ended, has_ended) = mpsc::unbounded_channel();
        let (sent, has_sent) = mpsc::unbounded_channel();
        let session = Rc::new(Session::new(
            own,
            &bus,
            self.fleet.clone(),
            &self.state,
            self.apps.clone(),
            outbox,
            ended,
        ));
        let subjects = session.subjects();
        let own_messages = bus.subscribe(subjects.own()).await?;
        let messages_to_all = bus.subscribe(subjects.all()).await?;
        let inputs = Inputs { own_messages, messages_to_all, outbound, has_ended, has_sent };
        self.apps.borrow_mut().connect(sent);
        self.instance.set(Some(own));
        let shutdown = self.state.shutdown.leaving();
        let task = spawn_local(session.clone().run(bus, inputs, shutdown, self.instance.clone()));
        Ok(Connected { task, session, instance: self.instance.clone() })
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.instance.set(None);
        self.task.abort();
        self.session.close();
    }
}
