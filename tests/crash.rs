//! `kill -9`: the real binary over the real libvirt, killed at every step of its
//! work and at moments between, and started again. Nothing may be there that no
//! row tells of, and what ran still runs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "common/host.rs"]
mod host;
#[path = "common/place.rs"]
mod place;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use host::{Host, check_database};
use place::{Place, Serving};

/// A VM that runs through all of it.
struct Keeper {
    pid: u32,
}

impl Keeper {
    fn make(host: &Host) -> Keeper {
        let serving = host.serve();
        host.make(&serving, "keeper");
        let pid = host.qemu("keeper").expect("its emulator");
        // Whoever waited for it hears nothing any more.
        serving.kill();
        Keeper { pid }
    }

    fn check(&self, host: &Host, serving: &Serving, when: &str) {
        assert_eq!(host.qemu("keeper"), Some(self.pid), "{when}: the VM that ran does not run on");
        assert_eq!(host.json(serving.port, &["vm", "show", "keeper"])["state"], "running", "{when}");
    }
}

/// The job is marked, and says how to do it again.
fn assert_interrupted(host: &Host, serving: &Serving, job: i64, when: &str) {
    let shown = host.json(serving.port, &["job", "show", &job.to_string()]);
    assert_eq!(shown["state"], "interrupted", "{when}: {shown}");
    let hint = shown["error"]["hint"].as_str().unwrap();
    assert!(hint.contains(&format!("`job retry {job}`")), "{when}: {shown}");
}

/// Runs a portal until it dies at that place of a command's work.
fn die_at(host: &Host, place: &str, words: &[&str]) -> i64 {
    let before = host.last_job();
    let serving = host.serve_until(place).expect("it dies at its work, not at its start");
    let mut asking = host.ask(serving.port, words);
    serving.dies();
    asking.wait().unwrap();
    let job = host.last_job();
    assert!(job > before, "{place}: nothing was written down");
    job
}

#[test]
fn killed_at_any_step_of_making_a_machine() {
    let host = Host::new();
    let keeper = Keeper::make(&host);
    let order = ["vm", "new", "web", "--image", "micro", "--no-wait"];
    for step in [
        "ordered",
        "checking the image",
        "preparing the disk",
        "prepared",
        "defining the machine",
        "defined",
        "starting",
    ] {
        let job = die_at(&host, step, &order);
        let left = host.row("web").expect("its row");
        let serving = host.serve();
        host.check(&[left], step);
        keeper.check(&host, &serving, step);
        assert_interrupted(&host, &serving, job, step);
        assert_eq!(host.row("web"), None, "{step}");
        let again = host.json(serving.port, &["job", "retry", &job.to_string(), "--no-wait"]);
        assert_eq!((again["action"].as_str(), again["target"].as_str()), (Some("vm.new"), Some("web.admin")));
        host.until_state(serving.port, "web", "running");
        let left = host.row("web").expect("its row");
        let cancelled = host.json(serving.port, &["job", "cancel", &again["id"].to_string()]);
        assert_eq!(cancelled["state"], "cancelled", "{step}");
        host.check(&[left], &format!("{step}, made again and cancelled"));
        serving.kill();
    }
}

#[test]
fn killed_once_a_machine_runs() {
    let host = Host::new();
    let keeper = Keeper::make(&host);
    let order = ["vm", "new", "web", "--image", "micro", "--no-wait"];
    for step in ["started", "waiting for SSH", "ending", "ended"] {
        let job = die_at(&host, step, &order);
        let made = host.row("web").expect("its row");
        let pid = host.qemu("web").expect("its emulator");
        let serving = host.serve();
        host.check(&[], step);
        keeper.check(&host, &serving, step);
        // It is taken on as it is.
        assert_eq!((host.row("web"), host.qemu("web")), (Some(made.clone()), Some(pid)), "{step}");
        host.until_state(serving.port, "web", "running");
        if step == "ended" {
            assert_eq!(host.job_state(job), "succeeded");
        } else {
            assert_interrupted(&host, &serving, job, step);
        }
        let refused = host.place.ssh(serving.port, &["job", "retry", &job.to_string()]).expect(4);
        assert!(step == "ended" || refused.stderr.contains("is there already"), "{step}: {refused:?}");
        host.place.ssh(serving.port, &["vm", "destroy", "web", "--yes"]).expect(0);
        host.check(&[made], &format!("{step}, destroyed"));
        serving.kill();
    }
}

#[test]
fn killed_at_any_step_of_destroying_a_machine() {
    let host = Host::new();
    let keeper = Keeper::make(&host);
    for step in ["removing", "doomed", "undefined", "forgotten", "ending", "ended"] {
        let serving = host.serve();
        host.make(&serving, "web");
        serving.kill();
        let (made, pid) = (host.row("web").unwrap(), host.qemu("web"));
        // The next start takes it on, so that no job is at work on it any more.
        let job = die_at(&host, step, &["vm", "destroy", "web", "--yes", "--no-wait"]);
        let serving = host.serve();
        host.check(std::slice::from_ref(&made), step);
        keeper.check(&host, &serving, step);
        let retry = ["job", "retry", &job.to_string()];
        match step {
            // Nothing was done to it yet.
            "removing" => {
                assert_interrupted(&host, &serving, job, step);
                assert_eq!((host.row("web"), host.qemu("web")), (Some(made.clone()), pid));
                host.place.ssh(serving.port, &retry).expect(0);
            }
            "ended" => assert_eq!(host.job_state(job), "succeeded"),
            _ => {
                assert_interrupted(&host, &serving, job, step);
                host.place.ssh(serving.port, &retry).expect(4).says("is gone");
            }
        }
        assert_eq!(host.row("web"), None, "{step}");
        host.check(&[made], &format!("{step}, at the end"));
        serving.kill();
    }
}

#[test]
fn killed_while_it_undoes_and_while_it_mends() {
    let host = Host::new();
    let keeper = Keeper::make(&host);
    // A cancelled order is undone to the end.
    for step in ["undoing", "undefined"] {
        let serving = host.serve_until(step).unwrap();
        host.make(&serving, "web");
        let (made, job) = (host.row("web").unwrap(), host.last_job());
        let mut asking = host.ask(serving.port, &["job", "cancel", &job.to_string()]);
        serving.dies();
        asking.wait().unwrap();
        let serving = host.serve();
        host.check(&[made], step);
        assert_eq!(host.row("web"), None, "{step}");
        serving.kill();
    }
    // A start that is killed in the middle of its mending is followed by another.
    let job = die_at(&host, "starting", &["vm", "new", "web", "--image", "micro", "--no-wait"]);
    let made = host.row("web").unwrap();
    for step in ["marked", "undefined"] {
        assert!(host.serve_until(step).is_none(), "{step}: it serves before it has mended");
        assert_eq!(host.row("web").as_ref(), Some(&made), "{step}");
        check_database(&host.place, step);
    }
    assert!(host.serve_until("forgotten").is_none());
    let serving = host.serve();
    host.check(&[made], "mended at last");
    keeper.check(&host, &serving, "mended at last");
    assert_interrupted(&host, &serving, job, "mended at last");
}

#[test]
fn killed_at_moments_between_the_steps() {
    let host = Host::new();
    let keeper = Keeper::make(&host);
    // Within what the driver does, too: an order takes about a second.
    for moment in [0, 30, 70, 120, 180, 250, 350, 500, 800, 1300] {
        let when = format!("killed after {moment} ms");
        let serving = host.serve();
        let mut asking = host.ask(serving.port, &["vm", "new", "web", "--image", "micro", "--no-wait"]);
        std::thread::sleep(Duration::from_millis(150 + moment));
        serving.kill();
        asking.wait().unwrap();
        let left = host.row("web");
        let serving = host.serve();
        host.check(left.as_slice(), &when);
        keeper.check(&host, &serving, &when);
        let Some(made) = host.row("web") else {
            serving.kill();
            continue;
        };
        // What is not undone is whole.
        assert_eq!(host.json(serving.port, &["vm", "show", "web"])["state"], "running", "{when}");
        let mut asking = host.ask(serving.port, &["vm", "destroy", "web", "--yes", "--no-wait"]);
        std::thread::sleep(Duration::from_millis(150 + moment / 2));
        serving.kill();
        asking.wait().unwrap();
        let serving = host.serve();
        host.check(std::slice::from_ref(&made), &format!("{when}, and again while it was destroyed"));
        if host.row("web").is_some() {
            host.place.ssh(serving.port, &["vm", "destroy", "web", "--yes"]).expect(0);
        }
        host.check(&[made], &when);
        serving.kill();
    }
}

#[test]
fn killed_while_it_starts_for_the_first_time() {
    let place = Place::new();
    for moment in 0..16 {
        let mut starting = place.command(&["serve"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(moment * 40));
        starting.kill().unwrap();
        starting.wait().unwrap();
        if place.path("data/twarga.db").exists() {
            check_database(&place, &format!("killed {} ms after its first start", moment * 40));
        }
    }
    let serving = place.serve();
    // Whoever owns the host gets in, though a password may have been made that
    // nobody saw.
    place.feed(&["user", "passwd", "admin", "--password-stdin"], "seven brown foxes").expect(0);
    let accounts: i64 = place.database().query_row("SELECT count(*) FROM users", [], |r| r.get(0)).unwrap();
    assert_eq!(accounts, 1);
    assert_eq!(serving.terminate(), 0);
    check_database(&place, "killed at first starts");
}

/// The schema of a while ago, with somebody's account in it.
fn old_database(place: &Place) {
    let key = std::fs::read_to_string(place.keygen("id").with_extension("pub")).unwrap();
    let line: Vec<_> = key.split_whitespace().take(2).collect();
    let said = Command::new("ssh-keygen").arg("-lf").arg(place.path("id.pub")).output().unwrap().stdout;
    let fingerprint = String::from_utf8(said).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    std::fs::create_dir_all(place.path("data")).unwrap();
    let db = place.database();
    db.execute_batch(include_str!("../migrations/0001_accounts.sql")).unwrap();
    db.execute("INSERT INTO users (id, name, role, created_at) VALUES (1, 'admin', 'admin', 1)", []).unwrap();
    let sql = "INSERT INTO ssh_keys (user_id, algorithm, fingerprint, note, line, created_at)
        VALUES (1, 'ssh-ed25519', ?1, '', ?2, 1)";
    db.execute(sql, (fingerprint, line.join(" "))).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
}

#[test]
fn killed_while_it_migrates() {
    let place = Place::new();
    old_database(&place);
    let version =
        || -> i64 { place.database().pragma_query_value(None, "user_version", |r| r.get(0)).unwrap() };
    // Before a migration is whole nothing of it is there, and after it all.
    for (step, after) in [("migrating", 1), ("migrated", 2), ("migrating", 2), ("migrated", 3)] {
        let mut command = place.command(&["serve"]);
        command.env("TWARGA_DIE_AT", step);
        assert!(Serving::try_start(command).is_none(), "{step}: it does not die");
        assert_eq!(version(), after, "{step}");
        check_database(&place, step);
    }
    let serving = place.serve();
    assert_eq!(version(), i64::try_from(twarga::store::SCHEMA_VERSION).unwrap());
    assert_eq!(place.ssh(serving.port, &["whoami"]).expect(0).stdout, "admin\n");
    assert_eq!(serving.terminate(), 0);
}

#[test]
fn what_was_answered_is_there_after_a_kill_among_many_writes() {
    let place = Place::new();
    place.init_with_key();
    let mut made: Vec<String> = Vec::new();
    for round in 0..4 {
        let serving = place.serve();
        // Four shells that make accounts, line after line.
        let shells: Vec<_> =
            (0..4).map(|shell| busy_shell(&place, serving.port, &format!("r{round}s{shell}"))).collect();
        let until = Instant::now() + Duration::from_secs(60);
        let heard = || shells.iter().map(|s| s.heard.lock().unwrap().len()).sum::<usize>();
        while heard() < 10 + 7 * round {
            assert!(Instant::now() < until, "round {round}: only {} answers", heard());
            std::thread::sleep(Duration::from_millis(5));
        }
        serving.kill();
        for shell in shells {
            made.extend(shell.end());
        }
        check_database(&place, &format!("round {round}"));
        let db = place.database();
        for name in &made {
            let there: i64 =
                db.query_row("SELECT count(*) FROM users WHERE name = ?1", [name], |r| r.get(0)).unwrap();
            assert_eq!(there, 1, "round {round}: {name} was answered and is lost");
        }
    }
    let serving = place.serve();
    let users = place.ssh(serving.port, &["user", "ls", "--json"]).expect(0).stdout;
    let users: serde_json::Value = serde_json::from_str(&users).unwrap();
    assert!(users.as_array().unwrap().len() > made.len());
    assert_eq!(serving.terminate(), 0);
}

/// A shell that is fed with commands; what it answered with.
struct BusyShell {
    child: Child,
    heard: Arc<Mutex<Vec<String>>>,
    listening: JoinHandle<()>,
}

fn busy_shell(place: &Place, port: u16, prefix: &str) -> BusyShell {
    let mut command = place.ssh_command(port, &[]);
    command.arg("-T").stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = (0..500).map(|i| format!("user new {prefix}n{i} --json\n")).collect();
    std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let (heard, stdout) = (Arc::<Mutex<Vec<String>>>::default(), child.stdout.take().unwrap());
    let into = Arc::clone(&heard);
    let listening = std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The last answer may have come in half.
            if let Ok(answer) = serde_json::from_str::<serde_json::Value>(&line) {
                into.lock().unwrap().push(answer["name"].as_str().unwrap().to_owned());
            }
        }
    });
    BusyShell { child, heard, listening }
}

impl BusyShell {
    fn end(mut self) -> Vec<String> {
        self.listening.join().unwrap();
        self.child.wait().unwrap();
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}
