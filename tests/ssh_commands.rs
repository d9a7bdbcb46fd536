//! One-shot commands and lines from a pipe, by a real OpenSSH client.

mod common;

use common::{json, mock, status, stderr, stdout};

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
