//! A server over a hand-made snapshot, and a client that says whatever it likes.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use twarga::http::{HttpServer, Limits};
use twarga::model::health::Counters;
use twarga::model::{Check, Gauges, Health, Published, Status, Time};

const GIB: u64 = 1 << 30;

/// A part.
pub fn check(name: &'static str, status: Status, needed: bool, message: &str) -> Check {
    Check { name, status, message: message.to_owned(), needed }
}

/// A portal in good health and at work.
pub fn healthy() -> Published {
    let wave = |i: u32, base: f64| base + 18.0 * (f64::from(i) / 9.0).sin() + f64::from(i * 7 % 5);
    Published {
        at: Time::now(),
        measured: None,
        started_at: Time::now().minus_seconds(273_845),
        version: "0.1.0",
        health: Health {
            checks: vec![
                check("ssh", Status::Healthy, true, "Listens on 0.0.0.0:2222."),
                check("database", Status::Healthy, true, "Answers in 1 ms."),
                check("libvirt", Status::Healthy, true, "qemu:///system, QEMU 9.2.0, KVM."),
                check("images", Status::Healthy, false, "micro and debian-12 are ready."),
                check("disk", Status::Healthy, false, "74.0 GiB are free."),
            ],
        },
        gauges: Gauges {
            cpu_percent: 37.4,
            load1: 1.42,
            cpus: 8,
            memory_total_bytes: 32 * GIB,
            memory_used_bytes: 19 * GIB,
            disk_total_bytes: 252 * GIB,
            disk_free_bytes: 74 * GIB,
            portal_rss_bytes: 48 << 20,
            portal_open_fds: 61,
            active_sessions: 14,
            startups: 2,
            bans: 2,
            vms: [1, 9, 0, 4, 0],
            jobs_active: 3,
            vms_ram_mb: 6656,
            vms_vcpus: 11,
        },
        counters: Counters {
            connections: 5120,
            connections_refused: 17,
            logins_succeeded: 812,
            logins_failed: 93,
            logins_held_off: 12,
            actions: vec![("vm.new", "success", 40), ("vm.new", "failure", 2), ("vm.ls", "success", 900)],
            relayed_out_bytes: 123_456_789,
            relayed_in_bytes: 9_876_543,
        },
        cpu_history: (0..120).map(|i| wave(i, 35.0)).collect(),
        memory_history: (0..70).map(|i| 58.0 + f64::from(i) / 30.0).collect(),
        sample_s: 5,
    }
}

/// A server, and the hand that publishes.
pub struct Portal {
    pub server: HttpServer,
    pub published: watch::Sender<Arc<Published>>,
}

/// Short times, so that the tests are.
pub fn hasty() -> Limits {
    Limits {
        head_deadline: Duration::from_secs(1),
        write_deadline: Duration::from_secs(1),
        linger: Duration::from_millis(500),
        ..Limits::default()
    }
}

/// Serves `snapshot` on a free port of the loopback.
pub fn serve(snapshot: Published, token: Option<&str>, limits: Limits) -> Portal {
    raise_descriptor_limit();
    let (published, receiver) = watch::channel(Arc::new(snapshot));
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = HttpServer::start_with(addr, token.map(str::to_owned), receiver, limits).unwrap();
    Portal { server, published }
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

impl Portal {
    /// A connection that gives up reading after 15 s.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        stream
    }

    /// Sends that, and reads until the server closes.
    pub fn say(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect();
        // The server may have heard enough before we are done.
        let _ = stream.write_all(bytes);
        Reply::read(&mut stream)
    }

    /// A well-formed request with more header lines, each ending in CRLF.
    pub fn request(&self, method: &str, target: &str, headers: &str) -> Reply {
        self.say(format!("{method} {target} HTTP/1.1\r\nHost: portal\r\n{headers}\r\n").as_bytes())
    }

    /// A plain GET.
    pub fn get(&self, target: &str) -> Reply {
        self.request("GET", target, "")
    }
}

/// What came back, to the end of the connection.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// Reads until the server closes; status 0 if nothing came.
    pub fn read(stream: &mut TcpStream) -> Reply {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|l| l.split_once(": "))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
    }
}
