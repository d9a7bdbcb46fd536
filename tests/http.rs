//! The HTTP face as clients meet it: what each path says, and what it costs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod http_support;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use http_support::{check, hasty, healthy, serve};
use twarga::http::{HttpServer, Limits};
use twarga::model::{Published, Status};

const PATHS: [&str; 5] = ["/", "/livez", "/readyz", "/healthz", "/metrics"];

#[test]
fn every_answer_carries_the_headers() {
    let portal = serve(healthy(), None, Limits::default());
    for (path, status) in PATHS.map(|p| (p, 200)).into_iter().chain([("/nowhere", 404)]) {
        let reply = portal.get(path);
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("Referrer-Policy"), Some("no-referrer"), "{path}");
        assert_eq!(reply.header("Cache-Control"), Some("no-store"), "{path}");
        assert_eq!(reply.header("Connection"), Some("close"), "{path}");
        assert_eq!(reply.header("Server"), Some("twarga"), "{path}");
        assert_eq!(reply.header("Content-Length"), Some(reply.body.len().to_string().as_str()), "{path}");
        let policy = reply.header("Content-Security-Policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("script"), "{path}: {policy}");
    }
}

#[test]
fn types_of_the_answers() {
    let portal = serve(healthy(), None, Limits::default());
    for (path, wanted) in [
        ("/", "text/html; charset=utf-8"),
        ("/livez", "text/plain; charset=utf-8"),
        ("/healthz", "application/json"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        assert_eq!(portal.get(path).header("Content-Type"), Some(wanted), "{path}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let portal = serve(healthy(), None, Limits::default());
    for path in PATHS.into_iter().chain(["/nowhere"]) {
        let (head, get) = (portal.request("HEAD", path, ""), portal.get(path));
        assert_eq!(head.body, "", "{path}");
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("Content-Length"), get.header("Content-Length"), "{path}");
    }
}

#[test]
fn other_methods_are_told_which_ones_there_are() {
    let portal = serve(healthy(), None, Limits::default());
    for (method, target) in
        [("POST", "/"), ("DELETE", "/nowhere"), ("OPTIONS", "*"), ("CONNECT", "x:22"), ("BREW", "/")]
    {
        let reply = portal.request(method, target, "Content-Length: 0\r\n");
        assert_eq!((reply.status, reply.header("Allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[test]
fn the_latest_snapshot_is_what_counts() {
    let portal = serve(Published::default(), None, Limits::default());
    assert_eq!(portal.get("/livez").status, 200);
    assert_eq!(portal.get("/readyz").status, 503, "nothing was looked at yet");
    portal.published.send(Arc::new(healthy())).unwrap();
    assert_eq!(portal.get("/readyz").body, "ready\n");
    let mut down = healthy();
    down.health.checks[2] = check("libvirt", Status::Unhealthy, true, "No answer from qemu:///system.");
    portal.published.send(Arc::new(down)).unwrap();
    let reply = portal.get("/readyz?verbose");
    assert_eq!(reply.status, 503);
    assert!(
        reply.body.contains("[-] libvirt: unhealthy: No answer from qemu:///system.\n"),
        "{}",
        reply.body
    );
    let health: serde_json::Value = serde_json::from_str(&portal.get("/healthz").body).unwrap();
    assert_eq!(
        (&health["status"], &health["services"]["libvirt"]),
        (&"unhealthy".into(), &"unhealthy".into())
    );
    assert!(portal.get("/").body.contains("for want of: libvirt."));
}

#[test]
fn promtool_has_nothing_to_say() {
    let mut odd = healthy();
    odd.gauges.load1 = f64::NAN;
    odd.counters.actions.push(("vm.ls", "success", 1));
    odd.health.checks.push(check("ssh", Status::Unhealthy, false, "A second word on the same part."));
    for snapshot in [healthy(), Published::default(), odd] {
        let portal = serve(snapshot, None, Limits::default());
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool is missing; scripts/install-deps installs it");
        let text = portal.get("/metrics").body;
        promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success() && said.is_empty(), "{}\n{text}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn metrics_that_dashboards_rely_on() {
    let portal = serve(healthy(), None, Limits::default());
    let text = portal.get("/metrics").body;
    for line in [
        "twarga_build_info{version=\"0.1.0\"} 1",
        "twarga_sessions 14",
        "twarga_startups 2",
        "twarga_connections_total 5120",
        "twarga_logins_total{outcome=\"failure\"} 93",
        "twarga_actions_total{action=\"vm.new\",outcome=\"failure\"} 2",
        "twarga_vms{state=\"running\"} 9",
        "twarga_jobs_active 3",
        "twarga_host_cpu_ratio 0.374",
        "twarga_host_memory_used_bytes 20401094656",
        "twarga_host_disk_free_bytes 79456894976",
        "twarga_relayed_bytes_total{direction=\"out\"} 123456789",
        "twarga_process_resident_memory_bytes 50331648",
        "twarga_process_open_fds 61",
        "twarga_part_up{part=\"libvirt\"} 1",
        "twarga_ready 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(text.contains("\ntwarga_process_start_time_seconds 1"), "{text}");
}

#[test]
fn metrics_behind_a_token() {
    let portal = serve(healthy(), Some("hunter2"), Limits::default());
    let refused = portal.get("/metrics");
    assert_eq!(refused.status, 401);
    assert!(refused.header("WWW-Authenticate").unwrap().starts_with("Bearer "));
    assert!(!refused.body.contains("twarga_"));
    assert_eq!(portal.request("GET", "/metrics", "Authorization: Bearer hunter3\r\n").status, 401);
    assert_eq!(portal.request("GET", "/metrics", "authorization: bearer hunter2\r\n").status, 200);
    assert_eq!(portal.get("/healthz").status, 200);
}

#[test]
fn curl_is_content() {
    let portal = serve(healthy(), None, Limits::default());
    let url = format!("http://{}/livez", portal.server.addr());
    // The same handle twice: curl must notice that the connection is over.
    let output =
        Command::new("curl").args(["-sS", "--noproxy", "*", "-m", "5", &url, &url]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "alive\nalive\n");
}

#[test]
fn a_port_in_use_is_a_sentence() {
    let portal = serve(healthy(), None, Limits::default());
    let receiver = portal.published.subscribe();
    let e = HttpServer::start(portal.server.addr(), None, receiver).unwrap_err();
    assert!(e.message.starts_with("Cannot listen for HTTP on 127.0.0.1:"), "{e}");
}

#[test]
fn stopping_ends_everything() {
    let portal = serve(healthy(), None, hasty());
    let addr = portal.server.addr();
    let mut silent = portal.connect();
    assert_eq!(portal.get("/livez").status, 200);
    portal.server.stop();
    assert!(std::net::TcpStream::connect(addr).is_err(), "the port is closed");
    assert_eq!(http_support::Reply::read(&mut silent).status, 0, "and so is every connection");
    let again = HttpServer::start(addr, None, portal.published.subscribe()).unwrap();
    assert_eq!(again.addr(), addr);
}
