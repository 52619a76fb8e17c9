//! A real browser, Chromium without a window, driven by its driver.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::installed;
use crate::support::{Call, Connection, Host, LIMIT, Launch, wait_for};

/// How long one test may drive a browser in all.
const WHOLE_TEST: Duration = Duration::from_secs(240);

/// A browser that shows one page.
pub(crate) struct Browser {
    page: Client,
    /// Where the driver listens, and the path of what it is asked of this browser.
    address: SocketAddr,
    session: String,
    _driver: Driver,
}

/// The driver's process, with all that it has started.
struct Driver(Host);

/// The programs that a test with a browser needs.
pub(crate) struct Chromium {
    browser: PathBuf,
    driver: PathBuf,
}

impl Chromium {
    /// Where the programs are; `None`: the test is skipped. Ask first, so that a skipped test does nothing else.
    ///
    /// # Panics
    /// See [`installed::all`].
    pub(crate) fn installed() -> Option<Self> {
        installed::all(["chromium", "chromedriver"]).map(|[browser, driver]| Self { browser, driver })
    }

    /// Runs a test in a browser started for it.
    pub(crate) fn drive(&self, test: impl AsyncFnOnce(&Browser)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let whole = async {
                let browser = Browser::open(&self.browser, &self.driver).await;
                test(&browser).await;
                assert_eq!(browser.log("browser"), Vec::<Value>::new(), "the console has something to say");
            };
            tokio::time::timeout(WHOLE_TEST, whole).await.expect("the test ends in time");
        });
    }
}

impl Browser {
    async fn open(chromium: &Path, driver: &Path) -> Self {
        let driver = Driver(Launch::program(driver).arg("--port=0").spawn());
        let port: u16 = wait_for("the driver names its port", || {
            let output = driver.0.stdout();
            let (_, rest) = output.split_once("successfully on port ")?;
            rest.split('.').next()?.parse().ok()
        });
        let folder = driver.0.path("profile");
        // By a pipe, so that the browser ends with its driver, whatever ends that.
        let capabilities = json!({
            "goog:chromeOptions": {
                "binary": chromium,
                "args": [
                    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
                    "--window-size=1280,900",
                    format!("--user-data-dir={folder}"),
                ],
            },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
        let page = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        let session = format!("/session/{}", page.session_id().await.unwrap().unwrap());
        let browser = Self { page, address: ([127, 0, 0, 1], port).into(), session, _driver: driver };
        // The page that it begins with asks for much, too.
        browser.goto("about:blank").await;
        browser.requested();
        browser
    }

    /// Shows a page.
    pub(crate) async fn goto(&self, url: &str) {
        self.page.goto(url).await.unwrap();
    }

    /// What a script returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.page.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{error} in {script}"))
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn until(&self, condition: &str) -> impl Future<Output = ()> {
        self.wait(condition.to_owned(), std::panic::Location::caller())
    }

    async fn wait(&self, condition: String, caller: &std::panic::Location<'_>) {
        let begun = Instant::now();
        while self.run(&format!("return Boolean({condition})")).await != true {
            if begun.elapsed() > LIMIT {
                let text = self.run("return document.body.innerText").await;
                panic!("{caller}: waited {LIMIT:?} in vain for {condition}; the page says {text}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the element is there and says this.
    #[track_caller]
    pub(crate) fn says(&self, css: &str, text: &str) -> impl Future<Output = ()> {
        let condition =
            format!("document.querySelector({})?.innerText.includes({})", json!(css), json!(text));
        self.wait(condition, std::panic::Location::caller())
    }

    /// What an element says.
    pub(crate) async fn text(&self, css: &str) -> String {
        self.page.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
    }

    /// Clicks on an element, as a user does: it has to be seen.
    pub(crate) async fn click(&self, css: &str) {
        let element = self.page.wait().at_most(LIMIT).for_element(Locator::Css(css)).await;
        element.unwrap().click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Types into an element, in the place of what is there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let element = self.page.find(Locator::Css(css)).await.unwrap();
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Presses a key where the focus is.
    pub(crate) async fn press(&self, key: Key) {
        let focused = self.page.active_element().await.unwrap();
        focused.send_keys(&String::from(char::from(key))).await.unwrap();
    }

    /// Asks the browser itself, by the DevTools protocol.
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.ask("goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What has come into one of the browser's logs since the last time: `browser` (the console) or `performance`.
    pub(crate) fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.ask("se/log", &json!({ "type": kind }));
        entries.as_array().expect("a log is a list").clone()
    }

    /// All addresses that the page has asked for since the last time.
    pub(crate) fn requested(&self) -> Vec<String> {
        let messages = self.log("performance").into_iter().filter_map(|entry| {
            serde_json::from_str::<Value>(entry["message"].as_str()?)
                .ok()
                .map(|message| message["message"].clone())
        });
        let sent = messages.filter(|message| message["method"] == "Network.requestWillBeSent");
        sent.filter_map(|message| Some(message["params"]["request"]["url"].as_str()?.to_owned())).collect()
    }

    fn ask(&self, path: &str, body: &Value) -> Value {
        let call = Call::post(&format!("{}/{path}", self.session), body.to_string())
            .header("content-type", "application/json");
        let reply = Connection::open(self.address).unwrap().call(&call).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["value"].clone()
    }
}

impl Drop for Driver {
    /// Ends the browser, too: it would outlive its driver.
    fn drop(&mut self) {
        let mut processes = descendants(self.0.pid());
        self.0.signal(libc::SIGKILL);
        // What has been started meanwhile is found among the others' children.
        for process in processes.clone() {
            processes.extend(descendants(process));
        }
        for process in &processes {
            // SAFETY: a system call. It was there just now, and if it has ended nobody is harmed.
            unsafe { libc::kill(*process as libc::pid_t, libc::SIGKILL) };
        }
        let is_gone = || processes.iter().all(|process| !is_running(*process));
        let begun = Instant::now();
        while !is_gone() && begun.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}

/// The processes that a process has started, and those that they have.
fn descendants(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut at = 0;
    while let Some(process) = found.get(at).copied() {
        at += 1;
        let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for task in tasks.flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found.remove(0);
    found
}

/// Whether a process is there and has not ended.
fn is_running(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
