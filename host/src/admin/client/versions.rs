//! Versions of apps, for a client of the admin API.

use bytes::Bytes;
use hyper::Method;

use super::{AdminClient, AdminError, of_app, segment};
use crate::admin::traffic_model::{NewTraffic, TrafficStatus};
use crate::admin::versions::{NewAppVersion, Promoted, PushedVersion, VersionStatus};
use crate::deploy::UploadStatus;

impl AdminClient {
    /// How much the host has of a file of an app; `hash`: the BLAKE3 hash of its content.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn file(&mut self, app: &str, hash: &str) -> Result<UploadStatus, AdminError> {
        self.get(&of_app(app, &format!("/files/{}", segment(hash))))
    }

    /// Appends a piece at `offset` to a file of `size` bytes, of which the host has so many.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn append_to_file(
        &mut self,
        app: &str,
        hash: &str,
        offset: u64,
        size: u64,
        piece: Bytes,
    ) -> Result<UploadStatus, AdminError> {
        let path = of_app(app, &format!("/files/{}?offset={offset}&size={size}", segment(hash)));
        self.exchange(Method::PUT, &path, "application/octet-stream", piece)
    }

    /// Makes a version of files that were uploaded.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn push_version(&mut self, app: &str, new: &NewAppVersion) -> Result<PushedVersion, AdminError> {
        self.ask(Method::POST, &of_app(app, "/versions"), Some(new))
    }

    /// The versions of an app, the newest first.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn versions(&mut self, app: &str) -> Result<Vec<VersionStatus>, AdminError> {
        self.get(&of_app(app, "/versions"))
    }

    /// How the requests to an app are split between its versions.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn traffic(&mut self, app: &str) -> Result<TrafficStatus, AdminError> {
        self.get(&of_app(app, "/traffic"))
    }

    /// Splits the requests to an app between its versions.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn set_traffic(&mut self, app: &str, new: &NewTraffic) -> Result<TrafficStatus, AdminError> {
        self.ask(Method::PUT, &of_app(app, "/traffic"), Some(new))
    }

    /// Makes a version the one that serves, or begins its rollout: `again` also if one of it was aborted, `now` without one.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn promote(
        &mut self,
        app: &str,
        version: &str,
        again: bool,
        now: bool,
    ) -> Result<Promoted, AdminError> {
        self.post(&of_app(app, &format!("/versions/{}/promote?again={again}&now={now}", segment(version))))
    }
}
