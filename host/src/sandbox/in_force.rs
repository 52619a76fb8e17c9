//! What of a policy is in force.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::SandboxError;

/// What happens if this machine cannot enforce a part of a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    /// It is an error.
    #[default]
    Full,
    /// The rest is enforced, and [`InForce::missing`] has what is not.
    Available,
}

/// A part of a policy that is enforced on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Limits of resources, such as memory, and no core dumps.
    Limits,
    /// Limits of the process and what it starts, by a control group.
    ControlGroup,
    /// File descriptors that were not passed on purpose are closed.
    Descriptors,
    /// No capabilities, no new privileges through setuid programs, not traceable by other processes of the user.
    Privileges,
    /// A separate user.
    User,
    /// Separate kernel namespaces.
    Namespaces,
    /// Only certain files, by Landlock.
    Files,
    /// Only certain TCP ports, by Landlock.
    Tcp,
    /// No signals to other processes, by Landlock or by a separate user.
    Signals,
    /// No abstract UNIX sockets of other processes, by Landlock.
    AbstractSockets,
    /// Only certain system calls, by seccomp.
    SystemCalls,
}

/// A layer that is not in force, although it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The layer.
    pub layer: Layer,
    /// Why, and what to do.
    pub reason: String,
}

/// What of a policy is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// The layers in force.
    pub layers: Vec<Layer>,
    /// The layers that are not in force, with [`Require::Available`].
    pub missing: Vec<Missing>,
}

impl InForce {
    /// Takes note of a layer in force.
    pub(crate) fn add(&mut self, layer: Layer) {
        self.layers.push(layer);
    }

    /// Adds what was enforced elsewhere.
    pub(crate) fn extend(&mut self, other: Self) {
        self.layers.extend(other.layers);
        self.missing.extend(other.missing);
    }

    /// Takes note of a layer that this machine cannot enforce.
    ///
    /// # Errors
    /// With [`Require::Full`].
    pub(crate) fn lacks(
        &mut self,
        require: Require,
        layer: Layer,
        reason: impl Into<String>,
    ) -> Result<(), SandboxError> {
        let missing = Missing { layer, reason: reason.into() };
        match require {
            Require::Full => Err(SandboxError::Unavailable(missing)),
            Require::Available => {
                self.missing.push(missing);
                Ok(())
            }
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limits => "limits",
            Self::ControlGroup => "control-group",
            Self::Descriptors => "descriptors",
            Self::Privileges => "privileges",
            Self::User => "user",
            Self::Namespaces => "namespaces",
            Self::Files => "files",
            Self::Tcp => "tcp",
            Self::Signals => "signals",
            Self::AbstractSockets => "abstract-sockets",
            Self::SystemCalls => "system-calls",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_an_error_or_reported() {
        let mut in_force = InForce::default();
        in_force.add(Layer::Limits);
        in_force.lacks(Require::Available, Layer::Files, "no Landlock").unwrap();
        assert_eq!(in_force.missing, [Missing { layer: Layer::Files, reason: "no Landlock".into() }]);
        let error = in_force.lacks(Require::Full, Layer::Files, "no Landlock").unwrap_err().to_string();
        assert_eq!(
            error,
            "the sandbox cannot enforce `files`: no Landlock; `\"require\": \"available\"` does without it"
        );
        let json = serde_json::to_string(&in_force).unwrap();
        assert_eq!(serde_json::from_str::<InForce>(&json).unwrap(), in_force);
    }

    #[test]
    fn a_layer_is_displayed_as_in_json() {
        for layer in [Layer::Limits, Layer::ControlGroup, Layer::AbstractSockets, Layer::SystemCalls] {
            assert_eq!(serde_json::to_value(layer).unwrap(), layer.to_string());
        }
    }
}
