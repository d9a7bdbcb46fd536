//! Backpressure: whoever stops reading, on whichever side of whichever kind of
//! channel, holds up himself alone, costs a bounded amount of memory, and loses
//! nothing when he reads again. The guests are real sshds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
#[path = "support/sshd_driver.rs"]
#[allow(dead_code)]
mod sshd_driver;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::raw::{self, Client};
use common::{PATIENCE, TestPortal, status, stderr, stdout};
use russh::client::Msg;
use russh::{Channel, ChannelMsg};
use sha2::{Digest, Sha256};
use sshd_driver::SshdDriver;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// What another channel must answer in.
const SOON: Duration = Duration::from_secs(5);
/// More than every window and buffer on the way together.
const PLENTY: usize = 48 << 20;

async fn portal() -> (TestPortal, PathBuf) {
    let portal = TestPortal::start(Arc::new(SshdDriver::default()), |_| {}).await;
    portal.install_fake_image();
    let alice = portal.user_with_key("alice", "user").await;
    let made = portal.run(&alice, "alice", &["vm", "new", "web1"]).await;
    assert_eq!(status(&made), 0, "{}", stderr(&made));
    (portal, alice)
}

/// A command in the VM, by another channel of the connection, in time.
async fn still_answers(client: &Client) {
    let asked = raw::exec(client, "echo still here");
    let answer = tokio::time::timeout(SOON, asked).await.expect("another channel hangs");
    assert_eq!((answer.text().as_str(), answer.status), ("still here\n", Some(0)));
}

/// Sends without end until nobody takes it any more; how much was taken.
fn feed(channel: &Channel<Msg>, piece: usize) -> Arc<AtomicUsize> {
    let taken = Arc::new(AtomicUsize::new(0));
    let (told, mut writer) = (Arc::clone(&taken), channel.make_writer());
    tokio::spawn(async move {
        let bytes = vec![b'x'; piece];
        while writer.write_all(&bytes).await.is_ok() {
            told.fetch_add(piece, Ordering::Relaxed);
        }
    });
    taken
}

/// Waits until no more is taken; how much was.
async fn stalls(taken: &AtomicUsize) -> usize {
    let looks = async {
        let (mut last, mut same) = (0, 0);
        while same < 40 {
            tokio::time::sleep(Duration::from_millis(25)).await;
            let now = taken.load(Ordering::Relaxed);
            // A stopped reader's window trickles: a few bytes do not count.
            same = if now > 0 && now - last < 4096 { same + 1 } else { 0 };
            last = now;
            assert!(now < 1 << 30, "nobody reads, and all is taken");
        }
        last
    };
    tokio::time::timeout(PATIENCE, looks).await.expect("the sender does not stall")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_does_not_read_holds_up_no_other() {
    let (portal, alice) = portal().await;
    let client = raw::sign_in(&portal, "alice+web1", &alice).await;
    let deaf = client.channel_open_session().await.unwrap();
    deaf.exec(true, "sleep 1000").await.unwrap();
    let taken = feed(&deaf, 32 << 10);
    for _ in 0..10 {
        still_answers(&client).await;
    }
    let held = stalls(&taken).await;
    assert!(held < PLENTY, "{held} bytes were taken for a guest that reads none");
    still_answers(&client).await;
    // Bulk by another channel goes on beside it, both ways.
    let mut bulk = client.channel_open_session().await.unwrap();
    bulk.exec(true, "sha256sum").await.unwrap();
    let mut writer = bulk.make_writer();
    let sent = vec![b'y'; PLENTY / 3];
    tokio::time::timeout(PATIENCE, writer.write_all(&sent)).await.expect("bulk hangs").unwrap();
    bulk.eof().await.unwrap();
    let answer = raw::collect(&mut bulk).await;
    assert!(answer.text().starts_with(&hex(&Sha256::digest(&sent))), "{}", answer.text());
    assert!(taken.load(Ordering::Relaxed) < PLENTY);
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_of_a_few_bytes_are_no_way_round_it() {
    let (portal, alice) = portal().await;
    let client = raw::sign_in(&portal, "alice+web1", &alice).await;
    let deaf = client.channel_open_session().await.unwrap();
    deaf.exec(true, "sleep 1000").await.unwrap();
    let taken = feed(&deaf, 32);
    still_answers(&client).await;
    let held = stalls(&taken).await;
    assert!(held < PLENTY / 4, "{held}");
    still_answers(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_in_the_guest_that_does_not_read_holds_up_no_other() {
    let (portal, alice) = portal().await;
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = u32::from(deaf.local_addr().unwrap().port());
    // By `-L` of a way into the VM, and by a jump to another port of it.
    for (login, host) in [("alice+web1", "127.0.0.1"), ("alice", "web1")] {
        let client = raw::sign_in(&portal, login, &alice).await;
        let channel = client.channel_open_direct_tcpip(host, port, "127.0.0.1", 1).await.unwrap();
        let _kept = deaf.accept().await.unwrap();
        let taken = feed(&channel, 32 << 10);
        assert!(stalls(&taken).await < PLENTY, "{login}");
        let answer = tokio::time::timeout(SOON, raw::exec(&client, "whoami")).await.expect("hangs");
        assert_eq!(answer.status, Some(0), "{login}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_what_a_guest_says_holds_up_no_other() {
    let (portal, alice) = portal().await;
    let config =
        russh::client::Config { window_size: 64 << 10, channel_buffer_size: 4096, ..Default::default() };
    let mut client = raw::connect_as(&portal, config).await.unwrap();
    assert!(raw::try_key(&mut client, "alice+web1", &alice).await);
    let mut unread = client.channel_open_session().await.unwrap();
    unread.exec(true, format!("head -c {PLENTY} /dev/zero")).await.unwrap();
    for _ in 0..10 {
        still_answers(&client).await;
    }
    // And it is all there.
    let mut bytes = 0;
    while let Some(message) = unread.wait().await {
        if let ChannelMsg::Data { data } = message {
            bytes += data.len();
        }
    }
    assert_eq!(bytes, PLENTY);
}

/// `cat big | ssh alice+web1 cat | slow`: both ways full, then read again.
#[tokio::test(flavor = "multi_thread")]
async fn both_ways_full_come_loose_again() {
    let (portal, alice) = portal().await;
    let mut ssh = portal.ssh(&alice);
    let mut ssh = ssh.args(["alice+web1@127.0.0.1", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut out) = (ssh.stdin.take().unwrap(), ssh.stdout.take().unwrap());
    let taken = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&taken);
    tokio::spawn(async move {
        for _ in 0..PLENTY >> 15 {
            stdin.write_all(&[b'z'; 1 << 15]).await.unwrap();
            told.fetch_add(1 << 15, Ordering::Relaxed);
        }
    });
    assert!(stalls(&taken).await < PLENTY);
    let sum = tokio::time::timeout(PATIENCE, digest(&mut out)).await.expect("both ways hang");
    assert_eq!(sum, hex(&Sha256::digest(vec![b'z'; PLENTY])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_guest_gets_every_byte() {
    let (portal, alice) = portal().await;
    let bytes: Vec<u8> = (0..PLENTY as u32 / 4).flat_map(u32::to_le_bytes).collect();
    let sum = hex(&Sha256::digest(&bytes));
    let out = portal.run_with(&alice, "alice+web1", &["sleep 2; sha256sum"], &bytes).await;
    assert_eq!(stdout(&out).split(' ').next(), Some(sum.as_str()), "{}", stderr(&out));
}

/// The keys of a connection change every gigabyte (RFC 4253 §9), in both
/// directions at once, on both sides of the portal.
#[tokio::test(flavor = "multi_thread")]
async fn every_byte_arrives_across_rekeys() {
    const LENGTH: u64 = 3584 << 20;
    let (portal, alice) = portal().await;
    let mut ssh = portal.ssh(&alice);
    let mut ssh = ssh.args(["alice+web1@127.0.0.1", "cat"]).stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut out) = (ssh.stdin.take().unwrap(), ssh.stdout.take().unwrap());
    let sent = tokio::spawn(async move {
        let piece = vec![0; 1 << 20];
        let mut sum = Sha256::new();
        for _ in 0..LENGTH >> 20 {
            stdin.write_all(&piece).await.unwrap();
            sum.update(&piece);
        }
        hex(&sum.finalize())
    });
    let got = tokio::time::timeout(PATIENCE, digest(&mut out)).await.expect("the transfer hangs");
    assert_eq!(got, sent.await.unwrap());
    assert!(ssh.wait().await.unwrap().success());
}

async fn digest(from: &mut (impl AsyncRead + Unpin)) -> String {
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match from.read(&mut buffer).await.unwrap() {
            0 => return hex(&sum.finalize()),
            n => sum.update(&buffer[..n]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
