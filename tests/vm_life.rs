//! The life of a real VM, from `vm new` to `vm destroy`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::real::{RealPortal, virsh};
use common::{json, output, status, stderr, stdout, until};
use tokio::io::AsyncWriteExt;

async fn state(real: &RealPortal, vm: &str) -> String {
    json(&real.run(&["vm", "show", vm, "--json"]).await)["state"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_and_starts_keep_what_was_written() {
    let real = RealPortal::start().await;
    real.vm("web1").await;
    let out =
        real.inside("web1", "echo kept > /root/file && sync && ls -l /dev/vda && df -m / | tail -1").await;
    assert_eq!(status(&out), 0, "{}", stderr(&out));
    // The disk of the plan, not the small one of the image.
    let megabytes: u64 = stdout(&out).split_whitespace().rev().nth(4).unwrap().parse().unwrap();
    assert!(megabytes > 8000, "{}", stdout(&out));

    real.done(&["vm", "pause", "web1"]).await;
    assert_eq!(state(&real, "web1").await, "paused");
    let out = real.inside("web1", "true").await;
    assert_eq!(status(&out), 4);
    assert!(stderr(&out).contains("`vm resume web1`"), "{}", stderr(&out));
    real.done(&["vm", "resume", "web1"]).await;
    real.done(&["vm", "restart", "web1"]).await;
    assert_eq!(stdout(&real.inside("web1", "cat /root/file").await), "kept\n");

    let asked = Instant::now();
    real.done(&["vm", "stop", "web1"]).await;
    assert!(asked.elapsed() < Duration::from_secs(40), "the guest did not shut down by itself");
    let out = real.inside("web1", "true").await;
    assert_eq!(status(&out), 4);
    assert!(stderr(&out).contains("“web1” is stopped. `vm start web1` starts it."), "{}", stderr(&out));
    real.done(&["start", "web1"]).await;
    assert_eq!(stdout(&real.inside("web1", "cat /root/file").await), "kept\n");

    let stats = json(&real.run(&["vm", "stats", "web1", "--json"]).await);
    assert!(
        stats["rss_bytes"].as_u64().unwrap() > 10_000_000 && stats["cpu_time_s"].as_f64().unwrap() > 0.1,
        "{stats}"
    );

    let vms = real.portal.portal.config().data_dir.join("vms");
    assert_eq!(std::fs::read_dir(&vms).unwrap().count(), 1);
    real.done(&["vm", "destroy", "web1", "--yes"]).await;
    assert_eq!(std::fs::read_dir(&vms).unwrap().count(), 0);
    let listed = String::from_utf8_lossy(&virsh(&["list", "--all", "--name"]).stdout).into_owned();
    assert!(!listed.contains(real.portal.portal.id()), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_powers_itself_off_is_seen_within_two_seconds() {
    let real = RealPortal::start().await;
    real.vm("web1").await;
    let uuid = String::from_utf8_lossy(&virsh(&["list", "--name"]).stdout)
        .lines()
        .find(|n| n.contains(real.portal.portal.id()))
        .unwrap()
        .to_owned();
    real.inside("web1", "poweroff").await;
    until("the domain is off", || async {
        String::from_utf8_lossy(&virsh(&["domstate", &uuid]).stdout).contains("shut off")
    })
    .await;
    let off = Instant::now();
    while state(&real, "web1").await != "stopped" {
        assert!(off.elapsed() < Duration::from_secs(2), "it is not seen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_is_a_terminal_of_the_guest_and_ctrl_bracket_leaves_it() {
    let real = RealPortal::start().await;
    real.vm("web1").await;
    let out = real.run(&["vm", "console", "web1"]).await;
    assert_eq!(status(&out), 2, "a console wants a terminal: {}", stderr(&out));
    let mut ssh = real.portal.ssh(&real.key);
    ssh.args(["-tt", "alice@127.0.0.1", "vm", "console", "web1"]).stdin(Stdio::piped());
    let mut child = ssh.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut from = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut read = async |what: &str| {
        use tokio::io::AsyncReadExt;
        let mut buffer = [0; 4096];
        while !String::from_utf8_lossy(&seen).contains(what) {
            let n =
                tokio::time::timeout(common::PATIENCE, from.read(&mut buffer)).await.expect(what).unwrap();
            assert!(n > 0, "the end, without {what:?}");
            seen.extend_from_slice(&buffer[..n]);
        }
    };
    read("Ctrl-] leaves it").await;
    stdin.write_all(b"\n").await.unwrap();
    read("web1:~#").await;
    stdin.write_all(b"echo $((6*7)) on $(tty)\n").await.unwrap();
    read("42 on /dev/ttyS0").await;
    stdin.write_all(b"\x1d").await.unwrap();
    read("Left the console").await;
    let ended = tokio::time::timeout(common::PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host_key_than_the_vms_own_is_refused_and_told() {
    let real = RealPortal::start().await;
    real.vm("web1").await;
    // As if something else answered: the portal remembers another key.
    let database =
        rusqlite::Connection::open(real.portal.portal.config().data_dir.join("twarga.db")).unwrap();
    let other =
        std::fs::read_to_string(real.portal.keygen("other", &["-t", "ed25519"]).with_extension("pub"))
            .unwrap();
    let other: Vec<_> = other.split_whitespace().take(2).collect();
    database.execute("UPDATE vms SET host_key = ?1", [other.join(" ")]).unwrap();
    let out = real.inside("web1", "true").await;
    assert_eq!(status(&out), 7);
    assert!(stderr(&out).contains("another host key"), "{}", stderr(&out));
    let admin = &real.portal.admin;
    let list = twarga::action::event::EventLs {
        since: None,
        severity: Some("high".into()),
        actor: None,
        action: Some("vm.host_key".into()),
        attempts: false,
        limit: 10,
    };
    let alarms = real.portal.portal.perform(admin, list).await.unwrap();
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0].category.as_str(), "intrusion_detection");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reaches_neither_the_host_nor_its_neighbour() {
    let real = RealPortal::start().await;
    let one = real.vm("one").await;
    let two = real.vm("two").await;
    let canary = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = canary.local_addr().unwrap().port();
    let touched = tokio::spawn(async move { canary.accept().await });
    let ports = [u64::from(port), two["ssh_port"].as_u64().unwrap(), u64::from(real.portal.address.port())];
    for host in ["10.0.2.2", "127.0.0.1", "10.0.2.3"] {
        for port in ports {
            let out = real.inside("one", &format!("nc -w 3 {host} {port} </dev/null | head -c 20")).await;
            assert_eq!(stdout(&out), "", "{host}:{port} answers the guest");
        }
    }
    assert!(!touched.is_finished(), "the host's loopback was reached from a guest");
    // Nor does a way through the portal lead there.
    let config = real.ssh_config("");
    let own = one["ssh_port"].as_u64().unwrap().to_string();
    for target in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{own}"),
        String::from("[::1]:22"),
        String::from("0.0.0.0:22"),
    ] {
        let mut ssh = tokio::process::Command::new("ssh");
        ssh.arg("-F").arg(&config).args(["-W", &target, "portal"]).stdin(Stdio::null());
        let out = output(&mut ssh).await;
        assert!(status(&out) == 255 && out.stdout.is_empty(), "{target}");
    }
    assert!(!touched.is_finished());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_changed_is_not_booted_and_nothing_is_left() {
    let real = RealPortal::start().await;
    // A copy of the image, one byte of which is another.
    let images = real.portal.portal.config().data_dir.join("images");
    let original = std::fs::read_link(&images).unwrap();
    std::fs::remove_file(&images).unwrap();
    std::fs::create_dir(&images).unwrap();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(original.join("micro")).arg(&images).status().unwrap();
    assert!(copied.success());
    let digest = std::fs::read_to_string(images.join("micro/current")).unwrap();
    let kernel = images.join("micro").join(digest.trim()).join("kernel");
    let mut bytes = std::fs::read(&kernel).unwrap();
    bytes[1000] ^= 1;
    std::fs::remove_file(&kernel).unwrap();
    std::fs::write(&kernel, bytes).unwrap();
    let out = real.run(&["vm", "new", "web1", "--json"]).await;
    let error: serde_json::Value = serde_json::from_str(stderr(&out).lines().last().unwrap()).unwrap();
    assert_eq!((status(&out), error["error"]["code"].as_str()), (7, Some("image.invalid")));
    assert_eq!(json(&real.run(&["vm", "ls", "--json"]).await), serde_json::json!([]));
    assert_eq!(std::fs::read_dir(real.portal.portal.config().data_dir.join("vms")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn debian_boots_with_the_owners_user_data_on_a_disk_of_the_plans_size() {
    let real = RealPortal::start().await;
    let user_data = "#!/bin/sh\necho done by user data > /etc/by-user-data\n";
    let words =
        ["vm", "new", "deb1", "--image", "debian-12", "--user-data", "-", "--disk", "12", "--ram", "1024"];
    let out = real.portal.run_with(&real.key, "alice", &words, user_data.as_bytes()).await;
    assert_eq!(status(&out), 0, "{}", stderr(&out));
    let out = real.inside("deb1", "id -un; hostname; sudo -n id -u; df -BM --output=size / | tail -1").await;
    let text = stdout(&out);
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    assert_eq!(lines.get(..3), Some(&["debian", "deb1", "0"][..]), "{text} {}", stderr(&out));
    assert!(lines[3].trim_end_matches('M').parse::<u64>().unwrap() > 11_000, "{text}");
    // Waited for inside: a login each few milliseconds would leave the guest no time for it.
    let waiting = "until test -s /etc/by-user-data; do sleep 1; done; cat /etc/by-user-data";
    assert_eq!(stdout(&real.inside("deb1", waiting).await), "done by user data\n");
    let name = String::from_utf8_lossy(&virsh(&["list", "--name"]).stdout)
        .lines()
        .find(|n| n.contains(real.portal.portal.id()))
        .unwrap()
        .to_owned();
    until("the guest agent answers", || async {
        virsh(&["qemu-agent-command", &name, r#"{"execute":"guest-ping"}"#]).status.success()
    })
    .await;
}
