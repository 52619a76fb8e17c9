//! Uploading files, with a progress bar, over connections that may break.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use atoll_host::internal::admin::{AdminClient, AdminError, AdminServer, NewAppVersion, PushedVersion};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::app_files::{AppFiles, NamedFile};

/// How many bytes are sent with one request: what is lost when the connection breaks.
const PIECE: u64 = 1 << 20;

/// How often a connection that breaks is made again, without a piece that has arrived in between.
const ATTEMPTS: u32 = 5;

/// How long to wait before the first of them; the others wait twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(500);

/// How often the spinner moves that shows that the host starts an app.
const TICK: Duration = Duration::from_millis(100);

/// A host that files are uploaded to.
#[derive(Debug)]
pub(super) struct Upload {
    server: AdminServer,
    host: AdminClient,
    failures: u32,
}

impl Upload {
    /// Connects to a host.
    pub(super) fn to(server: AdminServer) -> Result<Self, AdminError> {
        let host = AdminClient::connect_to(&server)?;
        Ok(Self { server, host, failures: 0 })
    }

    /// The connection to the host.
    pub(super) fn host(&mut self) -> &mut AdminClient {
        &mut self.host
    }

    /// Uploads what the host does not have of an app's files; how many bytes.
    pub(super) fn files(&mut self, app: &str, files: &AppFiles) -> Result<u64, AdminError> {
        let bar = ProgressBar::new(files.all().map(|file| file.size).sum());
        bar.set_style(style("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}"));
        bar.set_message(app.to_owned());
        let (mut before, mut uploaded) = (0, 0);
        for file in files.all() {
            uploaded += self.file(app, file, |received| bar.set_position(before + received))?;
            before += file.size;
            bar.set_position(before);
        }
        bar.finish_and_clear();
        Ok(uploaded)
    }

    /// Has the host make a version of the files.
    pub(super) fn version(&mut self, app: &str, new: &NewAppVersion) -> Result<PushedVersion, AdminError> {
        let spinner = ProgressBar::new_spinner();
        spinner.set_style(style("{spinner} {msg}"));
        spinner.set_message(format!(
            "{app}: the host checks{} it",
            if new.promote { " and starts" } else { "" }
        ));
        spinner.enable_steady_tick(TICK);
        let done = self.host.push_version(app, new);
        spinner.finish_and_clear();
        done
    }

    fn file(&mut self, app: &str, file: &NamedFile, shown: impl Fn(u64)) -> Result<u64, AdminError> {
        let mut uploaded = 0;
        loop {
            match self.rest(app, file, &mut uploaded, &shown) {
                Err(error) if is_lost(&error) && self.failures < ATTEMPTS => {
                    self.failures += 1;
                    log::warn!("{error}; continuing the upload of {app}");
                    thread::sleep(PAUSE * 2_u32.pow(self.failures - 1));
                    // If this fails, so does the next request.
                    match AdminClient::connect_to(&self.server) {
                        Ok(host) => self.host = host,
                        Err(error) => log::warn!("{error}"),
                    }
                }
                done => return done.map(|()| uploaded),
            }
        }
    }

    /// Uploads what the host does not have of a file.
    fn rest(
        &mut self,
        app: &str,
        file: &NamedFile,
        uploaded: &mut u64,
        shown: &impl Fn(u64),
    ) -> Result<(), AdminError> {
        let mut status = self.host.file(app, &file.hash)?;
        let content = File::open(&file.path).map_err(AdminError::File)?;
        while !status.complete {
            shown(status.received);
            let length = PIECE.min(file.size.saturating_sub(status.received));
            let mut piece = vec![0; length as usize];
            content.read_exact_at(&mut piece, status.received).map_err(AdminError::File)?;
            status = self.host.append_to_file(app, &file.hash, status.received, file.size, piece.into())?;
            *uploaded += length;
            self.failures = 0;
        }
        Ok(())
    }
}

/// Whether the connection is what failed.
fn is_lost(error: &AdminError) -> bool {
    matches!(error, AdminError::Broken(_) | AdminError::TimedOut | AdminError::Unreachable { .. })
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
