//! Clients that mean harm, or merely know no better. Each test ends by asking
//! whether the next honest client is served within a second.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod http_support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use http_support::{Portal, Reply, hasty, healthy, serve};
use twarga::http::Limits;

fn assert_alive(portal: &Portal) {
    let start = Instant::now();
    assert_eq!(portal.get("/livez").body, "alive\n");
    assert!(start.elapsed() < Duration::from_secs(1), "an honest client waited {:?}", start.elapsed());
}

/// `VmRSS` or `Threads` of this process, which the server runs in.
fn of_self(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn silence_and_drips_hold_up_nobody() {
    let portal = serve(healthy(), None, Limits::default());
    assert_alive(&portal);
    let (threads, memory) = (of_self("Threads"), of_self("VmRSS"));
    let _silent: Vec<TcpStream> = (0..300).map(|_| portal.connect()).collect();
    assert_alive(&portal);
    let mut drips: Vec<TcpStream> = (0..60).map(|_| portal.connect()).collect();
    for byte in b"GET / HTTP/1.1\r\nX" {
        for drip in &mut drips {
            let _ = drip.write_all(&[*byte]);
        }
        assert_alive(&portal);
    }
    // The other tests of this file run beside this one: some threads and some memory are theirs.
    assert!(of_self("Threads") < threads + 60, "{} threads, before {threads}", of_self("Threads"));
    assert!(of_self("VmRSS") < memory + 64 * 1024, "{} KiB, before {memory}", of_self("VmRSS"));
}

#[test]
fn a_crowd_of_addresses_holds_up_nobody() {
    let portal = serve(healthy(), None, Limits::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _crowd: Vec<_> = (0..400)
        .map(|i: u16| {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 1, u8::try_from(i % 50 + 1).unwrap()], 0).into()).unwrap();
            runtime.block_on(socket.connect(portal.server.addr())).unwrap()
        })
        .collect();
    assert_alive(&portal);
}

#[test]
fn a_drip_ends_at_the_deadline_of_the_whole_head() {
    let portal = serve(healthy(), None, hasty());
    let mut drip = portal.connect();
    let start = Instant::now();
    drip.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let mut writer = drip.try_clone().unwrap();
    std::thread::spawn(move || {
        while start.elapsed() < Duration::from_secs(5) && writer.write_all(b"X").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let mut reply = [0; 24];
    drip.read_exact(&mut reply).unwrap();
    assert!(reply.starts_with(b"HTTP/1.1 408 "), "{reply:?}");
    let took = start.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(2), "{took:?}");
    assert_alive(&portal);
}

#[test]
fn silence_ends_without_a_word() {
    let portal = serve(healthy(), None, hasty());
    let start = Instant::now();
    assert_eq!(Reply::read(&mut portal.connect()).head, "");
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[test]
fn clients_that_never_read_their_answer() {
    let portal = serve(healthy(), None, hasty());
    let mut held = Vec::new();
    for _ in 0..300 {
        let mut stream = portal.connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        held.push(stream);
    }
    assert_alive(&portal);
}

/// More connections than there are seats, again and again, from the honest client's own address.
#[test]
fn a_flood_of_connections() {
    let portal = serve(healthy(), None, Limits::default());
    let (addr, end) = (portal.server.addr(), Instant::now() + Duration::from_secs(2));
    let flood = move || {
        let mut held = std::collections::VecDeque::new();
        while Instant::now() < end {
            held.extend(TcpStream::connect(addr));
            if held.len() > 200 {
                held.pop_front();
            }
        }
    };
    let floods: Vec<_> = (0..2).map(|_| std::thread::spawn(flood)).collect();
    let (mut asked, mut answered) = (0, 0);
    while Instant::now() < end {
        asked += 1;
        answered += u32::from(portal.get("/livez").body == "alive\n");
    }
    floods.into_iter().for_each(|f| f.join().unwrap());
    println!("{answered} of {asked} answered");
    assert!(asked > 20 && answered * 10 > asked * 9, "{answered} of {asked} answered");
    assert_alive(&portal);
}

#[test]
fn clients_that_vanish() {
    let portal = serve(healthy(), None, hasty());
    for cut in [1, 10, 26] {
        for _ in 0..100 {
            let mut stream = portal.connect();
            let _ = stream.write_all(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..cut]);
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
    assert_alive(&portal);
}

#[test]
fn a_head_of_a_mebibyte() {
    let portal = serve(healthy(), None, hasty());
    let long = "x".repeat(1 << 20);
    assert_eq!(portal.request("GET", "/", &format!("X: {long}\r\n")).status, 431);
    assert_eq!(portal.request("GET", "/", &"X: y\r\n".repeat(180_000)).status, 431);
    assert_eq!(portal.get(&format!("/{long}")).status, 414);
    // Without any end.
    assert_eq!(portal.say(long.as_bytes()).status, 414);
    assert_alive(&portal);
}

#[test]
fn a_long_path_that_still_fits() {
    let portal = serve(healthy(), None, hasty());
    let reply = portal.get(&format!("/{}", "%61".repeat(2600)));
    assert_eq!(reply.status, 404);
    assert!(!reply.body.contains("aaa"), "nothing of the request comes back: {}", reply.body);
}

/// tiny_http alone would allocate, wait for, or choke on these bodies.
#[test]
fn bodies_are_not_waited_for() {
    let portal = serve(healthy(), None, Limits::default());
    let lengths = ["10", "100000", "999999999999999", "18446744073709551615", "-1", "ten"];
    let framings = lengths.map(|n| format!("Content-Length: {n}\r\n")).into_iter().chain([
        "Transfer-Encoding: chunked\r\n".to_owned(),
        "Content-Length: 10\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        "Content-Length: 10\r\nExpect: 100-continue\r\n".to_owned(),
        "Expect: the-unexpected\r\n".to_owned(),
        "Connection: upgrade\r\nUpgrade: websocket\r\n".to_owned(),
        "TE: chunked\r\n".to_owned(),
    ]);
    for framing in framings {
        let start = Instant::now();
        let mut stream = portal.connect();
        stream.write_all(format!("GET /livez HTTP/1.1\r\nHost: x\r\n{framing}\r\nbody").as_bytes()).unwrap();
        let reply = Reply::read(&mut stream);
        assert_eq!((reply.status, reply.body.as_str()), (200, "alive\n"), "{framing}");
        assert!(start.elapsed() < Duration::from_secs(1), "{framing}: {:?}", start.elapsed());
    }
    assert_eq!(portal.request("POST", "/", "Content-Length: 999999999999999\r\n").status, 405);
    assert_alive(&portal);
}

#[test]
fn junk_is_refused_at_once() {
    let portal = serve(healthy(), None, Limits::default());
    let junk: [&[u8]; 6] = [
        b"GET /\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
        b"GET / HTTP/9.9\r\n",
        b"\0\0\0\0\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
    ];
    for bytes in junk {
        let start = Instant::now();
        let reply = portal.say(bytes);
        assert!(matches!(reply.status, 400 | 505), "{bytes:?}: {reply:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{bytes:?}");
    }
    assert_alive(&portal);
}

#[test]
fn of_pipelined_requests_the_first_is_answered_and_the_end_announced() {
    let portal = serve(healthy(), None, hasty());
    let reply = portal.say("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000).as_bytes());
    assert_eq!((reply.status, reply.body.as_str()), (200, "alive\n"));
    assert_eq!(reply.header("Connection"), Some("close"));
}

#[test]
fn targets_of_other_forms() {
    let portal = serve(healthy(), None, hasty());
    assert_eq!(portal.get("http://portal:9180/livez").body, "alive\n");
    assert_eq!(portal.get("/%6C%69%76%65%7A").body, "alive\n");
    for nowhere in ["/..%2flivez", "/%2e%2e/livez", "/livez%0d%0aX:y", "//livez", "/%"] {
        assert_eq!(portal.get(nowhere).status, 404, "{nowhere}");
    }
    assert_eq!(portal.say(b"GET /livez HTTP/1.0\r\n\r\n").body, "alive\n");
}
