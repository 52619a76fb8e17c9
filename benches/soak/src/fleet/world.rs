//! What happens to a fleet, and what has to hold afterwards.

use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use super::link::Network;
use super::member::Member;
use super::servers::{STORE, Servers};
use crate::support::{Ended, Host, LIMIT, Launch, versioned, wait_until};

/// How many versions of the app there are.
const VERSIONS: u64 = 8;

/// A setting that the operator of the last host allows to none of its apps.
pub(super) const OPERATORS: &str = "queue";

/// The exit code of a rollout that went back.
const WENT_BACK: i32 = 4;

/// A fleet, and what it should be like.
pub(super) struct World {
    pub(super) servers: Servers,
    pub(super) members: Vec<Member>,
    pub(super) random: Rng,
    /// The version that each host should serve.
    pub(super) version: u64,
    /// How long each deployment took that nothing disturbed, until each host served its version.
    pub(super) times: Vec<Duration>,
    /// How often an app was started again because NATS was away.
    pub(super) started_again: u64,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Deploy,
    DeployWhatOneRefuses,
    TwoDeploy,
    DeployerKilled,
    HostKilledInDeploy,
    HostAway(Network),
    ServerKilled,
    AllServersKilled,
    RestartWithoutServers,
    StoreFull,
}

const DEEDS: [Deed; 12] = [
    Deed::Deploy,
    Deed::AllServersKilled,
    Deed::DeployWhatOneRefuses,
    Deed::HostKilledInDeploy,
    Deed::TwoDeploy,
    Deed::DeployerKilled,
    Deed::HostAway(Network::Cut),
    Deed::RestartWithoutServers,
    Deed::HostAway(Network::Silent),
    Deed::StoreFull,
    Deed::HostAway(Network::Slow),
    Deed::ServerKilled,
];

/// Whether after so many deeds each has happened.
pub(super) const fn is_complete(deeds: usize) -> bool {
    deeds >= DEEDS.len()
}

impl World {
    /// Does something, and waits until all is as it should be again: the number of the deed decides what it is.
    ///
    /// # Errors
    /// Something came out in another way than it should.
    pub(super) fn deed(&mut self, number: usize) -> Result<(), String> {
        // Each once, and then at random.
        let deed = DEEDS.get(number).copied().unwrap_or_else(|| DEEDS[self.random.usize(0..DEEDS.len())]);
        eprintln!("{deed:?}");
        self.carry_out(deed).and_then(|()| self.settle()).map_err(|error| format!("{deed:?}: {error}"))
    }

    fn carry_out(&mut self, deed: Deed) -> Result<(), String> {
        match deed {
            Deed::Deploy => self.deploy(),
            Deed::DeployWhatOneRefuses => {
                let ended = self.deployer(self.other_version(), json!({ OPERATORS: 5 })).run();
                expect(&ended, WENT_BACK, &["went back", "operator's to decide"])
            }
            Deed::TwoDeploy => self.two_deploy(),
            Deed::DeployerKilled => {
                let version = self.other_version();
                let mut first = self.deployer(version, json!({})).spawn();
                self.pause(700);
                first.signal(libc::SIGKILL);
                first.ended();
                self.finish(self.deployer(version, json!({})).spawn(), version)
            }
            Deed::HostKilledInDeploy => {
                let version = self.other_version();
                let deploying = self.deployer(version, json!({})).spawn();
                self.pause(700);
                let number = self.any_member();
                let pause = Duration::from_millis(self.random.u64(0..500));
                self.members[number].kill(|| thread::sleep(pause));
                self.finish(deploying, version)
            }
            Deed::HostAway(network) => {
                let number = self.any_member();
                self.members[number].set_network(network);
                let version = self.other_version();
                let deploying = self.deployer(version, json!({})).spawn();
                self.pause(3000);
                self.members[number].set_network(Network::Up);
                self.finish(deploying, version)
            }
            Deed::ServerKilled => self.without_restarts(|world| {
                let number = world.random.usize(..);
                world.servers.one(number).stop();
                world.pause(2000);
                world.servers.one(number).restart();
            }),
            Deed::AllServersKilled => self.without_restarts(|world| {
                world.servers.stop();
                world.pause(2000);
                world.servers.restart();
            }),
            Deed::RestartWithoutServers => {
                self.servers.stop();
                let number = self.any_member();
                self.members[number].restart();
                let answer = self.members[number].answer();
                self.servers.restart();
                let is_right = answer == self.version.to_string();
                if is_right { Ok(()) } else { Err(format!("started without NATS, it answers {answer}")) }
            }
            // What a cluster stores again when it was full depends on its version.
            Deed::StoreFull if self.servers.replicas() > 1 => Ok(()),
            Deed::StoreFull => {
                let mut library = versioned(self.other_version());
                library.resize(STORE + 1, 0);
                let ended = self.deployer_of(library, json!({})).run();
                expect(&ended, 1, &["NATS has no room for", "max_file_store"])
            }
        }
    }

    fn any_member(&mut self) -> usize {
        self.random.usize(0..self.members.len())
    }

    fn pause(&mut self, at_most_ms: u64) {
        thread::sleep(Duration::from_millis(self.random.u64(0..at_most_ms)));
    }

    fn other_version(&self) -> u64 {
        self.version % VERSIONS + 1
    }

    /// Someone who deploys a version.
    fn deployer(&self, version: u64, settings: Value) -> Launch {
        self.deployer_of(versioned(version), settings)
    }

    fn deployer_of(&self, library: Vec<u8>, settings: Value) -> Launch {
        let mut app = json!({ "name": "app", "path": "libapp.so" });
        if let (Value::Object(app), Value::Object(settings)) = (&mut app, settings) {
            app.extend(settings);
        }
        Launch::command("deploy")
            .write("libapp.so", library)
            .write("apps.json", json!([app]).to_string())
            .args(["app", "--hold", "0", &format!("--fleet={}", self.servers.urls())])
    }

    /// Deploys another version.
    pub(super) fn deploy(&mut self) -> Result<(), String> {
        let version = self.other_version();
        let deployer = self.deployer(version, json!({}));
        let begun = Instant::now();
        self.finish(deployer.spawn(), version)?;
        self.times.push(begun.elapsed());
        Ok(())
    }

    /// Waits for the end of a deployment that should succeed.
    fn finish(&mut self, deploying: Host, version: u64) -> Result<(), String> {
        let ended = deploying.ended();
        expect(&ended, 0, &["is on"])?;
        self.version = version;
        let wrong = self.members.iter().find(|member| member.answer() != version.to_string());
        wrong.map_or(Ok(()), |member| {
            Err(format!("{} does not serve {version} after\n{}", member.name, ended.stdout))
        })
    }

    /// One of two who deploy at once succeeds, or one after the other.
    fn two_deploy(&mut self) -> Result<(), String> {
        let versions = [self.other_version(), self.other_version() % VERSIONS + 1];
        let both = versions.map(|version| self.deployer(version, json!({}))).map(Launch::spawn);
        let ended = both.map(Host::ended);
        let good = ended.iter().filter(|ended| ended.status.success()).count();
        for failed in ended.iter().filter(|ended| !ended.status.success()) {
            let is_conflict = ["is under way", "conflict"].iter().any(|word| failed.stderr.contains(word));
            if failed.status.code() != Some(1) || !is_conflict || good == 0 {
                return Err(format!("{}: {}", failed.status, failed.stderr));
            }
        }
        let texts = versions.map(|version| version.to_string());
        let mut answer = String::new();
        wait_until("all hosts serve one of the two", || {
            answer = self.members[0].answer();
            texts.contains(&answer) && self.members.iter().all(|member| member.answer() == answer)
        });
        self.version = answer.parse().map_err(|_| answer)?;
        Ok(())
    }

    /// Does something that starts no app again.
    fn without_restarts(&mut self, work: impl FnOnce(&mut Self)) -> Result<(), String> {
        let generations = |world: &Self| world.members.iter().map(Member::generation).collect::<Vec<_>>();
        let before = generations(self);
        work(self);
        self.settle()?;
        let after = generations(self);
        self.started_again +=
            before.iter().zip(&after).filter(|(before, after)| before != after).count() as u64;
        Ok(())
    }

    /// Waits until all is as it should be, without a hand.
    fn settle(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let differences: Vec<_> =
                self.members.iter().filter_map(|member| self.difference(member)).collect();
            match differences.first() {
                None => return Ok(()),
                Some(first) if begun.elapsed() > LIMIT => return Err(format!("it stays so: {first}")),
                Some(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// What is not as it should be on a host, or as it sees it.
    fn difference(&self, member: &Member) -> Option<String> {
        let name = &member.name;
        let answer = member.answer();
        if answer != self.version.to_string() {
            return Some(format!("{name} answers {answer} instead of {}", self.version));
        }
        let Some(status) = member.status() else { return Some(format!("{name} has no status")) };
        let hosts = status["hosts"].as_array().map_or(&[][..], Vec::as_slice);
        let is_whole = status["connected"] == true
            && hosts.len() == self.members.len()
            && hosts.iter().all(|host| host["out_of_date"] == 0)
            && status["apps"][0]["wave"].is_null();
        (!is_whole).then(|| format!("{name} sees {status}"))
    }
}

fn expect(ended: &Ended, code: i32, words: &[&str]) -> Result<(), String> {
    let output = format!("{}{}", ended.stdout, ended.stderr);
    let is_right = ended.status.code() == Some(code) && words.iter().all(|word| output.contains(word));
    if is_right { Ok(()) } else { Err(format!("the command ended with {}:\n{output}", ended.status)) }
}
