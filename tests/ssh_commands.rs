//! One-shot commands and lines from a pipe, by a real OpenSSH client.

mod common;

use common::{json, mock, status, stderr, stdout};
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
