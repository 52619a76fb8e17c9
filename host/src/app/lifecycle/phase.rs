//! Where an app is in its life.

/// Why an app does not serve, or that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not loaded: the next call starts it.
    Cold,
    /// Its first generation, or the one after a crash, is on its way.
    Starting,
    /// A generation serves.
    Serving,
    /// It crashed and is started again after a pause.
    Resting,
    /// It crashed too often, or its library is unusable: it stays down until the library or the settings change, or
    /// someone asks.
    Failed,
    /// Too many of its generations are pinned: it stays down until one of them could be unloaded.
    Blocked,
    /// Another host of the fleet runs it, or none does yet: no call starts it here.
    Standby,
    /// Someone has switched it off: no call starts it.
    Disabled,
    /// It is shutting down or gone.
    Closing,
}

impl Phase {
    /// Whether requests are carried out, also if they have to wait until the app has started.
    pub(crate) fn takes_requests(self) -> bool {
        matches!(self, Self::Cold | Self::Starting | Self::Serving)
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cold => "cold",
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Resting => "resting",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Standby => "standby",
            Self::Disabled => "disabled",
            Self::Closing => "closing",
        })
    }
}
