//! Members who mean harm: channels, requests and bytes without end, answers
//! that nobody reads. The portal stays up, bounded, and answers others in time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod hostile_support;
#[path = "common/place.rs"]
mod place;
#[path = "common/wire.rs"]
mod wire;

use std::time::Duration;

use hostile_support::{PATIENCE, Site, is_closed};
use wire::{Message, Wire, Writer, channel_request, msg, open_session};

/// Sends messages until they are all sent, or the portal takes no more, or has
/// cut the connection; how many went.
async fn pour(writer: &mut Writer, messages: impl Iterator<Item = Vec<u8>>) -> usize {
    let mut sent = 0;
    for message in messages {
        let sending = tokio::time::timeout(Duration::from_secs(2), writer.packet(&message));
        match sending.await {
            Ok(Ok(())) => sent += 1,
            Ok(Err(_)) | Err(_) => break,
        }
    }
    sent
}

fn keepalive() -> Vec<u8> {
    Message::new(msg::GLOBAL_REQUEST).text("keepalive@openssh.com").byte(1).0
}

fn data(channel: u32, bytes: &[u8]) -> Vec<u8> {
    Message::new(msg::CHANNEL_DATA).int(channel).text(bytes).0
}

fn pty(channel: u32) -> Vec<u8> {
    let m = channel_request(channel, "pty-req", true).text("xterm-256color").int(80).int(24);
    m.int(0).int(0).text([0]).0
}

/// A connection with an open channel, split so that nobody has to read.
async fn with_channel(site: &Site, from: u8, window: u32) -> (Wire, u32) {
    let mut wire = site.sign_in(from).await;
    let channel = wire.open(0, window, 32 * 1024).await.unwrap();
    (wire, channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_channels_are_asked_for() {
    let site = Site::start("").await;
    let attack = async {
        let Wire { mut reader, mut writer, .. } = site.sign_in(2).await;
        let opens = (0..10_000).map(|n| open_session(n, 1 << 20, 32 * 1024));
        let asking = tokio::spawn(async move { (pour(&mut writer, opens).await, writer) });
        let (mut opened, mut refused) = (Vec::new(), 0);
        while opened.len() + refused < 10_000 {
            let kinds = [msg::CHANNEL_OPEN_CONFIRMATION, msg::CHANNEL_OPEN_FAILURE];
            let answer = reader.next_of(&kinds).await.unwrap();
            match answer[0] {
                msg::CHANNEL_OPEN_CONFIRMATION => opened.push(wire::int(&answer, 5)),
                _ => refused += 1,
            }
        }
        let (asked, mut writer) = asking.await.unwrap();
        // Those that are there still work.
        writer.packet(channel_request(opened[77], "exec", true).text("whoami").0).await.unwrap();
        let said = reader.next_of(&[msg::CHANNEL_DATA]).await.unwrap();
        assert_eq!(wire::field(&said, 5).0, b"admin\n");
        (asked, opened.len())
    };
    let (_, (asked, opened)) = site.bears("10,000 channels", attack).await;
    assert_eq!((asked, opened), (10_000, 128));
}

/// The answers pile up in the kernel, then nobody listens any more.
#[tokio::test(flavor = "multi_thread")]
async fn questions_whose_answers_nobody_reads() {
    let site = Site::start("").await;
    let attack = async {
        let mut held = Vec::new();
        for from in 2..6 {
            let mut wire = site.sign_in(from).await;
            pour(&mut wire.writer, (0..200_000).map(|_| keepalive())).await;
            held.push(wire);
            let mut wire = site.sign_in(from).await;
            pour(&mut wire.writer, (0..100_000).map(|n| open_session(n, 0, 0))).await;
            held.push(wire);
            let (mut wire, channel) = with_channel(&site, from, 1 << 20).await;
            pour(&mut wire.writer, (0..100_000).map(|_| pty(channel))).await;
            held.push(wire);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    site.bears("unread answers", attack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_keepalives() {
    let site = Site::start("").await;
    let attack = async {
        let Wire { mut reader, mut writer, .. } = site.sign_in(2).await;
        let asking =
            tokio::spawn(async move { (pour(&mut writer, (0..100_000).map(|_| keepalive())).await, writer) });
        for _ in 0..100_000 {
            reader.next_of(&[msg::REQUEST_FAILURE]).await.unwrap();
        }
        // Answers to nothing are let go.
        let (sent, mut writer) = asking.await.unwrap();
        let answers = [[msg::REQUEST_SUCCESS], [msg::REQUEST_FAILURE]];
        pour(&mut writer, (0..50_000).map(|n| answers[n % 2].to_vec())).await;
        writer.packet(keepalive()).await.unwrap();
        reader.next_of(&[msg::REQUEST_FAILURE]).await.unwrap();
        sent
    };
    assert_eq!(site.bears("keepalives", attack).await.1, 100_000);
}

/// 100,000 of each request that a channel takes, before and after it has a face.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_channel_requests() {
    let site = Site::start("").await;
    let floods = |channel: u32| {
        [
            channel_request(channel, "env", false).text("LC_X").text("x".repeat(200)).0,
            channel_request(channel, "window-change", false).int(70_000).int(0).int(1).int(1).0,
            channel_request(channel, "signal", false).text("INT").0,
            Message::new(msg::CHANNEL_WINDOW_ADJUST).int(channel).int(u32::MAX).0,
            channel_request(channel, "x", false).0,
        ]
    };
    let attack = async {
        for face in [None, Some("exec"), Some("shell"), Some("tui")] {
            for n in 0..5 {
                let (mut wire, channel) = with_channel(&site, 2, 1 << 20).await;
                let flood = &floods(channel)[n];
                match face {
                    None => {}
                    Some("exec") => {
                        wire.writer
                            .packet(channel_request(channel, "exec", true).text("whoami").0)
                            .await
                            .unwrap();
                    }
                    Some(face) => {
                        if face == "tui" {
                            wire.writer.packet(pty(channel)).await.unwrap();
                        }
                        wire.writer.packet(channel_request(channel, "shell", true).0).await.unwrap();
                    }
                }
                let Wire { mut reader, mut writer, .. } = wire;
                let reading = tokio::spawn(async move { while reader.packet().await.is_ok() {} });
                let times = if face == Some("shell") { 100_000 } else { 10_000 };
                pour(&mut writer, (0..times).map(|_| flood.clone())).await;
                reading.abort();
            }
        }
    };
    site.bears("channel requests", attack).await;
}

/// Terminals, lines, commands and jumps whose output nobody takes: neither from
/// the channel, whose window is shut, nor from the connection.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_read() {
    let site = Site::start("").await;
    let attack = async {
        let mut held = Vec::new();
        for window in [0, 1, u32::MAX] {
            for kind in ["tui", "lines", "exec", "jump", "nothing"] {
                let (mut wire, channel) = with_channel(&site, 2, window).await;
                let writer = &mut wire.writer;
                if kind == "tui" {
                    writer.packet(pty(channel)).await.unwrap();
                }
                let lines = data(channel, "help\nevent ls --limit 100\n".repeat(100).as_bytes());
                match kind {
                    "tui" | "lines" => {
                        writer.packet(channel_request(channel, "shell", true).0).await.unwrap()
                    }
                    "exec" => {
                        writer.packet(channel_request(channel, "exec", true).text("help").0).await.unwrap()
                    }
                    _ => {}
                }
                pour(writer, (0..300).map(|_| lines.clone())).await;
                if kind == "jump" {
                    let open = |n| {
                        let m = Message::new(msg::CHANNEL_OPEN).text("direct-tcpip").int(n).int(0).int(0);
                        m.text("web1").int(22).text("127.0.0.1").int(1).0
                    };
                    pour(writer, (0..10_000).map(open)).await;
                }
                held.push(wire);
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    site.bears("clients that never read", attack).await;
}

/// Every channel's face waits for its client to read, and the client sends: the
/// portal may take only so much of it.
#[tokio::test(flavor = "multi_thread")]
async fn input_for_faces_that_do_not_take_it() {
    let site = Site::start("").await;
    let attack = async {
        let mut wire = site.sign_in(2).await;
        let mut channels = Vec::new();
        for n in 0..100 {
            let channel = wire.open(n, 0, 32 * 1024).await.unwrap();
            channels.push(channel);
            wire.writer.packet(channel_request(channel, "shell", true).0).await.unwrap();
            // More output than is kept for a client that does not read.
            wire.writer.packet(data(channel, "help\n".repeat(2000).as_bytes())).await.unwrap();
        }
        let sent = data(0, &[b'x'; 250_000]);
        let all = channels.iter().flat_map(|channel| {
            let mut message = sent.clone();
            message[1..5].copy_from_slice(&channel.to_be_bytes());
            std::iter::repeat_n(message, 90)
        });
        let sent = pour(&mut wire.writer, all).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        sent
    };
    let (_, sent) = site.bears("input that nobody takes", attack).await;
    assert!(sent > 20, "{sent} messages went");
}

/// Whoever says goodbye and stays is gone all the same.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_goodbye_and_stays() {
    let site = Site::start("login_grace_s = 2\nidle_timeout_s = 3").await;
    let bye = Message::new(msg::DISCONNECT).int(11).text("bye").text("").0;
    let before = site.descriptors();
    let mut stranger = Wire::connect(site.address, 2).await.unwrap();
    let mut member = site.sign_in(3).await;
    for wire in [&mut stranger, &mut member] {
        wire.writer.packet(&bye).await.unwrap();
        is_closed("a goodbye", wire).await;
    }
    // What still comes from them is for nobody.
    for wire in [&mut stranger, &mut member] {
        let gone = async { while wire.writer.packet(keepalive()).await.is_ok() {} };
        tokio::time::timeout(PATIENCE, gone).await.expect("it still takes what comes");
    }
    site.nothing_is_left("goodbyes", before).await;
}
