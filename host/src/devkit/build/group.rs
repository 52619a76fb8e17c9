//! The processes of one build, to be ended together.

use tokio::process::Child;

/// A child's process group, which is ended when this is dropped before the child has ended.
#[derive(Debug)]
pub(super) struct Group(Option<libc::pid_t>);

impl Group {
    /// The group of a child that was made its leader.
    pub(super) fn new(child: &Child) -> Self {
        Self(child.id().and_then(|id| id.try_into().ok()))
    }

    /// The child has ended and was waited for: its number may be somebody else's soon.
    pub(super) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // SAFETY: no memory is involved. The child is not waited for before `ended` or this, so that the number is
            // still its own.
            unsafe { libc::kill(-leader, libc::SIGTERM) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn what_the_child_has_started_ends_with_it() {
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", "sleep 1000 & echo started; wait"])
            .stdout(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let group = Group::new(&child);
        let mut output = child.stdout.take().unwrap();
        output.read_exact(&mut [0; 8]).await.unwrap();
        drop(group);
        // The pipe ends when the last of the two that have it open has ended.
        assert_eq!(output.read_to_end(&mut Vec::new()).await.unwrap(), 0);
        assert_eq!(child.wait().await.unwrap().signal(), Some(libc::SIGTERM));
    }
}
