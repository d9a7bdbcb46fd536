//! The whole screen over a session's ends, a real portal behind it and a
//! terminal's emulation at the far end.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::action::account::{AccountPasswd, AccountSet};
use crate::action::event::EventLs;
use crate::config::Config;
use crate::driver::mock::{MockDriver, Op};
use crate::model::Setting;
use crate::portal::{Portal, Principal};
use crate::store::Store;
use crate::term::{self, Input, Output, Terminal, WindowSize};
use crate::tui::session;

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// An image as the catalogue wants it.
fn make_image(data_dir: &Path, name: &str) {
    let mut manifest = String::from(
        "description = \"Boots nothing\"\nssh_user = \"root\"\nkernel_args = \"\"\nmin_ram_mb = 64\nmin_disk_gb = 1\nguest_agent = false\nbuilt_at_ms = 0\n",
    );
    let files = ["kernel", "initrd", "disk.qcow2"];
    for file in files {
        let _ = write!(
            manifest,
            "[files.\"{file}\"]\nbytes = {}\nsha256 = \"{}\"\n",
            file.len(),
            hex(file.as_bytes())
        );
    }
    let digest = hex(manifest.as_bytes());
    let dir = data_dir.join("images").join(name);
    std::fs::create_dir_all(dir.join(&digest)).unwrap();
    for file in files {
        std::fs::write(dir.join(&digest).join(file), file).unwrap();
    }
    std::fs::write(dir.join(&digest).join("manifest.toml"), manifest).unwrap();
    std::fs::write(dir.join("current"), digest).unwrap();
}

struct House {
    portal: Portal,
    who: Principal,
    driver: MockDriver,
    _dir: tempfile::TempDir,
}

impl House {
    async fn new() -> House {
        let dir = tempfile::tempdir().unwrap();
        make_image(dir.path(), "micro");
        let config = Config {
            data_dir: dir.path().to_owned(),
            host_key_dir: dir.path().join("keys"),
            sample_s: 1,
            ..Config::default()
        };
        let store = Store::open(&dir.path().join("twarga.db")).unwrap();
        let driver = MockDriver::new();
        let portal = Portal::open(config, store, Arc::new(driver.clone())).await.unwrap();
        let old = portal.ensure_admin().await.unwrap().unwrap();
        let from = "127.0.0.1".parse().unwrap();
        let who = portal.login(from).password("admin", old.clone()).await.principal().unwrap();
        let new = String::from("seven brown foxes").into();
        portal.perform(&who, AccountPasswd { old: Some(old), new }).await.unwrap();
        let start = AccountSet { key: Setting::Start, value: "vms".into() };
        portal.perform(&who, start).await.unwrap();
        portal.start_background();
        House { portal, who, driver, _dir: dir }
    }

    /// Waits until such an act has succeeded.
    async fn until_done(&self, action: &str) {
        let filter = || EventLs {
            since: None,
            severity: None,
            actor: None,
            action: Some(action.to_owned()),
            attempts: false,
            limit: 1,
        };
        let looking = async {
            while self.portal.perform(&self.who, filter()).await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap();
    }

    /// Somebody at a terminal of that size.
    fn sit_down(&self, cols: u16, rows: u16) -> Seat {
        let terminal =
            Terminal { term: "xterm-256color".into(), size: WindowSize { cols, rows }, modes: vec![] };
        let (mut stdio, input, output) = term::pair(Some(terminal), vec![]);
        let (portal, who) = (self.portal.clone(), self.who.clone());
        let running = tokio::spawn(async move {
            session(&portal, &who, &mut stdio).await;
        });
        let screen = vt100::Parser::new(rows.try_into().unwrap(), cols.try_into().unwrap(), 0);
        Seat { input, output, screen, running }
    }
}

struct Seat {
    input: mpsc::Sender<Input>,
    output: mpsc::Receiver<Output>,
    screen: vt100::Parser,
    running: JoinHandle<()>,
}

impl Seat {
    async fn press(&self, bytes: &'static str) {
        self.input.send(Input::Data(Bytes::from_static(bytes.as_bytes()))).await.unwrap();
    }

    fn text(&self) -> String {
        self.screen.screen().contents()
    }

    /// Reads until the screen is as wished.
    async fn until(&mut self, what: &str, wished: impl Fn(&str) -> bool) {
        let reading = async {
            while !wished(&self.screen.screen().contents()) {
                match self.output.recv().await {
                    Some(Output::Out(bytes) | Output::Err(bytes)) => self.screen.process(&bytes),
                    None => return false,
                }
            }
            true
        };
        let done = tokio::time::timeout(Duration::from_secs(20), reading).await;
        assert!(done == Ok(true), "waiting for {what}:\n{}", self.text());
    }

    async fn see(&mut self, what: &str) {
        self.until(what, |text| text.contains(what)).await;
    }

    /// Waits for the end, and looks at how the terminal is left.
    async fn end(mut self) {
        while let Some(Output::Out(bytes) | Output::Err(bytes)) = self.output.recv().await {
            self.screen.process(&bytes);
        }
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        self.running.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_nothing_to_a_vm_and_back() {
    let house = House::new().await;
    let mut seat = house.sit_down(80, 24);
    seat.see("Press n to make one.").await;
    assert!(seat.screen.screen().alternate_screen() && seat.screen.screen().bracketed_paste());
    seat.press("n").await;
    seat.see("Boots nothing").await;
    let mut gate = house.driver.hold(Op::Start);
    seat.press("\x13").await;
    gate.reached(1).await;
    seat.see("45% starting").await;
    seat.see("… 45%").await;
    gate.open();
    seat.see("✓ vm1 is ready.").await;
    seat.see("● running vm1").await;
    assert_eq!(seat.screen.screen().cursor_position(), (3, 0));
    // Another hand does something: it is seen without a key.
    let names = vec!["vm1".parse().unwrap()];
    house.portal.perform(&house.who, crate::action::vm::VmPause { names, no_wait: true }).await.unwrap();
    seat.see("‖ paused  vm1").await;
    seat.press("p").await;
    seat.see("vm1 goes on.").await;
    seat.press("d").await;
    seat.see("Type its name").await;
    seat.press("vm1\r").await;
    seat.see("vm1 is destroyed.").await;
    seat.see("No VMs yet.").await;
    seat.press("q").await;
    seat.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_and_the_jobs_tell_what_goes_on() {
    let house = House::new().await;
    let mut seat = house.sit_down(80, 24);
    seat.see("No VMs yet.").await;
    seat.press("1").await;
    seat.see("Welcome, admin. No VMs yet.").await;
    // The host is told at once, and what happened before.
    seat.see("Host    CPU").await;
    seat.see("✓ account.set").await;
    seat.press("n").await;
    seat.see("Boots nothing").await;
    let mut gate = house.driver.hold(Op::Start);
    seat.press("web\x13").await;
    gate.reached(1).await;
    seat.see("▸ vm.new web  █████░░░░░  45% starting").await;
    seat.press("3").await;
    seat.see("▸ running").await;
    seat.press("\r").await;
    seat.see("▸ starting").await;
    seat.press("\x1b").await;
    seat.see("STATE").await;
    seat.press("x").await;
    seat.see("Cancel vm.new of web?").await;
    seat.press("y").await;
    // The job must have heard of it before it may go on.
    house.until_done("job.cancel").await;
    gate.open();
    seat.see("× cancelled").await;
    seat.press("R").await;
    seat.see("✓ succeeded").await;
    seat.press("1").await;
    seat.see("● running web").await;
    seat.see("✓ job.retry").await;
    seat.press("\r").await;
    seat.see("VMs").await;
    seat.see("c console").await;
    seat.press("\x03").await;
    seat.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_told_with_their_hints() {
    let house = House::new().await;
    let mut seat = house.sit_down(80, 24);
    seat.see("No VMs yet.").await;
    let error = crate::error::Error::new(crate::error::Code::BackendUnavailable, "The host is full.");
    house.driver.fail_next(Op::Define, error);
    seat.press("n").await;
    seat.see("Boots nothing").await;
    seat.press("\x13").await;
    seat.see("! vm1: The host is full. Try again shortly").await;
    seat.press("\x03").await;
    seat.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_changes_is_filled() {
    let house = House::new().await;
    let mut seat = house.sit_down(80, 24);
    seat.see("No VMs yet.").await;
    for (cols, rows) in [(40, 12), (200, 50), (80, 24)] {
        seat.screen.screen_mut().set_size(rows.try_into().unwrap(), cols.try_into().unwrap());
        seat.input.send(Input::Resize(WindowSize { cols, rows })).await.unwrap();
        let foot = usize::from(rows) - if rows == 24 { 2 } else { 1 };
        seat.until("a footer at the foot", |text| {
            text.lines().nth(foot).is_some_and(|l| l.contains("q quit"))
                && text.lines().filter(|l| l.contains("q quit")).count() == 1
        })
        .await;
    }
    drop(seat.input.clone());
    seat.input.send(Input::Eof).await.unwrap();
    seat.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_read_gets_the_latest_and_not_all() {
    let house = House::new().await;
    let mut seat = house.sit_down(80, 24);
    seat.see("No VMs yet.").await;
    // Far more changes than there is room for frames, nobody reading.
    for _ in 0..60 {
        seat.press("?").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        seat.press("\r").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(seat.output.len() <= 16);
    seat.press("n").await;
    seat.see("New VM").await;
    house.who.session().kill.cancel();
    seat.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_over_the_screen_is_drawn_over() {
    let house = House::new().await;
    let mut seat = house.sit_down(80, 24);
    seat.see("No VMs yet.").await;
    house.who.session().announce("You will be cut off.");
    seat.screen.process(b"\r\nYou will be cut off.\r\n");
    seat.until("a clean screen", |text| {
        text.matches("You will be cut off.").count() == 1 && text.contains("! You will be cut off.")
    })
    .await;
    drop(seat.output);
    seat.running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_do_is_seen_as_it_happens() {
    use crate::action::key::KeyRm;
    let house = House::new().await;
    let mut seat = house.sit_down(120, 30);
    seat.press(":events\r").await;
    seat.see("event.tail").await;
    let key = String::from("99");
    house.portal.perform(&house.who, KeyRm { keys: vec![key] }).await.unwrap_err();
    seat.see("No key “99”.").await;
    // Both beside the table and in it.
    seat.until("the particulars", |text| text.matches("key.rm").count() == 2).await;
    seat.press(":admin\r\t\t\t\t\t\t").await;
    seat.see("database").await;
    seat.press("\x1b[Z").await;
    seat.see("this one").await;
    // Another connection comes while one looks.
    let mut other = house.portal.login("192.0.2.7".parse().unwrap());
    let other = other.password("admin", String::from("seven brown foxes").into()).await.principal().unwrap();
    seat.see("192.0.2.7").await;
    seat.press("Gd").await;
    seat.see("End your connection from 192.0.2.7").await;
    seat.press("y").await;
    seat.see("The connection of admin from 192.0.2.7 is ended.").await;
    assert!(other.session().kill.is_cancelled());
    seat.press("q").await;
    seat.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wishes_are_seen_at_once_and_stay() {
    use crate::action::account::AccountPrefs;
    let house = House::new().await;
    let mut seat = house.sit_down(80, 24);
    seat.press(":account\r\t\t\t").await;
    seat.see("‹ auto ›").await;
    let paper = |seat: &Seat| seat.screen.screen().cell(20, 70).unwrap().bgcolor();
    assert_eq!(paper(&seat), vt100::Color::Default);
    seat.press("\x1b[C\x1b[C").await;
    seat.see("‹ light ›").await;
    assert_eq!(paper(&seat), vt100::Color::Idx(231));
    seat.press("jjjjj\r\x15Europe/Berln\r").await;
    seat.see("Did you mean `Europe/Berlin`?").await;
    seat.press("\x7fin\r").await;
    seat.until("the zone is kept", |text| {
        !text.contains("Did you mean") && text.contains("Europe/Berlin") && !text.contains("leave it")
    })
    .await;
    let kept = house.portal.perform(&house.who, AccountPrefs {}).await.unwrap();
    assert_eq!((kept.theme.as_str(), kept.time_zone.name()), ("light", "Europe/Berlin"));
    seat.press("q").await;
    seat.end().await;
    let mut seat = house.sit_down(80, 24);
    seat.press(":account\r\t\t\t").await;
    seat.see("‹ light ›").await;
    assert_eq!(paper(&seat), vt100::Color::Idx(231));
    seat.press("q").await;
    seat.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_little_shall_move_figures_wait_and_keys_are_heard() {
    let house = House::new().await;
    for (key, value) in [(Setting::Motion, "reduced"), (Setting::Start, "events")] {
        house.portal.perform(&house.who, AccountSet { key, value: value.into() }).await.unwrap();
    }
    let mut seat = house.sit_down(80, 24);
    seat.see("account.set").await;
    // Events come by themselves, ten times a second; nobody does anything here.
    let acting = async {
        loop {
            let _ = house.portal.perform(&house.who, crate::action::account::AccountShow {}).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut frames = 0;
    let reading = async {
        let over = tokio::time::Instant::now() + Duration::from_secs(3);
        while let Ok(Some(Output::Out(bytes) | Output::Err(bytes))) =
            tokio::time::timeout_at(over, seat.output.recv()).await
        {
            seat.screen.process(&bytes);
            frames += 1;
        }
    };
    tokio::select! {
        () = acting => {}
        () = reading => {}
    }
    assert!(frames <= 2, "{frames} frames in three seconds");
    seat.press("?").await;
    seat.see("Keys: Events").await;
    seat.press("\x1b").await;
    seat.press("\x03").await;
    seat.end().await;
}
