//! One-shot commands and lines from a pipe, by a real OpenSSH client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{json, mock, status, stderr, stdout};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::ChildStdout;
use twarga::driver::mock::Op;
use twarga::error::{Code, Error};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_answers_and_ends_with_its_status() {
    let (portal, _driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    let out = portal.run(&key, "alice", &["whoami"]).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (0, "alice\n"));
    let out = portal.run(&key, "alice", &["vm", "show", "web9"]).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (3, ""));
    assert_eq!(stderr(&out), "No VM called “web9”. `vm ls` shows yours.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_sessions_that_make_one_name_one_wins() {
    let (portal, _driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    for round in 0..3 {
        let order = ["vm", "new", &format!("web{round}"), "--json"];
        let (one, other) = tokio::join!(portal.run(&key, "alice", &order), portal.run(&key, "alice", &order));
        let (won, lost) = if status(&one) == 0 { (one, other) } else { (other, one) };
        assert_eq!(json(&won)["state"], "running");
        assert_eq!((status(&lost), stdout(&lost).as_str()), (4, ""), "{}", stderr(&lost));
        let error: serde_json::Value = serde_json::from_slice(&lost.stderr).unwrap();
        assert_eq!(error["error"]["code"], "exists");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_failed_is_done_again() {
    let (portal, driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    let mut gate = driver.hold(Op::Define);
    let job = json(&portal.run(&key, "alice", &["vm", "new", "web1", "--no-wait", "--json"]).await);
    gate.reached(1).await;
    let id = job["id"].to_string();
    let out = portal.run(&key, "alice", &["job", "retry", &id]).await;
    assert_eq!(status(&out), 4);
    assert!(
        stderr(&out).contains("is still at work") && stderr(&out).contains("job watch"),
        "{}",
        stderr(&out)
    );
    // The driver fails once it may go on, so that the job ends either way.
    driver.fail_next(Op::Define, Error::new(Code::BackendUnavailable, "It is away."));
    gate.open();
    let watched = portal.run(&key, "alice", &["job", "watch", &id]).await;
    assert_eq!(status(&watched), 7, "{}", stderr(&watched));
    // It waits for the end, as any command that begins a job.
    let done = json(&portal.run(&key, "alice", &["job", "retry", &id, "--json"]).await);
    assert_eq!((done["action"].as_str(), done["state"].as_str()), (Some("vm.new"), Some("succeeded")));
    assert_eq!(json(&portal.run(&key, "alice", &["vm", "show", "web1", "--json"]).await)["state"], "running");
    let out = portal.run(&key, "alice", &["job", "retry", "99"]).await;
    assert_eq!(status(&out), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_document_and_errors_go_beside_it() {
    let (portal, _driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    let vm = json(&portal.run(&key, "alice", &["vm", "new", "web1", "--json"]).await);
    assert_eq!((vm["name"].as_str(), vm["state"].as_str()), (Some("web1"), Some("running")));
    let all = json(&portal.run(&key, "alice", &["vm", "ls", "--json"]).await);
    assert_eq!(all.as_array().map(Vec::len), Some(1));
    let out = portal.run(&key, "alice", &["vm", "show", "web9", "--json"]).await;
    let error: serde_json::Value = serde_json::from_slice(&out.stderr).unwrap();
    assert_eq!((status(&out), error["error"]["code"].as_str()), (3, Some("vm.not_found")));
    assert!(out.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let bob = portal.user_with_key("bob", "user").await;
    let shell =
        portal.ssh(&alice).args(["-T", "alice@127.0.0.1"]).stdin(std::process::Stdio::piped()).spawn();
    let shell = shell.unwrap();
    let mut id = String::new();
    let ask = async || json(&portal.run(&alice, "alice", &["session", "ls", "--json"]).await);
    for _ in 0..500 {
        let listed = ask().await;
        let other = listed.as_array().unwrap().iter().find(|s| s["current"] == false).cloned();
        if let Some(other) = other {
            assert_eq!((&other["user"], &other["source_ip"]), (&"alice".into(), &"127.0.0.1".into()));
            other["id"].as_str().unwrap().clone_into(&mut id);
            break;
        }
    }
    let kill = ["session", "kill", id.as_str()];
    assert_eq!(status(&portal.run(&bob, "bob", &kill).await), 3);
    let out = portal.run(&alice, "alice", &kill).await;
    assert_eq!(stdout(&out), format!("The session {id} of alice is ended.\n"));
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), shell.wait_with_output()).await;
    assert!(stderr(&ended.expect("it lives on").unwrap()).contains("This session was ended."));
    assert_eq!(status(&portal.run(&alice, "alice", &kill).await), 3);
    let table = stdout(&portal.run(&alice, "alice", &["session", "ls"]).await);
    assert!(table.starts_with("ID ") && table.lines().count() == 2, "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn preferences_are_shown_and_set() {
    let (portal, _driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    let out = portal.run(&key, "alice", &["account", "set", "theme", "dark"]).await;
    assert_eq!((status(&out), stdout(&out).as_str()), (0, "theme is dark.\n"));
    let set = json(&portal.run(&key, "alice", &["account", "set", "prefix", "'ctrl-\\'", "--json"]).await);
    assert_eq!(set["prefix"], "ctrl-\\");
    let all = json(&portal.run(&key, "alice", &["account", "prefs", "--json"]).await);
    assert_eq!(all, set);
    assert_eq!(
        (&all["theme"], &all["mouse"], &all["time_zone"]),
        (&"dark".into(), &"on".into(), &"UTC".into())
    );
    let table = stdout(&portal.run(&key, "alice", &["account", "prefs"]).await);
    assert!(table.contains("theme      dark"), "{table}");
    for (words, hint) in
        [(["set", "theme", "drak"], "`dark`"), (["set", "time_zone", "Europe/Berln"], "Berlin")]
    {
        let out = portal.run(&key, "alice", &[&["account"], &words[..]].concat()).await;
        assert_eq!((status(&out), stdout(&out).as_str()), (2, ""));
        assert!(stderr(&out).contains(hint), "{}", stderr(&out));
    }
}

/// Reads lines until one is as wished.
async fn line_with(lines: &mut Lines<BufReader<ChildStdout>>, wished: &str) -> String {
    let found = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it ended");
            if line.contains(wished) {
                return line;
            }
        }
    };
    tokio::time::timeout(common::PATIENCE, found).await.unwrap_or_else(|_| panic!("never {wished}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_they_happen_until_the_client_hangs_up() {
    let (portal, _driver) = mock().await;
    let key = portal.user_with_key("alice", "user").await;
    let begin = |flags: &[&str]| {
        let mut child =
            portal.ssh(&key).args(["alice@127.0.0.1", "event", "tail"]).args(flags).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    };
    let (mut plain, mut plain_lines) = begin(&["--action", "'key.*'"]);
    let (_json, mut json_lines) = begin(&["--json"]);
    line_with(&mut json_lines, "event.tail").await;
    // Both are there to hear it once alice's two acts are told.
    common::until("both follow", async || {
        let out = portal.run(&key, "alice", &["event", "ls", "--action", "event.tail", "--json"]).await;
        json(&out).as_array().unwrap().len() == 2
    })
    .await;
    let out = portal.run(&key, "alice", &["key", "rm", "99"]).await;
    assert_eq!(status(&out), 3);
    let line = line_with(&mut plain_lines, "key.rm").await;
    assert!(line.contains("failure  alice") && line.ends_with("No key “99”."), "{line}");
    let document: serde_json::Value =
        serde_json::from_str(&line_with(&mut json_lines, "key.rm").await).unwrap();
    assert_eq!((&document["action"], &document["outcome"]), (&"key.rm".into(), &"failure".into()));
    assert_eq!(document["details"]["keys"], serde_json::json!(["99"]));
    plain.kill().await.unwrap();
    common::until("the connection is forgotten", async || portal.portal.sessions().list().len() == 2).await;
    // Among other commands it would never let the next one run.
    let out = portal.run_with(&key, "alice", &["-T"], b"event tail\nwhoami\n").await;
    assert!(stderr(&out).contains("never ends") && stdout(&out) == "alice\n", "{}", stderr(&out));
}
