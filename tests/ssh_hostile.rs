//! Strangers who mean harm: whatever they send before the login, the portal
//! stays up, bounded, and answers others in time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod hostile_support;
#[path = "common/place.rs"]
mod place;
#[path = "common/wire.rs"]
mod wire;

use std::time::{Duration, Instant};

use hostile_support::{PATIENCE, Site, is_closed};
use wire::{Message, Wire, dial, kexinit, msg, password};

/// A version that never ends, one that is too long, lines that are none.
#[tokio::test(flavor = "multi_thread")]
async fn giant_versions_and_banners() {
    let site = Site::start("").await;
    let mut greetings = vec![
        vec![b'x'; 1 << 20],
        vec![b'\n'; 1 << 20],
        vec![0; 1 << 20],
        b"a line that is no version\r\n".repeat(40_000),
        [b"SSH-2.0-", &[b'v'; 1 << 20][..], b"\r\n"].concat(),
        [b"SSH-2.0-", &[b'v'; 300][..], b"\r\n"].concat(),
    ];
    greetings.push([b"SSH-1.5-", &[0xff; 200][..], b"\r\n"].concat());
    let attack = async {
        for (from, greeting) in (2..12).flat_map(|from| greetings.iter().map(move |g| (from, g))) {
            let mut wire = Wire::over(dial(site.address, from).await.unwrap());
            let _ = wire.writer.raw(greeting).await;
            is_closed("a giant greeting", &mut wire).await;
        }
    };
    site.bears("giant greetings", attack).await;
}

/// Half of everything: a version, a packet's length, a key exchange, a packet
/// that is enciphered.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_packet_and_then_silence() {
    let site = Site::start("login_grace_s = 2").await;
    let attack = async {
        let mut held = Vec::new();
        for from in 2..12 {
            for part in [&b"S"[..], b"SSH-2.0-x", b"SSH-2.0-x\r\n\0\0", b"SSH-2.0-x\r\n\0\x04\0\0\x05\x14"] {
                let mut wire = Wire::over(dial(site.address, from).await.unwrap());
                wire.writer.raw(part).await.unwrap();
                held.push(wire);
            }
            let mut wire = Wire::greet(site.address, from).await.unwrap();
            wire.writer.packet(kexinit()).await.unwrap();
            held.push(wire);
            let mut wire = Wire::connect(site.address, from).await.unwrap();
            let request = wire.writer.seal(&[b'x'; 200_000], None);
            wire.writer.raw(&request[..100_000]).await.unwrap();
            held.push(wire);
        }
        let started = Instant::now();
        for wire in &mut held {
            is_closed("half a packet", wire).await;
        }
        started.elapsed()
    };
    let (_, waited) = site.bears("half packets", attack).await;
    assert!(waited < Duration::from_secs(10), "the grace is 2 s: {waited:?}");
}

/// Whoever sends a byte at a time is let in if that makes sense within the
/// grace, and holds up nobody.
#[tokio::test(flavor = "multi_thread")]
async fn senders_of_single_bytes() {
    let site = Site::start("login_grace_s = 5").await;
    let attack = async {
        let mut slow = Vec::new();
        for from in 2..32 {
            let address = site.address;
            slow.push(tokio::spawn(async move {
                let mut wire = Wire::greet(address, from).await.unwrap();
                let packet = wire.writer.seal(&kexinit(), None);
                let drip = async {
                    for byte in packet.iter().cycle() {
                        if wire.writer.raw(&[*byte]).await.is_err() {
                            return;
                        }
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                };
                tokio::time::timeout(PATIENCE, drip).await.expect("a dripping connection stays");
            }));
        }
        let mut honest = Wire::connect(site.address, 100).await.unwrap();
        honest.ask_to_sign_in().await.unwrap();
        let request = honest.signed_request("admin", &site.key);
        for byte in honest.writer.seal(&request, None) {
            honest.writer.raw(&[byte]).await.unwrap();
        }
        honest.reader.next_of(&[msg::USERAUTH_SUCCESS]).await.unwrap();
        assert_eq!(honest.exec(0, "whoami").await.unwrap(), b"admin\n");
        for one in slow {
            one.await.unwrap();
        }
    };
    site.bears("single bytes", attack).await;
}

/// Every attempt is answered, and after 64 refusals the connection ends.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_login_attempts() {
    let site = Site::start("login_grace_s = 20").await;
    let request = |login: &str, method: &str| {
        Message::new(msg::USERAUTH_REQUEST).text(login).text("ssh-connection").text(method)
    };
    let odd_key = request("admin", "publickey").byte(0).text("ssh-rsa").text("no key").0;
    let floods = [
        request("admin", "none").0,
        request("admin", "telepathy").0,
        request("admin", "keyboard-interactive").text("").text("").0,
        odd_key,
        password("admin", "not this one"),
    ];
    let attack = async {
        let mut answered = Vec::new();
        for (from, flood) in (2..).zip(&floods) {
            let mut wire = Wire::connect(site.address, from).await.unwrap();
            wire.ask_to_sign_in().await.unwrap();
            let Wire { mut reader, mut writer, .. } = wire;
            let reading = tokio::spawn(async move { reader.drain().await });
            for _ in 0..20_000 {
                if writer.packet(flood).await.is_err() {
                    break;
                }
            }
            answered.push(tokio::time::timeout(PATIENCE, reading).await.expect("it goes on").unwrap());
        }
        answered
    };
    let (_, answered) = site.bears("login attempts", attack).await;
    // The last answer may be the goodbye.
    assert!(answered.iter().all(|n| *n <= 66), "{answered:?}");
    assert!(answered[0] >= 64, "{answered:?}");
}

/// A key that would do may be offered as often as one likes: that is no
/// refusal. The grace ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_good_key_offered_without_end() {
    let site = Site::start("login_grace_s = 3").await;
    let offer = Message::new(msg::USERAUTH_REQUEST).text("admin").text("ssh-connection").text("publickey");
    let offer = offer.byte(0).text("ssh-ed25519").text(site.key.blob()).0;
    let attack = async {
        let mut wire = Wire::connect(site.address, 2).await.unwrap();
        wire.ask_to_sign_in().await.unwrap();
        let Wire { mut reader, mut writer, .. } = wire;
        let reading = tokio::spawn(async move { reader.drain().await });
        let started = Instant::now();
        while writer.packet(&offer).await.is_ok() {
            assert!(started.elapsed() < PATIENCE, "the grace does not end it");
        }
        reading.await.unwrap()
    };
    let (borne, answered) = site.bears("offers of a good key", attack).await;
    assert!(answered > 64 && borne.took < Duration::from_secs(15), "{answered} {borne:?}");
}

/// Passwords cost memory and a core each: so many at once, whoever asks.
#[tokio::test(flavor = "multi_thread")]
async fn passwords_from_everywhere_at_once() {
    let site = Site::start("").await;
    let attack = async {
        let mut guessers = Vec::new();
        for from in 2..62 {
            let address = site.address;
            guessers.push(tokio::spawn(async move {
                let mut wire = Wire::connect(address, from).await.unwrap();
                wire.ask_to_sign_in().await.unwrap();
                for _ in 0..3 {
                    wire.writer.packet(password("admin", "a guess")).await.unwrap();
                }
                // Half of them do not wait for the answer.
                if from % 2 == 0 {
                    wire.reader.next_of(&[msg::USERAUTH_FAILURE]).await.unwrap();
                }
            }));
        }
        for guesser in guessers {
            guesser.await.unwrap();
        }
    };
    site.bears("passwords from everywhere", attack).await;
}

/// What fits a packet is refused like any other; what does not ends the connection.
#[tokio::test(flavor = "multi_thread")]
async fn enormous_names_and_passwords() {
    let site = Site::start("").await;
    let attack = async {
        for length in [60_000, 250_000] {
            let mut wire = Wire::connect(site.address, 2).await.unwrap();
            wire.ask_to_sign_in().await.unwrap();
            for (login, word) in
                [("x".repeat(length), String::new()), (String::from("admin"), "x".repeat(length))]
            {
                wire.writer.packet(password(login, word)).await.unwrap();
                wire.reader.next_of(&[msg::USERAUTH_FAILURE]).await.unwrap();
            }
        }
        for (login, word) in
            [("x".repeat(1 << 20), String::new()), (String::from("admin"), "x".repeat(1 << 20))]
        {
            let mut wire = Wire::connect(site.address, 2).await.unwrap();
            wire.ask_to_sign_in().await.unwrap();
            let _ = wire.writer.packet(password(login, word)).await;
            is_closed("a packet of 1 MiB", &mut wire).await;
        }
    };
    site.bears("enormous names and passwords", attack).await;
}

/// Key exchanges without end, before anybody is let in.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_key_exchanges() {
    let site = Site::start("").await;
    let attack = async {
        // Whole ones.
        let mut wire = Wire::connect(site.address, 2).await.unwrap();
        for _ in 0..200 {
            wire.exchange().await.unwrap();
        }
        // Announced again and again and never gone through with.
        for signed_in in [false, true] {
            let wire =
                if signed_in { site.sign_in(3).await } else { Wire::connect(site.address, 3).await.unwrap() };
            let Wire { mut reader, mut writer, .. } = wire;
            let reading = tokio::spawn(async move { reader.drain().await });
            for _ in 0..20_000 {
                if writer.packet(kexinit()).await.is_err() {
                    break;
                }
            }
            let answers = tokio::time::timeout(PATIENCE, reading).await.expect("it goes on").unwrap();
            assert!(answers < 10, "{answers} answers");
        }
        // Announced once, and then other things.
        let mut wire = site.sign_in(4).await;
        wire.writer.packet(kexinit()).await.unwrap();
        for n in 0..20_000 {
            if wire.writer.packet(wire::open_session(n, 0, 0)).await.is_err() {
                break;
            }
        }
        is_closed("channels in the middle of a key exchange", &mut wire).await;
    };
    site.bears("key exchanges", attack).await;
}

/// 10,000 connections in 10 s, of every kind of haste.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_a_second() {
    let site = Site::start("login_grace_s = 5").await;
    let attack = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        let mut calls = Vec::new();
        for n in 0..10_000_u32 {
            if n % 10 == 0 {
                tick.tick().await;
            }
            let address = site.address;
            calls.push(tokio::spawn(async move {
                let from = u8::try_from(2 + n % 100).unwrap();
                let Ok(stream) = dial(address, from).await else { return false };
                let mut wire = Wire::over(stream);
                match n % 4 {
                    0 => {}
                    1 => drop(wire.writer.raw(b"SSH-2.0-hasty\r\nand no more").await),
                    2 => drop(wire.writer.raw(b"GET / HTTP/1.1\r\n\r\n").await),
                    _ => {
                        let mut greeting = [0; 64];
                        let first = wire.reader.raw(&mut greeting);
                        drop(tokio::time::timeout(Duration::from_secs(1), first).await);
                    }
                }
                true
            }));
        }
        let mut connected = 0;
        for call in calls {
            connected += u32::from(call.await.unwrap());
        }
        connected
    };
    let (borne, connected) = site.bears("1,000 connections a second", attack).await;
    println!("{connected} connections, {:.0} a second", f64::from(connected) / borne.took.as_secs_f64());
    assert!(connected >= 9_900, "{connected}");
}
