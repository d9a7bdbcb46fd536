//! The status page in a real browser: that it is there, that its own policy
//! lets its style through, and that it draws in every size and colour scheme.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod http_support;

use std::path::Path;
use std::process::{Command, Output};

use http_support::{Portal, check, healthy, serve};
use twarga::http::Limits;
use twarga::model::Status;

/// Chromium on the page, with nothing of its own to tell anybody.
fn chromium(portal: &Portal, arguments: &[&str]) -> Output {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .args(["60", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
        .args(["--disable-sync", "--hide-scrollbars", "--no-proxy-server", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(format!("http://{}/", portal.server.addr()))
        .output()
        .expect("`timeout` is missing");
    assert!(output.status.success(), "chromium (scripts/install-deps installs it): {output:?}");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(!log.contains("CONSOLE"), "the page makes the browser complain: {log}");
    output
}

#[test]
fn the_browser_shows_what_was_published() {
    let mut snapshot = healthy();
    snapshot.health.checks[3] =
        check("images", Status::Degraded, false, "<script>alert(1)</script> is missing.");
    let portal = serve(snapshot, None, Limits::default());
    let dom = String::from_utf8(chromium(&portal, &["--dump-dom"]).stdout).unwrap();
    for wanted in [
        "<title>Twarga: degraded</title>",
        "The portal serves, with something missing: Images.",
        "&lt;script&gt;alert(1)&lt;/script&gt; is missing.",
        "Listens on 0.0.0.0:2222.",
        "19.0 GiB of 32.0 GiB in use",
        "10 min ago",
        "<polyline points=\"",
        "role=\"meter\"",
        "role=\"img\"",
        "<main>",
        "Twarga 0.1.0.",
    ] {
        assert!(dom.contains(wanted), "{wanted}\n{dom}");
    }
    assert!(!dom.contains("<script"), "{dom}");
}

#[test]
fn it_draws_narrow_and_wide_light_and_dark() {
    let portal = serve(healthy(), None, Limits::default());
    let directory = tempfile::tempdir().unwrap();
    let shoot = |name: &str, size: (u32, u32), dark: bool| {
        let path = directory.path().join(format!("{name}.png"));
        let screenshot = format!("--screenshot={}", path.display());
        let window = format!("--window-size={},{}", size.0, size.1);
        let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
        chromium(&portal, &[&screenshot, &window, &scheme]);
        assert_eq!(png_size(&path), size, "{name}");
        std::fs::read(path).unwrap()
    };
    let (light, dark) = (shoot("light", (1920, 1200), false), shoot("dark", (1920, 1200), true));
    assert_ne!(light, dark, "the colour scheme makes a difference");
    let narrow = shoot("narrow", (320, 1200), false);
    for (name, png) in [("light", light), ("dark", dark), ("narrow", narrow)] {
        // A blank page of that size packs into a few kilobytes.
        assert!(png.len() > 25_000, "{name} looks blank: {} bytes", png.len());
    }
}

/// From the PNG's own header.
fn png_size(path: &Path) -> (u32, u32) {
    let png = std::fs::read(path).unwrap();
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}
