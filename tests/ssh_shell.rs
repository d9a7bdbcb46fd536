//! The words of the contract: what commands say, where, and how they end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::pty::Pty;
use common::{TestPortal, json, mock, mock_with, status, stderr, stdout, until};
use serde_json::Value;
use twarga::driver::mock::{MockDriver, Op};

/// A portal with alice in it.
async fn with_alice() -> (TestPortal, Arc<MockDriver>, PathBuf) {
    let (portal, driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    (portal, driver, alice)
}

/// One command of alice's: status, output, errors.
async fn say(portal: &TestPortal, key: &Path, line: &str) -> (i32, String, String) {
    let out = portal.run(key, "alice", &[line]).await;
    (status(&out), stdout(&out), stderr(&out))
}

/// The stable code of an error, of a command that ends with that status.
async fn code(portal: &TestPortal, key: &Path, line: &str, exit: i32) -> String {
    let (status, out, err) = say(portal, key, &format!("{line} --json")).await;
    assert_eq!((status, out.as_str()), (exit, ""), "{line}: {err}");
    // Progress may stand before it.
    let error: Value = serde_json::from_str(err.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{line}: {e}: {err}"));
    assert!(error["error"]["message"].is_string() && error["error"]["hint"].is_string());
    error["error"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_from_a_pipe_run_one_after_another_and_the_last_one_counts() {
    let (portal, _driver, alice) = with_alice().await;
    let run = async |lines: &str| portal.run_with(&alice, "alice", &["-T"], lines.as_bytes()).await;
    let out = run("# a comment\n\nwhoami\r\n   \n  # another\nvm new web1\nvm ls --json\n").await;
    let lines: Vec<_> = stdout(&out).lines().map(str::to_owned).collect();
    assert_eq!((status(&out), lines[0].as_str()), (0, "alice"));
    assert_eq!(serde_json::from_str::<Value>(lines.last().unwrap()).unwrap()[0]["name"], "web1");
    let out = run("vm show web9\nwhoami\n").await;
    assert_eq!((status(&out), stdout(&out).as_str()), (0, "alice\n"));
    let out = run("whoami\nvm show web9").await;
    assert_eq!((status(&out), stdout(&out).as_str()), (3, "alice\n"));
    let out = run("whoami\nexit\nwhoami\n").await;
    assert_eq!((status(&out), stdout(&out).as_str()), (0, "alice\n"));
    assert_eq!(status(&run("").await), 0);
    assert_eq!(status(&run(&"x".repeat(100_000)).await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_from_a_pipe_are_not_read_as_input_nor_as_a_yes() {
    let (portal, _driver, alice) = with_alice().await;
    let run = async |lines: &str| portal.run_with(&alice, "alice", &["-T"], lines.as_bytes()).await;
    let out = run("key add -\nssh-ed25519 AAAA x\n").await;
    assert_eq!(status(&out), 2);
    assert!(stderr(&out).contains("Standard input holds the commands here."), "{}", stderr(&out));
    assert_eq!(status(&run("vm new web1\n").await), 0);
    let out = run("vm destroy web1\ny\nyes\n").await;
    assert!(
        stderr(&out).contains("--yes") || stderr(&out).contains("Nothing was destroyed"),
        "{}",
        stderr(&out)
    );
    assert_eq!(say(&portal, &alice, "vm show web1").await.0, 0);
    let (code, _, err) = say(&portal, &alice, "vm destroy web1").await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--yes"), "{err}");
    assert_eq!(status(&run("vm destroy web1 --yes\n").await), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn help_helps() {
    let (portal, _driver, alice) = with_alice().await;
    for (line, holds) in [
        ("help", "NOUN VERB"),
        ("help vm", "destroy"),
        ("help vm new", "--image"),
        ("help guide", "#"),
        ("vm new --help", "--image"),
        ("vm --help", "destroy"),
    ] {
        let (status, out, err) = say(&portal, &alice, line).await;
        assert_eq!((status, err.as_str()), (0, ""), "{line}");
        assert!(out.contains(holds), "{line}: {out}");
    }
    let (status, out, err) = say(&portal, &alice, "help vm nww").await;
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("new"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_mistyped_gets_the_nearest_word() {
    let (portal, _driver, alice) = with_alice().await;
    for (line, hint) in
        [("vn ls", "`vm`"), ("vm lst", "`ls`"), ("vm ls --jsno", "--json"), ("vm new a --imgae x", "--image")]
    {
        let (status, out, err) = say(&portal, &alice, line).await;
        assert_eq!((status, out.as_str()), (2, ""), "{line}");
        assert!(err.contains(hint), "{line}: {err}");
    }
    assert_eq!(code(&portal, &alice, "vn ls", 2).await, "usage.unknown_command");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_cannot_be_are_refused_in_clean_words() {
    let (portal, driver, alice) = with_alice().await;
    let long = "x".repeat(10_000);
    for name in
        ["../x", "'a b'", "\u{1b}[31mred", "'a\tb'", "-x", "UPPER", "\u{202e}evil", "a/b", "''", &long]
    {
        for line in [format!("vm new {name}"), format!("vm show {name}"), format!("vm destroy {name} --yes")]
        {
            let (status, out, err) = say(&portal, &alice, &line).await;
            assert_eq!((status, out.as_str()), (2, ""), "{line:.40?}: {err}");
            assert!(!err.trim_end().chars().any(twarga::model::text::is_unsafe), "{err:?}");
            assert!(err.len() < 500, "{}", err.len());
        }
    }
    assert_eq!(driver.calls(Op::Prepare), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_exactly_one_document_for_every_verb() {
    let (portal, _driver, alice) = with_alice().await;
    let admin = portal.user_with_key("root", "admin").await;
    let lists = ["vm ls", "image ls", "plan ls", "job ls", "key ls", "event ls", "vm ls --all", "ls"];
    let things = [
        "whoami",
        "account show",
        "plan limits",
        "vm new web1",
        "vm show web1",
        "vm pause web1",
        "vm resume web1",
        "vm stop web1 --force",
        "vm start web1",
        "vm restart web1",
        "vm stats web1",
        "job show 1",
        "job watch 1",
        "event show 1",
    ];
    for line in things {
        // Events and jobs of the lowest numbers are not alice's.
        let (key, who) = if line.ends_with(" 1") { (&admin, "root") } else { (&alice, "alice") };
        let found = json(&portal.run(key, who, &[line, "--json"]).await);
        assert!(found.is_object(), "{line}: {found}");
    }
    for line in lists {
        assert!(json(&portal.run(&alice, "alice", &[line, "--json"]).await).is_array(), "{line}");
    }
    for line in ["user ls", "user show alice", "user new carol", "host show"] {
        json(&portal.run(&admin, "root", &[line, "--json"]).await);
    }
    let vm = json(&portal.run(&alice, "alice", &["vm", "show", "web1", "--json"]).await);
    let keys = "id name owner state image plan vcpus ram_mb disk_gb driver node ip ssh_host ssh_port ssh_user created_at uptime_s credits_per_hour tags";
    for key in keys.split(' ') {
        assert!(vm.get(key).is_some(), "{key} is missing: {vm}");
    }
    assert!(json(&portal.run(&alice, "alice", &["vm destroy web1 --yes --json"]).await).is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_failure_has_its_status() {
    let (portal, driver) = mock_with(|c| c.max_vms_per_user = 1).await;
    let alice = portal.user_with_key("alice", "user").await;
    assert_eq!(code(&portal, &alice, "vm new", 2).await, "usage");
    assert_eq!(code(&portal, &alice, "vm show web9", 3).await, "vm.not_found");
    assert_eq!(code(&portal, &alice, "job show 99", 3).await, "job.not_found");
    assert_eq!(code(&portal, &alice, "key rm 99", 3).await, "key.not_found");
    assert_eq!(code(&portal, &alice, "vm new a --image nosuch", 3).await, "image.not_found");
    assert_eq!(code(&portal, &alice, "vm new a --plan nosuch", 3).await, "plan.not_found");
    for line in ["user ls", "user show bob", "user new bob", "host show"] {
        assert_eq!(code(&portal, &alice, line, 5).await, "forbidden", "{line}");
    }
    driver.set_online(false);
    assert_eq!(code(&portal, &alice, "vm new web1", 7).await, "backend.unavailable");
    driver.set_online(true);
    until("what is left of it is gone", async || {
        let _ = say(&portal, &alice, "vm destroy web1 --yes").await;
        say(&portal, &alice, "vm show web1").await.0 == 3
    })
    .await;
    assert_eq!(say(&portal, &alice, "vm new web1").await.0, 0);
    assert_eq!(code(&portal, &alice, "vm new web2", 6).await, "quota");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_take_a_name_at_once_one_gets_it() {
    let (portal, _driver, alice) = with_alice().await;
    for round in 0..3 {
        let line = format!("vm new web{round}");
        let (one, two) = tokio::join!(say(&portal, &alice, &line), say(&portal, &alice, &line));
        let mut codes = [one.0, two.0];
        codes.sort_unstable();
        assert_eq!(codes, [0, 4], "{one:?} {two:?}");
    }
    assert_eq!(json(&portal.run(&alice, "alice", &["ls", "--json"]).await).as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_by_standard_input_and_private_ones_leave_no_trace() {
    let (portal, _driver, alice) = with_alice().await;
    let second = portal.keygen("second", &["-t", "ed25519"]);
    let public = std::fs::read(second.with_extension("pub")).unwrap();
    let private = std::fs::read_to_string(&second).unwrap();
    let add =
        async |input: &[u8]| portal.run_with(&alice, "alice", &["key", "add", "-", "--json"], input).await;
    for junk in [&b"hello"[..], b"", b"\xff\xfe", &[b'x'; 600_000], b"ssh-ed25519 AAAA"] {
        assert_eq!(status(&add(junk).await), 2);
    }
    let refused = add(private.as_bytes()).await;
    assert_eq!(status(&refused), 2);
    assert!(stderr(&refused).contains("private key"), "{}", stderr(&refused));
    let added = json(&add(&public).await);
    assert_eq!(status(&add(&public).await), 4);
    assert_eq!(status(&portal.run(&second, "alice", &["whoami"]).await), 0);
    let body = private.lines().nth(2).unwrap();
    assert!(!stderr(&refused).contains(body));
    let quoted = portal.run(&alice, "alice", &[&format!("key add '{private}'")]).await;
    assert_eq!(status(&quoted), 2);
    assert!(!stderr(&quoted).contains(body));
    for file in
        std::fs::read_dir(portal.portal.config().data_dir.as_path()).unwrap().map(|f| f.unwrap().path())
    {
        let content = std::fs::read(&file).unwrap_or_default();
        assert!(!content.windows(body.len()).any(|w| w == body.as_bytes()), "{}", file.display());
    }
    let line = format!("key rm {}", added["fingerprint"].as_str().unwrap());
    assert_eq!(say(&portal, &alice, &line).await.0, 0);
    assert_eq!(status(&portal.run(&second, "alice", &["whoami"]).await), 255);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_can_be_cancelled_and_leaves_nothing() {
    let (portal, driver, alice) = with_alice().await;
    let mut gate = driver.hold(Op::Prepare);
    let job = json(&portal.run(&alice, "alice", &["vm new web1 --no-wait --json"]).await);
    let id = job["id"].to_string();
    gate.reached(1).await;
    let busy = say(&portal, &alice, "vm destroy web1 --yes").await;
    assert_eq!(busy.0, 4, "{busy:?}");
    let cancel = format!("job cancel {id} --json");
    let words = [cancel.as_str()];
    let asked = async || {
        let asked = json(&portal.run(&alice, "alice", &["event ls --action job.cancel --json"]).await);
        asked.as_array().is_some_and(|a| a.iter().any(|e| e["outcome"] == "success"))
    };
    let (out, ()) = tokio::join!(portal.run(&alice, "alice", &words), async {
        until("the job is asked to stop", asked).await;
        gate.open();
    });
    assert_eq!(json(&out)["state"], "cancelled");
    assert_eq!(code(&portal, &alice, "vm show web1", 3).await, "vm.not_found");
    assert!(driver.folders().is_empty());
    assert_eq!(code(&portal, &alice, &format!("job cancel {id}"), 4).await, "job.state");
    assert_eq!(say(&portal, &alice, &format!("job watch {id}")).await.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_that_does_not_fit_the_state_says_what_does() {
    let (portal, _driver, alice) = with_alice().await;
    assert_eq!(say(&portal, &alice, "vm new web1").await.0, 0);
    for (before, wrong, hint) in [
        ("vm show web1", "vm start web1", "vm ssh web1"),
        ("vm show web1", "vm resume web1", "vm ssh web1"),
        ("vm pause web1", "vm pause web1", "vm resume web1"),
        ("vm show web1", "vm start web1", "vm resume web1"),
        ("vm resume web1", "vm resume web1", ""),
        ("vm stop web1 --force", "vm stop web1", "vm start web1"),
        ("vm show web1", "vm pause web1", "vm start web1"),
        ("vm show web1", "vm restart web1", "vm start web1"),
        ("vm show web1", "vm stats web1", "vm start web1"),
    ] {
        assert_eq!(say(&portal, &alice, before).await.0, 0, "{before}");
        let (status, out, err) = say(&portal, &alice, wrong).await;
        assert_eq!((status, out.as_str()), (4, ""), "{wrong}");
        assert!(err.contains(hint), "{wrong}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_names_all_are_there_or_none_is_touched() {
    let (portal, _driver, alice) = with_alice().await;
    for name in ["a", "b"] {
        assert_eq!(say(&portal, &alice, &format!("vm new {name}")).await.0, 0);
    }
    for verb in ["stop --force", "pause", "destroy --yes"] {
        assert_eq!(code(&portal, &alice, &format!("vm {verb} a nosuch b"), 3).await, "vm.not_found");
    }
    let running = |vms: Value| vms.as_array().unwrap().iter().filter(|v| v["state"] == "running").count();
    assert_eq!(running(json(&portal.run(&alice, "alice", &["vm ls --json"]).await)), 2);
    let both = json(&portal.run(&alice, "alice", &["vm stop a b --force --json"]).await);
    assert_eq!(both.as_array().unwrap().len(), 2);
    assert_eq!(say(&portal, &alice, "vm destroy a b --yes").await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_lines_in_a_pipe_and_a_bar_on_a_terminal() {
    let (portal, driver, alice) = with_alice().await;
    let (code, out, err) = say(&portal, &alice, "vm new quiet --json").await;
    assert_eq!((code, err.as_str()), (0, ""), "an error has to be the only document on standard error");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["name"], "quiet");
    // Held until it is followed: a quicker job has nothing to tell of.
    let mut gate = driver.hold(Op::Start);
    let follows = async || {
        let events = json(&portal.run(&alice, "alice", &["event ls --action job.watch --json"]).await);
        events.as_array().unwrap().iter().filter(|e| e["outcome"] == "success").count() >= 2
    };
    let ((code, _, err), ()) = tokio::join!(say(&portal, &alice, "vm new web1"), async {
        gate.reached(1).await;
        until("the job is followed", follows).await;
        gate.open();
    });
    assert_eq!(code, 0, "{err}");
    assert!(err.lines().count() >= 1 && !err.contains(['\r', '\u{1b}', '█']), "{err:?}");
    let mut gate = driver.hold(Op::Start);
    let mut pty = Pty::spawn(portal.ssh(&alice).args(["-t", "alice@127.0.0.1", "vm", "new", "web2"]));
    gate.reached(1).await;
    pty.shows("░").await;
    gate.open();
    pty.shows("web2 is ready").await;
    assert_eq!(pty.ended().await, 0);
    assert!(!pty.screen().contains('░'), "{}", pty.screen());
    let mut pty =
        Pty::spawn(portal.ssh(&alice).args(["-t", "alice@127.0.0.1", "vm", "destroy", "web1", "web2"]));
    pty.shows("web1, web2, with everything on the disk?").await;
    pty.shows("[y/N]").await;
    pty.send("n\r").await;
    assert_eq!(pty.ended().await, 1);
    let mut pty =
        Pty::spawn(portal.ssh(&alice).args(["-t", "alice@127.0.0.1", "vm", "destroy", "web1", "web2"]));
    pty.shows("[y/N]").await;
    pty.send("y\r").await;
    assert_eq!(pty.ended().await, 0, "{}", pty.screen());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_filtered_as_asked() {
    let (portal, _driver, alice) = with_alice().await;
    assert_eq!(say(&portal, &alice, "vm new web1").await.0, 0);
    assert_eq!(say(&portal, &alice, "vm show web9").await.0, 3);
    let ls = async |flags: &str| {
        let found = json(&portal.run(&alice, "alice", &[&format!("event ls {flags} --json")]).await);
        found.as_array().unwrap().clone()
    };
    let all = ls("").await;
    assert!(all.windows(2).all(|w| w[0]["id"].as_i64() > w[1]["id"].as_i64()), "the latest are first");
    assert!(ls("--action 'vm.*'").await.iter().all(|e| e["action"].as_str().unwrap().starts_with("vm.")));
    assert_eq!(ls("--action vm.new").await.len(), 1);
    assert!(ls("--severity low").await.iter().all(|e| e["severity"] != "info"));
    assert!(!ls("--severity low").await.is_empty());
    assert_eq!(ls("--limit 2").await.len(), 2);
    assert!(ls("--attempts").await.iter().any(|e| e["outcome"] == "unknown"));
    assert!(ls("--action \"' OR 1=1 --\"").await.is_empty());
    assert!(!ls("--since 1h").await.is_empty());
    for bad in ["--since yesterday", "--severity loud", "--limit 0", "--since -1h"] {
        assert_eq!(code(&portal, &alice, &format!("event ls {bad}"), 2).await, "usage", "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_that_people_make_up_have_bounds() {
    let (portal, _driver, alice) = with_alice().await;
    assert_eq!(code(&portal, &alice, "vm new big --ram 999999", 6).await, "quota");
    assert_eq!(say(&portal, &alice, "vm new good --ram 1024 --cpu 2").await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_command_makes_no_long_row_of_the_audit() {
    let (portal, _driver, alice) = with_alice().await;
    let names = |count: usize| (0..count).map(|i| format!("a{i:031}")).collect::<Vec<_>>().join(" ");
    assert_eq!(code(&portal, &alice, &format!("vm start {}", names(65)), 2).await, "usage");
    assert_eq!(code(&portal, &alice, &format!("vm start {}", names(64)), 3).await, "vm.not_found");
    let events = json(&portal.run(&alice, "alice", &["event ls --action vm.start --json"]).await);
    let target = events[0]["target"].as_str().unwrap();
    assert!(target.starts_with("a000") && target.chars().count() <= 300, "{}", target.len());
    let long = format!("event ls --action {}", "x".repeat(20_000));
    assert_eq!(say(&portal, &alice, &long).await.0, 0);
    let events = json(&portal.run(&alice, "alice", &["event ls --action event.ls --json"]).await);
    assert!(events.to_string().contains("left_out_bytes") && events.to_string().len() < 20_000);
}
