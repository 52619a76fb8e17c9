//! One connection that waits.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::answer::Answer;
use crate::request::{PATH, Target};

/// One keep-alive connection on the calling thread.
pub(crate) struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Answer,
}

impl Client {
    pub(crate) fn connect(target: &Target) -> Self {
        let stream = TcpStream::connect(target.server).expect("the server listens");
        stream.set_nodelay(true).expect("a connection takes the option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a connection takes the option");
        Self { stream, request: target.get(PATH), answer: Answer::default() }
    }

    /// Sends requests one after the other.
    pub(crate) fn run(&mut self, requests: u64) -> Duration {
        let begun = Instant::now();
        for _ in 0..requests {
            self.stream.write_all(&self.request).expect("the server reads");
            while !self.answer.is_complete() {
                let read = self.stream.read(self.answer.space()).expect("the server answers");
                self.answer.grow(read);
            }
        }
        begun.elapsed()
    }
}
