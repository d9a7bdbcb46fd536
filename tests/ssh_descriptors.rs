//! Alone in its process, because it takes the process's descriptors away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::fs::File;
use std::net::TcpStream;

use common::{mock, stderr, stdout, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// russh's own accept loop ends for good when an `accept` fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_shortage_of_descriptors_passes() {
    let (portal, _driver) = mock().await;
    let alice = portal.user_with_key("alice", "user").await;
    let out = portal.run(&alice, "alice", &["whoami"]).await;
    assert_eq!(stdout(&out), "alice\n", "{}", stderr(&out));
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..before }).unwrap();
    for spare in 0..8 {
        let mut hogs: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        assert!(!hogs.is_empty(), "nothing was taken away");
        // Each of these needs a descriptor here and one in the portal.
        hogs.truncate(hogs.len().saturating_sub(spare));
        let waiting: Vec<_> = (0..4).map(|_| TcpStream::connect(portal.address)).collect();
        tokio::time::sleep(std::time::Duration::from_millis(80)).await;
        drop((waiting, hogs));
    }
    setrlimit(Resource::Nofile, before).unwrap();
    until("it recovers", async || stdout(&portal.run(&alice, "alice", &["whoami"]).await) == "alice\n").await;
}
