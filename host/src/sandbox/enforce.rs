//! Putting a policy into force.

use std::env;

use super::error::SandboxError;
use super::in_force::{InForce, Layer};
use super::policy::Policy;
use super::{access, descriptors, namespaces, privileges, process, system_calls};

impl Policy {
    /// Does ahead what [`enforce`](Self::enforce) takes most of its time for, as far as it is the same for all policies of the same
    /// [shape](Self::shape), also if they are those of other apps.
    ///
    /// The process may be restricted in part then: it can only enforce policies of this shape.
    pub fn prepare_enforcement(&self) {
        access::prepare(self);
        system_calls::prepare(self);
    }

    /// Restricts this process for good, and returns what is in force.
    ///
    /// Call it before the process starts threads or runs code that is not trusted.
    ///
    /// # Errors
    /// With [`Require::Full`], anything of the policy that this machine cannot enforce; and see [`SandboxError`]. The
    /// process may be restricted in part then, and has to end.
    pub fn enforce(&self) -> Result<InForce, SandboxError> {
        let mut in_force = InForce::default();
        process::has_one_thread()?;
        let death_signal = privileges::death_signal()?;
        process::set_umask();
        if let Some(folder) = &self.folder {
            let failed = |reason| SandboxError::Folder { path: folder.clone(), reason };
            env::set_current_dir(folder).map_err(failed)?;
        }
        // As the parent's user, who may reach more paths than the process's.
        let rules = access::Rules::open(self)?;
        if !self.namespaces.is_empty() {
            match namespaces::enter(&self.namespaces) {
                Ok(()) => in_force.add(Layer::Namespaces),
                Err(error) => in_force.lacks(
                    self.require,
                    Layer::Namespaces,
                    format!("this system forbids them ({error}); remove `namespaces`"),
                )?,
            }
        }
        if let Some(account) = self.account {
            privileges::become_user(account, self.require, &mut in_force)?;
        }
        privileges::drop_all(death_signal)?;
        in_force.add(Layer::Privileges);
        self.limits.enforce()?;
        in_force.add(Layer::Limits);
        if self.limits.threads.is_some() && self.account.is_none() {
            in_force.lacks(
                self.require,
                Layer::Limits,
                "without a control group, `threads` counts all threads of a user, and needs a separate one; add `user`, or \
                remove `threads`",
            )?;
        }
        rules.restrict(self, &mut in_force)?;
        // Those of the rules are needed until here.
        descriptors::close_all_but(&self.descriptors)
            .map_err(SandboxError::system(Layer::Descriptors, "close_range"))?;
        in_force.add(Layer::Descriptors);
        // The last one, since it denies what the others need.
        system_calls::restrict(self, &mut in_force)?;
        Ok(in_force)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_refused() {
        // The harness has one for this test.
        let error = Policy::default().enforce().unwrap_err();
        assert!(matches!(error, SandboxError::Threads(2..)), "{error}");
    }
}
