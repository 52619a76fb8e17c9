//! Reading a record. One that ends early, as the process did, has what was written before.

use std::path::PathBuf;

use procfs::FromBufRead;
use procfs::process::{MMPermissions, MMapPath, MemoryMaps};

use super::record::{FIRST_LINE, LAST_LINE};
use super::text::from_word;

/// A record as it was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Milliseconds since 1970.
    pub(super) at_ms: u64,
    pub(super) process: u32,
    pub(super) signal: i32,
    pub(super) code: i32,
    pub(super) address: usize,
    pub(super) stack: usize,
    pub(super) thread: String,
    pub(super) app: Option<String>,
    pub(super) generation: Option<u64>,
    pub(super) library: Option<String>,
    pub(super) worker: Option<usize>,
    /// Whether the worker had noted which request it ran.
    pub(super) is_running: bool,
    pub(super) requests: Vec<Request>,
    pub(super) images: Vec<Image>,
    /// The innermost first.
    pub(super) frames: Vec<usize>,
    /// Whether it was written to its end.
    pub(super) is_complete: bool,
}

/// A request that the app had.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) worker: usize,
    pub(super) id: String,
    pub(super) line: String,
}

/// A part of the address space.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) offset: u64,
    pub(super) inode: u64,
    /// Whether nothing may be done with it: a guard page.
    pub(super) is_guard: bool,
    /// The file that is mapped there.
    pub(super) path: Option<PathBuf>,
}

impl Record {
    /// `None`: it is no record, or nothing was recorded.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut record = Self::default();
        while let Some(line) = lines.next() {
            if line == "maps" {
                let maps = lines.by_ref().take_while(|line| !line.is_empty());
                record.images = maps.filter_map(Image::parse).collect();
            } else {
                // A line that ends early is the last one.
                let _ = record.line(line);
            }
        }
        (record.signal != 0).then_some(record)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let hex = |word: &str| usize::from_str_radix(word, 16).ok();
        match words.next()? {
            "at" => self.at_ms = words.next()?.parse().ok()?,
            "process" => self.process = words.next()?.parse().ok()?,
            "signal" => {
                let (signal, code) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                (self.signal, self.code) = (signal, code);
                self.address = hex(words.next()?)?;
            }
            "registers" => self.stack = hex(words.nth(1)?)?,
            "thread" => self.thread = from_word(words.next()?),
            "app" => self.app = Some(from_word(words.next()?)),
            "generation" => self.generation = Some(words.next()?.parse().ok()?),
            "library" => self.library = Some(words.next()?.to_owned()),
            "worker" => self.worker = Some(words.next()?.parse().ok()?),
            "running" => self.is_running = true,
            "request" => {
                let (worker, _number) = (words.next()?.parse().ok()?, words.next()?);
                let (id, line) = (from_word(words.next()?), from_word(words.next()?));
                self.requests.push(Request { worker, id, line });
            }
            "frame" => self.frames.push(hex(words.next()?)?),
            LAST_LINE => self.is_complete = true,
            _ => {}
        }
        Some(())
    }

    /// What is mapped at an address.
    pub(super) fn image(&self, address: usize) -> Option<&Image> {
        self.images.iter().find(|image| (image.start..image.end).contains(&address))
    }

    /// Where the file begins that is mapped in this image.
    pub(super) fn base(&self, image: &Image) -> usize {
        let same =
            |other: &&Image| other.offset == 0 && other.inode == image.inode && other.path == image.path;
        // The last one before it: a file may be mapped more than once.
        let begins = self.images.iter().filter(same).map(|other| other.start);
        begins.filter(|start| *start <= image.start).max().unwrap_or(image.start)
    }
}

impl Image {
    fn parse(line: &str) -> Option<Self> {
        let map = MemoryMaps::from_buf_read(line.as_bytes()).ok()?.0.pop()?;
        let path = match map.pathname {
            MMapPath::Path(path) => Some(path),
            _ => None,
        };
        Some(Self {
            start: usize::try_from(map.address.0).ok()?,
            end: usize::try_from(map.address.1).ok()?,
            offset: map.offset,
            inode: map.inode,
            is_guard: (map.perms & (MMPermissions::READ | MMPermissions::WRITE | MMPermissions::EXECUTE))
                .is_empty(),
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "atoll fault 1\nat 1700000000123\nprocess 4242\nsignal 11 1 7f10\nregisters 55aa10 7ffe00\n\
        thread bad#1.0\napp bad\ngeneration 3\nlibrary 0af3\nworker 1\nrunning 17\nrequest 1 17 r-1 GET%20/a%2520b\n\
        unread 2\nmaps\n\
        55a000-55b000 r-xp 00001000 08:01 42 /srv/libbad one.so\n\
        559000-55a000 r--p 00000000 08:01 42 /srv/libbad one.so\n\
        7f0000-7f8000 ---p 00000000 00:00 0 \n\
        7fff00-7fff\n\nframe 55aa10\nframe 55a001\nend\n";

    #[test]
    fn a_whole_record() {
        let record = Record::parse(WHOLE.as_bytes()).unwrap();
        let request = Request { worker: 1, id: "r-1".into(), line: "GET /a%20b".into() };
        assert_eq!((record.signal, record.code, record.address, record.stack), (11, 1, 0x7f10, 0x7ffe00));
        assert_eq!((record.at_ms, record.process, &*record.thread), (1_700_000_000_123, 4242, "bad#1.0"));
        assert_eq!(
            (record.app.as_deref(), record.generation, record.worker),
            (Some("bad"), Some(3), Some(1))
        );
        assert_eq!((record.library.as_deref(), &record.requests), (Some("0af3"), &vec![request]));
        assert_eq!(
            (&record.frames, record.is_complete, record.is_running),
            (&vec![0x55aa10, 0x55a001], true, true)
        );
        let image = record.image(0x55aa10).unwrap();
        assert_eq!(image.path.as_deref(), Some("/srv/libbad one.so".as_ref()));
        assert_eq!((record.base(image), image.inode, image.is_guard), (0x559000, 42, false));
        assert!(record.image(0x7f0010).unwrap().is_guard);
        assert_eq!(record.images.len(), 3, "a line that ends early is left out");
    }

    #[test]
    fn a_record_that_ends_early_has_what_was_written() {
        for end in 0..WHOLE.len() {
            let Some(record) = Record::parse(&WHOLE.as_bytes()[..end]) else {
                assert!(end < WHOLE.find("registers").unwrap(), "{end}");
                continue;
            };
            assert_eq!((record.signal, record.is_complete), (11, end >= WHOLE.len() - 1));
        }
        assert_eq!(Record::parse(b""), None);
        assert_eq!(Record::parse(b"atoll fault 2\nsignal 11 1 0\n"), None);
    }
}
