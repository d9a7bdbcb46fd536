//! Alone in its process, because it takes the process's descriptors away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod http_support;

use std::fs::File;
use std::time::{Duration, Instant};

use http_support::{hasty, healthy, serve};

/// tiny_http 0.12 stops listening for good when an `accept` fails, and panics
/// when it cannot duplicate the socket that it got.
#[test]
fn a_shortage_of_descriptors_passes() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let portal = serve(healthy(), None, hasty());
    assert_eq!(portal.get("/livez").body, "alive\n");
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: Some(256), ..before }).unwrap();
    for spare in (0..6).cycle().take(18) {
        // With each number of descriptors left, another step is the one that fails.
        let waiting: Vec<_> = (0..4).map(|_| portal.connect()).collect();
        let mut all: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        all.truncate(all.len().saturating_sub(spare));
        for mut stream in waiting {
            use std::io::Write;
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(6))).unwrap();
            let _ = http_support::Reply::read(&mut stream);
        }
    }
    setrlimit(Resource::Nofile, before).unwrap();
    let start = Instant::now();
    while portal.get("/livez").body != "alive\n" {
        assert!(start.elapsed() < Duration::from_secs(3), "it does not recover");
        std::thread::sleep(Duration::from_millis(50));
    }
}
